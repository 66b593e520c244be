//! `sys/locked-users`: who is locked out of logging in, and letting them in again.

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::System;
use crate::error::Error;
use crate::mounts::MountRecord;
use crate::ports::engine::Call;
use crate::reply::Reply;

#[derive(Serialize)]
struct Locked {
    by_namespace: [OfNamespace; 1],
    total: usize,
}

#[derive(Serialize)]
struct OfNamespace {
    namespace_id: &'static str,
    namespace_path: &'static str,
    counts: usize,
    mount_accessors: Vec<OfMount>,
}

#[derive(Serialize)]
struct OfMount {
    mount_accessor: String,
    counts: usize,
    alias_identifiers: Option<Vec<String>>,
}

impl System {
    /// `GET locked-users`, of all mounts or of one.
    pub(super) async fn locked_users(&self, call: &Call<'_>) -> Result<Reply, Error> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Wish {
            #[serde(deserialize_with = "weak::string")]
            mount_accessor: Option<String>,
        }
        let wish = call.decode::<Wish>()?.mount_accessor;
        let wish = wish.filter(|accessor| !accessor.is_empty());
        let table = self.vault.mounts.table();
        let mounts = table.iter().map(|mount| &mount.record);
        let mount_accessors: Vec<OfMount> = match wish {
            Some(accessor) => {
                let mut mounts = mounts.filter(|record| record.accessor == accessor);
                vec![OfMount::new(
                    accessor.clone(),
                    mounts.next().map_or_else(Vec::new, |r| self.names(r, call)),
                )]
            }
            None => mounts
                .map(|record| OfMount::new(record.accessor.clone(), self.names(record, call)))
                .filter(|mount| mount.counts > 0)
                .collect(),
        };
        let total = mount_accessors.iter().map(|mount| mount.counts).sum();
        Reply::data(&Locked {
            by_namespace: [OfNamespace {
                namespace_id: "root",
                namespace_path: "",
                counts: total,
                mount_accessors,
            }],
            total,
        })
    }

    /// `PUT locked-users/{mount_accessor}/unlock/{alias}`. One who is not locked is no error.
    pub(super) async fn unlock_user(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (accessor, alias) = (call.param("mount_accessor"), call.param("alias"));
        self.vault.locks.forget(accessor, alias);
        Ok(Reply::none())
    }

    fn names(&self, record: &MountRecord, call: &Call<'_>) -> Vec<String> {
        let rules = self.vault.settings.lockout.of(record);
        rules.map_or_else(Vec::new, |rules| {
            self.vault.locks.locked(&record.accessor, rules, call.now)
        })
    }
}

impl OfMount {
    fn new(mount_accessor: String, names: Vec<String>) -> Self {
        Self {
            mount_accessor,
            counts: names.len(),
            alias_identifiers: (!names.is_empty()).then_some(names),
        }
    }
}
