//! `sys/`: the vault's own calls.

mod audit;
mod capabilities;
mod cluster;
mod cors;
mod counters;
mod disks;
mod doors;
mod explain;
mod generate_root;
mod health;
mod insider;
mod key_report;
mod keys;
mod leases;
mod locked_users;
mod machine;
mod managed_keys;
mod meant;
mod metrics;
mod mounts;
mod namespaces;
pub(crate) mod openapi;
mod passwords;
mod plugins;
mod policies;
mod process;
mod quotas;
mod raw;
mod rehearsal;
mod rekey;
mod remount;
mod resultant;
mod rotate_dek;
mod rotation;
mod seal_backends;
pub(crate) mod snapshot;
mod tools;
mod ui;
mod ui_headers;
pub(crate) mod versions;
mod who_can;
mod wrapping;

use std::sync::{Arc, LazyLock};

use keyfold_api::weak;
use serde::Deserialize;

pub use self::doors::Doors;
use self::mounts::Part;
pub(crate) use self::wrapping::not_wrapping;
use crate::error::Error;
use crate::lifecycle::{Core, Unsealed};
use crate::ports::engine::{Call, Engine, Meant, Route};
use crate::reply::Reply;
use crate::request::Op;

/// A row of the table; each topic has some.
type Row = Route<System>;

/// `sys/` of an open vault.
pub struct System {
    /// For sealing.
    pub core: Arc<Core>,
    /// What it speaks of.
    pub vault: Arc<Unsealed>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Sealing {
    /// All nodes of the store, not this one alone.
    #[serde(deserialize_with = "weak::boolean")]
    cluster: Option<bool>,
}

impl System {
    async fn seal(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Sealing>()?;
        match asked.cluster {
            Some(true) => self.core.seal_all().await?,
            _ => self.core.seal().await?,
        }
        Ok(Reply::none())
    }
}

impl Engine for System {
    fn routes() -> &'static [Route<Self>] {
        static ROUTES: LazyLock<Vec<Row>> = LazyLock::new(|| {
            let topics = [
                rotation::rows(),
                rotate_dek::rows(),
                key_report::rows(),
                own(),
                leases::rows(),
                policies::rows(),
                capabilities::rows(),
                passwords::rows(),
                resultant::rows(),
                explain::rows(),
                who_can::rows(),
                wrapping::rows(),
                tools::rows(),
                cors::rows(),
                quotas::rows(),
                metrics::rows(),
                openapi::rows(),
                cluster::rows(),
                namespaces::rows(),
                raw::rows(),
                rehearsal::rows(),
                generate_root::rows(),
                rekey::rows(),
                snapshot::rows(),
                counters::rows(),
                machine::rows(),
                managed_keys::rows(),
                plugins::rows(),
                process::rows(),
                ui_headers::rows(),
                versions::rows(),
            ];
            topics.into_iter().flatten().collect()
        });
        &ROUTES
    }

    fn meant(&self, path: &str) -> Option<Meant> {
        meant::meant(path)
    }
}

/// The rows of smaller topics.
fn own() -> Vec<Row> {
    vec![
        Row::new(Op::Write, "seal", "Seals the vault.", |s, c| {
            Box::pin(s.seal(c))
        })
        .sudo(),
        Row::new(
            Op::Read,
            "key-status",
            "The keyring's active term.",
            |s, _| Box::pin(s.key_status()),
        ),
        Row::new(Op::Read, "mounts", "Lists the mounted engines.", |s, _| {
            Box::pin(s.mounts_list(Part::Engines))
        }),
        Row::new(Op::Read, "mounts/", "Lists the mounted engines.", |s, _| {
            Box::pin(s.mounts_list(Part::Engines))
        }),
        Row::new(
            Op::Read,
            "mounts/{path...}",
            "Reads a mount, or its tuning.",
            |s, c| Box::pin(s.mount_read(c, Part::Engines)),
        ),
        Row::new(
            Op::Write,
            "mounts/{path...}",
            "Mounts an engine, or tunes it.",
            |s, c| Box::pin(s.mount_write(c, Part::Engines)),
        ),
        Row::new(
            Op::Delete,
            "mounts/{path...}",
            "Unmounts; destroys its dek.",
            |s, c| Box::pin(s.mount_delete(c, Part::Engines)),
        ),
        Row::new(Op::Read, "auth", "Lists the auth methods.", |s, _| {
            Box::pin(s.mounts_list(Part::Auths))
        }),
        Row::new(Op::Read, "auth/", "Lists the auth methods.", |s, _| {
            Box::pin(s.mounts_list(Part::Auths))
        }),
        Row::new(
            Op::Read,
            "auth/{path...}",
            "Reads an auth method, or its tuning.",
            |s, c| Box::pin(s.mount_read(c, Part::Auths)),
        )
        .sudo(),
        Row::new(
            Op::Write,
            "auth/{path...}",
            "Enables an auth method, or tunes it.",
            |s, c| Box::pin(s.mount_write(c, Part::Auths)),
        )
        .sudo(),
        Row::new(
            Op::Delete,
            "auth/{path...}",
            "Disables; what logged in there is revoked.",
            |s, c| Box::pin(s.mount_delete(c, Part::Auths)),
        )
        .sudo(),
        Row::new(Op::Write, "remount", "Moves a mount.", |s, c| {
            Box::pin(s.remount(c))
        })
        .sudo(),
        Row::new(
            Op::Read,
            "remount/status/{id}",
            "How a move went.",
            |s, c| Box::pin(s.remount_status(c)),
        ),
        Row::new(Op::Read, "audit", "Lists the audit devices.", |s, _| {
            Box::pin(s.audit_list())
        })
        .sudo(),
        Row::new(
            Op::Write,
            "audit/{path...}",
            "Makes an audit device.",
            |s, c| Box::pin(s.audit_enable(c)),
        )
        .sudo(),
        Row::new(
            Op::Delete,
            "audit/{path...}",
            "Removes an audit device.",
            |s, c| Box::pin(s.audit_disable(c)),
        )
        .sudo(),
        Row::new(
            Op::Write,
            "audit-hash/{path...}",
            "A text as the audit lines show it.",
            |s, c| Box::pin(s.audit_hash(c)),
        ),
        Row::new(
            Op::Read,
            "config/auditing/request-headers",
            "Lists the request headers that are audited.",
            |s, _| Box::pin(s.audited_headers_list()),
        )
        .sudo(),
        Row::new(
            Op::Read,
            "config/auditing/request-headers/{header}",
            "How a header is audited.",
            |s, c| Box::pin(s.audited_header_read(c)),
        )
        .sudo(),
        Row::new(
            Op::Write,
            "config/auditing/request-headers/{header}",
            "Has a header audited.",
            |s, c| Box::pin(s.audited_header_write(c)),
        )
        .sudo(),
        Row::new(
            Op::Delete,
            "config/auditing/request-headers/{header}",
            "Has a header audited no more.",
            |s, c| Box::pin(s.audited_header_delete(c)),
        )
        .sudo(),
        Row::new(
            Op::Read,
            "locked-users",
            "Who is locked out of logging in.",
            |s, c| Box::pin(s.locked_users(c)),
        ),
        Row::new(
            Op::Write,
            "locked-users/{mount_accessor}/unlock/{alias...}",
            "Lets somebody log in again.",
            |s, c| Box::pin(s.unlock_user(c)),
        ),
        Row::new(
            Op::Read,
            "internal/ui/mounts",
            "The mounts the caller sees.",
            |s, c| Box::pin(s.ui_mounts(c)),
        )
        .open(),
        Row::new(
            Op::Read,
            "internal/ui/mounts/{path...}",
            "The mount of a path.",
            |s, c| Box::pin(s.ui_mount(c)),
        )
        .open(),
    ]
}
