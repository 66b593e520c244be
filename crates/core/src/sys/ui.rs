//! `sys/internal/ui/mounts`: what a caller can see, and which mount a path lies in. Command lines
//! ask it before they touch a KV path.

use std::collections::BTreeMap;

use serde::Serialize;

use super::System;
use super::mounts::{Shown, show};
use crate::error::Error;
use crate::mounts::Mount;
use crate::ports::engine::Call;
use crate::reply::Reply;

#[derive(Serialize)]
struct Visible<'a, T> {
    auth: BTreeMap<&'a str, T>,
    secret: BTreeMap<&'a str, T>,
}

/// What may be known without a token.
#[derive(Serialize)]
struct Brief<'a> {
    description: &'a str,
    options: &'a Option<BTreeMap<String, String>>,
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Serialize)]
struct Detailed<'a> {
    #[serde(flatten)]
    mount: Shown<'a>,
    path: &'a str,
}

impl System {
    pub(super) async fn ui_mounts(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let table = self.vault.mounts.table();
        let mounts = table.sorted();
        let Some(token) = &call.caller.token else {
            let open = mounts
                .iter()
                .filter(|m| m.record.config.listing_visibility == "unauth");
            return Reply::data(&sorted(open.copied(), |m| Brief {
                description: &m.record.description,
                options: &m.record.options,
                kind: &m.record.kind,
            }));
        };
        let acl = self.vault.acl(token).await?;
        let seen = mounts.iter().filter(|m| acl.reaches_below(&m.record.path));
        Reply::data(&sorted(seen.copied(), |m| show(&m.record)))
    }

    pub(super) async fn ui_mount(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = call.param("path");
        let acl = self.vault.acl(call.caller.token()?).await?;
        let found = self.vault.mounts.route(path);
        let Some((mount, _)) = found.filter(|(m, _)| acl.reaches_below(&m.record.path)) else {
            let path = format!("{}/", path.trim_end_matches('/'));
            return Err(Error::DeniedBecause(format!(
                "preflight capability check returned 403, please ensure client's policies grant \
                 access to path \"{path}\""
            )));
        };
        let path = mount
            .record
            .path
            .strip_prefix("auth/")
            .unwrap_or(&mount.record.path);
        Reply::data(&Detailed {
            mount: show(&mount.record),
            path,
        })
    }
}

fn sorted<'a, T>(
    mounts: impl Iterator<Item = &'a std::sync::Arc<Mount>>,
    shown: impl Fn(&'a Mount) -> T,
) -> Visible<'a, T> {
    let mut visible = Visible {
        auth: BTreeMap::new(),
        secret: BTreeMap::new(),
    };
    for mount in mounts {
        match mount.record.path.strip_prefix("auth/") {
            Some(path) => visible.auth.insert(path, shown(mount)),
            None => visible.secret.insert(&mount.record.path, shown(mount)),
        };
    }
    visible
}
