//! The key that signs the receipts of a mount: Ed25519, made with the first one, at `receipts-key`. It
//! signs nothing else, and never leaves.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use keyfold_keys::statement::key_id;
use keyfold_keys::transit::{Form, KeyType, ServiceKey};
use serde::Serialize;

use super::super::Transit;

const AT: &str = "receipts-key";
const KIND: KeyType = KeyType::Ed25519;

#[derive(Serialize)]
struct Shown {
    /// PEM.
    public_key: String,
    key_id: String,
}

/// The public half, for those who keep receipts: it has to be known beside them.
pub(in super::super) async fn read(transit: &Transit, _: &Call<'_>) -> Result<Reply, Error> {
    let key = key(transit).await?;
    Reply::data(&Shown {
        public_key: key.public_text(Form::Pem).unwrap_or_default(),
        key_id: key_id(key.public()),
    })
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
            let key = ServiceKey::generate(KIND, 0)?;
            let record = key.to_record().into_inner();
            let batch = Batch::new().absent(AT).put(AT, record);
            transit.view.commit(batch).await?;
            Ok(key)
        })
        .await
}
