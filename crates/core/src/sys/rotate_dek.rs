//! `sys/mounts/<path>/rotate-dek`: another dek for a mount, and how far it is.

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::mounts::Part;
use super::{Row, System};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::renewal::{FASTEST, Phase, Renewal};
use crate::reply::Reply;
use crate::request::Op;

/// Before those of `mounts/{path...}`, which take every path.
pub(super) fn rows() -> Vec<Row> {
    let help = "How far the rotation of a mount's dek is.";
    let start = "Seals all records of a mount under a new dek, in the background.";
    vec![
        Row::new(Op::Read, "mounts/{path...}/rotate-dek", help, |s, c| {
            Box::pin(s.dek_rotation(c, Part::Engines))
        }),
        Row::new(Op::Write, "mounts/{path...}/rotate-dek", start, |s, c| {
            Box::pin(s.rotate_dek(c, Part::Engines))
        })
        .sudo(),
        Row::new(Op::Read, "auth/{path...}/rotate-dek", help, |s, c| {
            Box::pin(s.dek_rotation(c, Part::Auths))
        })
        .sudo(),
        Row::new(Op::Write, "auth/{path...}/rotate-dek", start, |s, c| {
            Box::pin(s.rotate_dek(c, Part::Auths))
        })
        .sudo(),
    ]
}

#[derive(Deserialize)]
struct Write {
    /// Records a second.
    #[serde(default, deserialize_with = "weak::int")]
    rate: Option<i64>,
}

/// A mount's dek.
#[derive(Serialize)]
struct Shown<'a> {
    mount: &'a str,
    /// `idle`, or what is being done: `counting`, `rewriting`, `verifying`; `done`.
    state: &'static str,
    /// The version that seals.
    version: u32,
    #[serde(flatten)]
    last: Option<Last>,
}

/// Its last rotation.
#[derive(Serialize)]
struct Last {
    from_version: u32,
    started: String,
    finished: Option<String>,
    records: u64,
    /// Of them, as many has the state passed.
    records_passed: u64,
    records_rewritten: u64,
    records_damaged: u64,
    rate: u64,
}

impl System {
    async fn rotate_dek(&self, call: &Call<'_>, part: Part) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let rate = asked.rate.map(rate).transpose()?;
        let path = part.folder(call.param("path"));
        let (renewal, under_way) = self.vault.rotate_dek(&path, rate).await?;
        let reply = shown(&path, Some(&renewal), renewal.to)?;
        Ok(match under_way {
            true => reply.warn("the dek of this mount was being rotated already"),
            false => reply,
        })
    }

    async fn dek_rotation(&self, call: &Call<'_>, part: Part) -> Result<Reply, Error> {
        let path = part.folder(call.param("path"));
        let (renewal, version) = self.vault.renewal(&path).await?;
        shown(&path, renewal.as_ref(), version.unwrap_or_default())
    }
}

fn rate(asked: i64) -> Result<u64, Error> {
    let rate = u64::try_from(asked).ok();
    rate.filter(|rate| (1..=FASTEST).contains(rate))
        .ok_or_else(|| Error::field("rate", format!("from 1 to {FASTEST} records a second")))
}

fn shown(mount: &str, renewal: Option<&Renewal>, version: u32) -> Result<Reply, Error> {
    let state = match renewal.map(|renewal| renewal.phase) {
        None => "idle",
        Some(Phase::Counting) => "counting",
        Some(Phase::Rewriting) => "rewriting",
        Some(Phase::Verifying) => "verifying",
        Some(Phase::Done) => "done",
    };
    let last = renewal.map(|renewal| Last {
        from_version: renewal.from,
        started: renewal.started.rfc3339(),
        finished: renewal.finished.map(|time| time.rfc3339()),
        records: renewal.records,
        records_passed: renewal.passed,
        records_rewritten: renewal.rewritten,
        records_damaged: renewal.damaged,
        rate: renewal.rate,
    });
    Reply::data(&Shown {
        mount,
        state,
        version,
        last,
    })
}
