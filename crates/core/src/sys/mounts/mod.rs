//! `sys/mounts` and `sys/auth`: two names of one table. Auth methods are the mounts below `auth/`.

mod members;
mod shown;

use std::collections::BTreeMap;

use self::members::{Mount, Tuning};
pub(super) use self::shown::{Shown, show};
use super::System;
use crate::error::{Error, UnsupportedReason};
use crate::mounts::{AUTH, Target};
use crate::ports::engine::Call;
use crate::reply::Reply;

/// Which part of the table a call means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `sys/mounts`.
    Engines,
    /// `sys/auth`.
    Auths,
}

impl Part {
    /// The mount's path with its slash, and whether its tuning is meant.
    fn split(self, path: &str) -> (String, bool) {
        match path.trim_end_matches('/').strip_suffix("/tune") {
            Some(path) => (self.folder(path), true),
            None => (self.folder(path), false),
        }
    }

    /// The mount's path with its slash.
    pub(super) fn folder(self, path: &str) -> String {
        let below = match self {
            Self::Engines => "",
            Self::Auths => AUTH,
        };
        format!("{below}{}/", path.trim_end_matches('/'))
    }
}

impl System {
    pub(super) async fn mounts_list(&self, part: Part) -> Result<Reply, Error> {
        let table = self.vault.mounts.table();
        let shown: BTreeMap<&str, Shown<'_>> = table
            .iter()
            .filter(|m| m.record.is_auth() == (part == Part::Auths))
            .map(|m| (m.record.short_path(), show(&m.record)))
            .collect();
        Reply::injected(&shown)
    }

    pub(super) async fn mount_read(&self, call: &Call<'_>, part: Part) -> Result<Reply, Error> {
        let (path, tune) = part.split(call.param("path"));
        let table = self.vault.mounts.table();
        let mount = table.at(&path).ok_or_else(|| {
            let kind = match part {
                Part::Engines => "secret engine mount",
                Part::Auths => "auth engine",
            };
            Error::bad(match tune {
                true => format!("cannot fetch sysview for path \"{path}\""),
                false => {
                    let path = part.folder(call.param("path"));
                    let short = path.strip_prefix(AUTH).filter(|_| part == Part::Auths);
                    format!("No {kind} at {}", short.unwrap_or(&path))
                }
            })
        })?;
        let record = &mount.record;
        if !tune {
            return Reply::injected(&show(record));
        }
        let limits = self.vault.mounts.limits(&record.path, &self.vault.settings);
        Reply::injected(&shown::show_tune(record, limits))
    }

    pub(super) async fn mount_write(&self, call: &Call<'_>, part: Part) -> Result<Reply, Error> {
        let (path, tune) = part.split(named(call)?);
        if tune {
            let tune = call.decode::<Tuning>()?.tune()?;
            return Ok(Reply {
                warnings: self.vault.mounts.tune(&path, tune).await?,
                ..Reply::none()
            });
        }
        if part == Part::Engines && path.starts_with(AUTH) {
            return Err(Error::bad(format!("cannot mount \"{path}\"")));
        }
        let new = call.decode::<Mount>()?.wish(path)?;
        if part == Part::Auths && new.kind == "token" {
            return Err(Error::bad(
                "token credential backend cannot be instantiated",
            ));
        }
        self.vault.mounts.mount(new).await?;
        Ok(Reply::none())
    }

    pub(super) async fn mount_delete(&self, call: &Call<'_>, part: Part) -> Result<Reply, Error> {
        let path = part.folder(named(call)?);
        if part == Part::Engines && path.starts_with(AUTH) {
            return Err(Error::bad(format!("cannot unmount \"{path}\"")));
        }
        let table = self.vault.mounts.table();
        if table
            .at(&path)
            .is_some_and(|m| matches!(m.target, Target::Token))
        {
            return Err(Error::bad("token credential backend cannot be disabled"));
        }
        self.vault.mounts.unmount(&path).await?;
        Ok(Reply::none())
    }
}

/// The path that a call names; the list of mounts itself can't be written or removed.
fn named<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    let path = call.param("path");
    match path.trim_matches('/') {
        "" => Err(Error::Unsupported(UnsupportedReason::Operation)),
        _ => Ok(path),
    }
}
