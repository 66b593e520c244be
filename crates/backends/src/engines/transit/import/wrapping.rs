//! The wrapping key: an RSA key of the mount that keys are wrapped under on their way here. It is
//! made when it is first asked for, and lies at `wrapping-key`.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{KeyType, ServiceKey};
use serde::Serialize;

use crate::engines::transit::{Transit, pace};

const AT: &str = "wrapping-key";
const KIND: KeyType = KeyType::Rsa4096;

#[derive(Serialize)]
struct Shown {
    public_key: String,
}

pub(in crate::engines::transit) async fn read(
    transit: &Transit,
    _: &Call<'_>,
) -> Result<Reply, Error> {
    let public_key = key(transit).await?.public_shown();
    Reply::data(&Shown { public_key })
}

/// The key, made if there is none.
pub(super) async fn key(transit: &Transit) -> Result<ServiceKey, Error> {
    transit
        .view
        .change(AT, || async {
            if let Some(stored) = transit.view.get(AT).await? {
                let key = ServiceKey::from_record(KIND, stored.value.expose());
                return key.map_err(|_| Error::corrupt(AT));
            }
            let key = pace::slow(KIND, || ServiceKey::generate(KIND, 0))?;
            let record = key.to_record().into_inner();
            transit
                .view
                .commit(Batch::new().absent(AT).put(AT, record))
                .await?;
            Ok(key)
        })
        .await
}
