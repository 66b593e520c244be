//! `sys/raw`: records as they lie in the store, opened, for whoever repairs or compares. There only
//! where the configuration says so, and demands `sudo`.
//!
//! ```text
//!   core/…               what the store is opened with: listed, never shown or changed
//!   sys/…                core's own records: shown but for its keys, never changed
//!   logical/<uuid>/…     records of a mounted engine: shown and changed
//! ```
//!
//! Core's own records stand in indexes and in each other: to change one of them alone would leave
//! tokens without an end or names without a record. Their own calls change them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::{Row, System};
use crate::barrier::View;
use crate::error::{Error, UnsupportedReason};
use crate::mounts::{self, Target};
use crate::ports::engine::{Call, Window};
use crate::ports::storage::Batch;
use crate::reply::{self, Reply};
use crate::request::Op;

/// Records of core that are keys, or that tokens and shares could be made of.
const KEYS: &[&str] = &[
    "audit/hmac-key",
    "identity/hmac-key",
    "initialize/token",
    "shares-backup",
    "snapshot/key",
    "token/batch-key",
    "token/hmac-key",
];

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            Op::Read,
            "raw/{path...}",
            "A record of the store, opened.",
            |s, c| Box::pin(s.raw_read(c)),
        )
        .sudo(),
        Row::new(
            Op::List,
            "raw/{path...}",
            "Names of records of the store.",
            |s, c| Box::pin(s.raw_list(c)),
        )
        .sudo(),
        Row::new(
            Op::Write,
            "raw/{path...}",
            "Writes a record of a mounted engine.",
            |s, c| Box::pin(s.raw_write(c)),
        )
        .sudo(),
        Row::new(
            Op::Delete,
            "raw/{path...}",
            "Removes a record of a mounted engine.",
            |s, c| Box::pin(s.raw_delete(c)),
        )
        .sudo(),
    ]
}

/// How a value stands in an answer or a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Text,
    Base64,
}

#[derive(Deserialize)]
struct Wish {
    #[serde(default, deserialize_with = "weak::string")]
    encoding: Option<String>,
    /// Nothing is stored compressed.
    #[serde(default, rename = "compressed", deserialize_with = "weak::boolean")]
    _compressed: Option<bool>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default, deserialize_with = "weak::secret_string")]
    value: Option<Secret<String>>,
    #[serde(default, deserialize_with = "weak::string")]
    encoding: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    compression_type: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    value: &'a str,
}

impl System {
    async fn raw_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = self.raw_path(call)?;
        let encoding = Encoding::parse(call.decode::<Wish>()?.encoding)?;
        let (view, key) = match path.split_once('/') {
            Some(("core", _)) => return Err(refused("read", path, OPENS)),
            Some(("sys", key)) if KEYS.contains(&key) => return Err(refused("read", path, IS_KEY)),
            Some(("sys", key)) => (self.vault.system.clone(), key),
            _ => self.raw_of_engine(path).ok_or(Error::NotFound)?,
        };
        if !is_record(key) {
            return Err(Error::NotFound);
        }
        let stored = view.get(key).await?.ok_or(Error::NotFound)?;
        match encoding {
            Encoding::Base64 => {
                let text = Secret::new(STANDARD.encode(stored.value.expose()));
                let value = text.expose();
                Reply::data(&Shown { value })
            }
            Encoding::Text => {
                let value = std::str::from_utf8(stored.value.expose()).map_err(|_| {
                    Error::field("encoding", "the record is no text: ask for it in base64")
                })?;
                Reply::data(&Shown { value })
            }
        }
    }

    async fn raw_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = self.raw_path(call)?;
        let window = call.decode::<Window>()?;
        let folder = match path.trim_end_matches('/') {
            "" => String::new(),
            path => format!("{path}/"),
        };
        let storage = self.vault.barrier.storage();
        let page = storage.list(&folder, window.after(), window.limit(call));
        reply::keys(page.await?.names)
    }

    async fn raw_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = self.raw_path(call)?;
        let written = call.decode::<Written>()?;
        let compression = written.compression_type.unwrap_or_default();
        if !matches!(compression.as_str(), "" | "none") {
            return Err(Error::field(
                "compression_type",
                "records are not compressed here",
            ));
        }
        let value = written
            .value
            .ok_or_else(|| Error::field("value", "missing"))?;
        let value = match Encoding::parse(written.encoding)? {
            Encoding::Text => Secret::new(value.expose().as_bytes().to_vec()),
            Encoding::Base64 => {
                let decoded = STANDARD.decode(value.expose());
                Secret::new(decoded.map_err(|_| Error::field("value", "is not valid base64"))?)
            }
        };
        let (view, key) = self.raw_changed("write", path)?;
        view.commit(Batch::new().put(key, value.into_inner()))
            .await?;
        Ok(Reply::none())
    }

    async fn raw_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = self.raw_path(call)?;
        let (view, key) = self.raw_changed("delete", path)?;
        view.commit(Batch::new().delete(key)).await?;
        Ok(Reply::none())
    }

    /// The place that is asked for, where there are such paths at all.
    fn raw_path<'a>(&self, call: &'a Call<'_>) -> Result<&'a str, Error> {
        match self.core.settings().raw_storage {
            true => Ok(call.param("path")),
            false => Err(Error::Unsupported(UnsupportedReason::Path)),
        }
    }

    /// The record of an engine that is changed.
    fn raw_changed<'a>(&self, verb: &str, path: &'a str) -> Result<(View, &'a str), Error> {
        match path.split_once('/') {
            Some(("core", _)) => Err(refused(verb, path, OPENS)),
            Some(("sys", _)) => Err(refused(verb, path, OWN)),
            _ => self
                .raw_of_engine(path)
                .filter(|(_, key)| is_record(key))
                .ok_or_else(|| refused(verb, path, ELSEWHERE)),
        }
    }

    /// The view of the engine whose record lies there, and the record's key in it.
    fn raw_of_engine<'a>(&self, path: &'a str) -> Option<(View, &'a str)> {
        let table = self.vault.mounts.table();
        let (uuid, _) = path.strip_prefix(mounts::LOGICAL)?.split_once('/')?;
        let mount = table.iter().find(|mount| mount.record.uuid == uuid)?;
        let Target::Engine { view, .. } = &mount.target else {
            return None;
        };
        Some((view.clone(), view.relative(path)?))
    }
}

const OPENS: &str = "it belongs to the keys that open the store";
const IS_KEY: &str = "it is a key of the server's own";
const OWN: &str = "the server's own records stand in indexes, only their own calls change them";
const ELSEWHERE: &str = "only records of a mounted engine are, below logical/<uuid of the mount>/";

fn refused(verb: &str, path: &str, why: &str) -> Error {
    Error::bad(format!("cannot {verb} '{path}': {why}"))
}

/// Not a folder.
fn is_record(key: &str) -> bool {
    !key.is_empty() && !key.ends_with('/')
}

impl Encoding {
    fn parse(word: Option<String>) -> Result<Self, Error> {
        match word.as_deref() {
            None | Some("") => Ok(Self::Text),
            Some("base64") => Ok(Self::Base64),
            Some(_) => Err(Error::field(
                "encoding",
                "has to be base64 where it is given",
            )),
        }
    }
}
