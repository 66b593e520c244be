//! `sys/remount`: moves a mount.

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::System;
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Remount {
    #[serde(default, deserialize_with = "weak::string")]
    from: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    to: Option<String>,
}

#[derive(Serialize)]
struct Queued<'a> {
    migration_id: &'a str,
}

#[derive(Serialize)]
struct Status<'a> {
    migration_id: &'a str,
    migration_info: Info<'a>,
}

#[derive(Serialize)]
struct Info<'a> {
    source_mount: &'a str,
    target_mount: &'a str,
    status: &'static str,
}

impl System {
    /// The mount has moved when this is answered, whatever the warning that clients know says of a
    /// queue.
    pub(super) async fn remount(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Remount>()?;
        let (Some(from), Some(to)) = (asked.from, asked.to) else {
            return Err(Error::bad(
                "both 'from' and 'to' path must be specified as a string",
            ));
        };
        let made = self
            .vault
            .mounts
            .remount(&folder("from", &from)?, &folder("to", &to)?)
            .await?;
        let answer = Reply::injected(&Queued {
            migration_id: &made.id,
        })?;
        Ok(answer.warn("the mount was moved; sys/remount/status/:migration_id tells so, too"))
    }

    pub(super) async fn remount_status(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let made = self.vault.mounts.find_move(call.param("id")).await?;
        let made = made.ok_or(Error::NotFound)?;
        Reply::data(&Status {
            migration_id: &made.id,
            migration_info: Info {
                source_mount: &made.from,
                target_mount: &made.to,
                status: "success",
            },
        })
    }
}

/// The path with its one slash at the end.
fn folder(name: &str, path: &str) -> Result<String, Error> {
    if path.trim_end() != path {
        return Err(Error::bad(format!(
            "'{name}' path cannot contain trailing whitespace"
        )));
    }
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Err(Error::bad(
            "both 'from' and 'to' path must be specified as a string",
        ));
    }
    Ok(format!("{path}/"))
}
