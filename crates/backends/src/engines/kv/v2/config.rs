//! `config`: settings of the mount.

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};

use super::Kv;
use super::record::{CONFIG, Config, check_max_versions};

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::uint")]
    max_versions: Option<u64>,
    #[serde(default, deserialize_with = "weak::boolean")]
    cas_required: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    metadata_cas_required: Option<bool>,
    #[serde(default, deserialize_with = "weak::signed_duration")]
    delete_version_after: Option<Seconds>,
}

#[derive(Serialize)]
struct Shown {
    cas_required: bool,
    delete_version_after: String,
    max_versions: u64,
    metadata_cas_required: bool,
}

impl Kv {
    pub(super) async fn config_read(&self) -> Result<Reply, Error> {
        let config = self.config().await?;
        Reply::data(&Shown {
            cas_required: config.cas_required,
            delete_version_after: go_duration(config.delete_version_after),
            max_versions: config.max_versions,
            metadata_cas_required: config.metadata_cas_required,
        })
    }

    pub(super) async fn config_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        check_max_versions(asked.max_versions)?;
        let view = self.view().await?;
        view.change(CONFIG, || async {
            let read = view.read::<Config>(CONFIG).await?;
            let batch = match &read {
                Some((_, revision)) => Batch::new().unchanged(CONFIG, *revision),
                None => Batch::new().absent(CONFIG),
            };
            let mut config = read.map(|(config, _)| config).unwrap_or_default();
            config.max_versions = asked.max_versions.unwrap_or(config.max_versions);
            config.cas_required = asked.cas_required.unwrap_or(config.cas_required);
            if let Some(required) = asked.metadata_cas_required {
                config.metadata_cas_required = required;
            }
            if let Some(Seconds(after)) = asked.delete_version_after {
                config.delete_version_after = after;
            }
            view.commit(batch.put(CONFIG, json(&config)?)).await?;
            Ok(())
        })
        .await?;
        Ok(Reply::none())
    }
}

/// Seconds as clients of such servers read a duration: `1h30m0s`, `5m0s`, `0s`, `-1s`.
pub(super) fn go_duration(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let n = seconds.unsigned_abs();
    let (h, m, s) = (n / 3600, n % 3600 / 60, n % 60);
    match (h, m) {
        (0, 0) => format!("{sign}{s}s"),
        (0, m) => format!("{sign}{m}m{s}s"),
        (h, m) => format!("{sign}{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_clients_read_them() {
        for (seconds, text) in [
            (0, "0s"),
            (-1, "-1s"),
            (59, "59s"),
            (300, "5m0s"),
            (5400, "1h30m0s"),
            (7200, "2h0m0s"),
        ] {
            assert_eq!(go_duration(seconds), text);
        }
    }
}
