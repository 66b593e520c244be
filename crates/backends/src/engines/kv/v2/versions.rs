//! `delete/`, `undelete/`, `destroy/`: versions by number. Unknown numbers are passed over.

use std::collections::BTreeSet;

use keyfold_api::weak;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::Deserialize;

use super::record::{Secret, version_key};
use super::{Kv, path};

#[derive(Deserialize)]
struct Versions {
    #[serde(default, deserialize_with = "weak::ints")]
    versions: Option<Vec<i64>>,
}

/// The versions a call names, each once.
fn numbers(call: &Call<'_>, missing: &str) -> Result<BTreeSet<u64>, Error> {
    let given = call.decode::<Versions>()?.versions.unwrap_or_default();
    if given.is_empty() {
        return Err(Error::bad(missing));
    }
    Ok(given
        .into_iter()
        .filter_map(|n| u64::try_from(n).ok())
        .collect())
}

impl Kv {
    pub(super) async fn delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
        let numbers = numbers(call, "No version number provided")?;
        self.change(path, |secret, now| {
            for number in &numbers {
                if let Some(version) = secret.versions.get_mut(number)
                    && version.readable(now)
                {
                    version.deletion = Some(now);
                }
            }
            Vec::new()
        })
        .await
    }

    pub(super) async fn undelete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
        let numbers = numbers(call, "No version number provided")?;
        self.change(path, |secret, _| {
            for number in &numbers {
                if let Some(version) = secret.versions.get_mut(number)
                    && !version.destroyed
                {
                    version.deletion = None;
                }
            }
            Vec::new()
        })
        .await
    }

    pub(super) async fn destroy(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
        let numbers = numbers(call, "no version number provided")?;
        self.change(path, |secret, _| {
            let mut gone = Vec::new();
            for number in &numbers {
                if let Some(version) = secret.versions.get_mut(number) {
                    version.destroyed = true;
                    gone.push(*number);
                }
            }
            gone
        })
        .await
    }

    /// Changes a secret's versions; `change` says whose data goes. A secret that is not there is
    /// no error, and one that stays as it is is not written.
    pub(super) async fn change(
        &self,
        path: &str,
        change: impl Fn(&mut Secret, Time) -> Vec<u64>,
    ) -> Result<Reply, Error> {
        let view = self.view().await?;
        view.change(path, || async {
            let Some((stored, revision)) = self.secret(path).await? else {
                return Ok(());
            };
            let mut secret = stored.clone();
            let gone = change(&mut secret, self.clock.now());
            if secret == stored {
                return Ok(());
            }
            let deletes = gone.iter().map(|n| version_key(path, *n)).collect();
            let batch = Batch {
                deletes,
                ..Batch::new()
            };
            view.commit(self.store(path, &secret, Some(revision), batch)?)
                .await?;
            Ok(())
        })
        .await?;
        Ok(Reply::none())
    }
}
