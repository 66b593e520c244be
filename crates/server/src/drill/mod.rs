//! `keyfold operator drill`: shows that a snapshot can be restored, before it has to be.
//!
//! ```text
//!   file ─whole?─► a store of its own, in a folder that goes ─► opened ─► records, keys: do they open?
//! ```
//!
//! Nothing listens, nothing of the real server is touched: audit devices of the snapshot keep
//! nothing, `initialize` stanzas are left out. Seals are asked, as they would be.

mod keys;
mod sandbox;

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keyfold_core::chunks::Chunks;
use keyfold_core::request::{Body, Op, Request};
use keyfold_core::snapshot::Probe;
use keyfold_core::{Core, Error, Reply, id};
use keyfold_secret::Secret;
use serde::Serialize;
use serde_json::{Value, json};

pub use self::keys::KeyProbe;
use self::sandbox::Sandbox;
use crate::config::{Config, ConfigError};
use crate::snapshot::{FileError, Summary, inspect};

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// What is rehearsed.
pub struct Drill {
    /// The snapshot.
    pub file: PathBuf,
    /// The server's configuration, of which the seals count; none: shares open it.
    pub config: Vec<PathBuf>,
    /// Records that are opened of each mount, and keys that are tried, at most.
    pub records: usize,
}

/// How it went. A failure of a later step leaves the steps after it out.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Everything worked.
    pub ok: bool,
    /// What the file holds; it was whole.
    #[serde(flatten)]
    pub summary: Summary,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// Records of each mount.
    pub mounts: Vec<Probe>,
    /// Transit keys.
    pub keys: Vec<KeyProbe>,
}

/// A step of it.
#[derive(Debug, Serialize)]
pub struct Step {
    /// `whole`, `restored`, `opened`, `records`, `keys`.
    pub step: &'static str,
    /// It worked.
    pub ok: bool,
    /// What was seen.
    pub remark: String,
}

/// Why there was no drill.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The file is no whole snapshot, or can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// This machine.
    #[error("no place for the drill: {0}")]
    Place(#[from] std::io::Error),
    /// The sandbox.
    #[error("the sandbox: {0}")]
    Core(#[from] Error),
}

/// Gives a share: which one, from 1, of how many. None: there are no more.
pub type Shares<'a> = dyn FnMut(u64, u64) -> Option<Secret<String>> + 'a;

/// Rehearses. Makes its own runtime, so call it outside of any.
///
/// # Errors
///
/// It did not come to a restore; whatever fails later stands in the report.
pub fn run(drill: &Drill, shares: &mut Shares<'_>) -> Result<Report, DrillError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(rehearse(drill, shares))
}

async fn rehearse(drill: &Drill, shares: &mut Shares<'_>) -> Result<Report, DrillError> {
    let config = match drill.config.is_empty() {
        true => None,
        false => Some(Config::load(&drill.config)?),
    };
    let summary = inspect(&drill.file)?;
    let remark = format!("{} records, checksum is right", summary.records);
    let mut report = Report {
        ok: false,
        summary,
        steps: Vec::new(),
        mounts: Vec::new(),
        keys: Vec::new(),
    };
    report.note("whole", Ok(remark));
    let sandbox = Sandbox::open(config.as_ref()).await?;
    let core = sandbox.core();
    let restored = restore(core, &drill.file).await;
    if report.note("restored", restored) && report.note("opened", open(core, shares).await) {
        report.probe(core, drill.records).await;
    }
    sandbox.close().await;
    report.ok = report.steps.iter().all(|step| step.ok);
    Ok(report)
}

impl Report {
    /// Notes how a step went; whether it worked.
    fn note(&mut self, step: &'static str, went: Result<String, Error>) -> bool {
        let (ok, remark) = match went {
            Ok(remark) => (true, remark),
            Err(error) => (false, error.to_string()),
        };
        self.steps.push(Step { step, ok, remark });
        ok
    }

    async fn probe(&mut self, core: &Arc<Core>, records: usize) {
        match core.unsealed() {
            Ok(vault) => self.mounts = vault.probe(records).await,
            Err(error) => {
                self.note("records", Err(error));
                return;
            }
        }
        let opened: usize = self.mounts.iter().map(|probe| probe.opened).sum();
        let failed = self.mounts.iter().filter(|p| p.failure.is_some()).count();
        self.note(
            "records",
            match failed {
                0 => Ok(format!("{opened} opened")),
                failed => Err(Error::bad(format!("some of {failed} mounts do not open"))),
            },
        );
        match keys::probe(core, records).await {
            Ok(keys) => self.keys = keys,
            Err(error) => {
                self.note("keys", Err(error));
                return;
            }
        }
        let failed = self.keys.iter().filter(|key| !key.ok).count();
        let keys = self.keys.len();
        let tried = self.keys.iter().filter(|key| key.tried).count();
        self.note(
            "keys",
            match failed {
                0 => Ok(format!("{tried} work, {} were not tried", keys - tried)),
                failed => Err(Error::bad(format!("{failed} of {keys} fail"))),
            },
        );
    }
}

/// As an empty server takes it: no token, no force.
async fn restore(core: &Arc<Core>, path: &Path) -> Result<String, Error> {
    let unreadable = |_| Error::bad("the file can't be read any more");
    let file = File::open(path).map_err(unreadable)?;
    let mut pieces = Pieces(BufReader::with_capacity(PIECE, file));
    let restored = core.restore(&mut pieces, false).await?;
    Ok(format!("as of {}", restored.header.created))
}

/// By the seals where some are configured, by shares where those do not do.
async fn open(core: &Arc<Core>, shares: &mut Shares<'_>) -> Result<String, Error> {
    let by_seals = core.open_by_seals().await;
    if matches!(by_seals, Ok(true)) {
        return Ok("by its seals, and it is as it was made".to_owned());
    }
    let status = value(&ask(core, None, Op::Read, "sys/seal-status", Value::Null).await?);
    let needed = status.get("t").and_then(Value::as_u64).unwrap_or(0);
    for number in 1..=needed {
        let Some(share) = shares(number, needed) else {
            break;
        };
        let key = json!({"key": share.expose()});
        ask(core, None, Op::Write, "sys/unseal", key).await?;
    }
    match (core.is_sealed(), by_seals) {
        (false, _) => Ok("by shares, and it is as it was made".to_owned()),
        (true, Err(error)) => Err(error),
        (true, Ok(_)) => Err(Error::bad(format!(
            "it takes {needed} different shares, or the configuration of its seals"
        ))),
    }
}

/// Asks a vault in this process.
async fn ask(
    core: &Arc<Core>,
    token: Option<&Secret<String>>,
    op: Op,
    path: &str,
    body: Value,
) -> Result<Reply, Error> {
    let body = match body {
        Value::Null => Body::empty(),
        body => Body::new(body.to_string().into_bytes()),
    };
    let request = Request {
        id: id::uuid(),
        op,
        path: path.to_owned(),
        body,
        token: token.map(|token| Secret::new(token.expose().clone())),
        remote: None,
        headers: Vec::new(),
        wrap_ttl: None,
        index: None,
    };
    core.handle(request).await
}

/// The data of an answer.
fn value(reply: &Reply) -> Value {
    let data = reply.data.as_ref();
    data.and_then(|data| serde_json::from_slice(data.bytes()).ok())
        .unwrap_or_default()
}

struct Pieces(BufReader<File>);

#[async_trait]
impl Chunks for Pieces {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut piece = vec![0; PIECE];
        let read = self.0.read(&mut piece);
        let read = read.map_err(|_| Error::bad("the file can't be read to its end"))?;
        piece.truncate(read);
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}
