//! The start is cut off: a store is made, opened, or repaired.

use std::fs;
use std::thread::sleep;
use std::time::Instant;

use serde_json::json;

use crate::acts::State;
use crate::fault::{Fault, Strike};
use crate::prepared::{Base, Prepared};
use crate::record::Record;
use crate::site::Site;
use crate::talk::text;
use crate::{Found, PATIENCE, PAUSE};

/// What the server finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing.
    First,
    /// A store that was closed.
    Again,
    /// A store that was not.
    AfterCrash,
}

impl Start {
    /// In the order of the table's rows.
    pub const ALL: [Self; 3] = [Self::First, Self::Again, Self::AfterCrash];

    /// The first column of the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first start",
            Self::Again => "start",
            Self::AfterCrash => "start after a crash",
        }
    }

    /// The calls that a fault can strike. A new store has its name once it is whole, so there is nothing to tear.
    pub fn calls(self, fault: Fault) -> &'static [&'static str] {
        match (self, fault) {
            (Self::First, Fault::Torn | Fault::Cut) => &[],
            (Self::First, Fault::Full) => &["pwrite64", "linkat"],
            (Self::First, _) => &["pwrite64", "fdatasync", "fsync", "linkat"],
            (_, Fault::Killed | Fault::Failed) => &["pread64", "pwrite64", "fdatasync"],
            (_, Fault::Cut) => &["pwrite64", "fdatasync"],
            (_, Fault::Torn | Fault::Full) => &["pwrite64"],
        }
    }

    /// Strikes one call of a start, and starts again.
    pub fn point(self, prepared: &Prepared, strike: Strike) -> Result<Found, String> {
        let base = match self {
            Self::First => Base::Empty,
            _ => Base::Filled,
        };
        let mut site = Site::start(prepared, base, "")?;
        let store = site.file("store");
        match self {
            Self::First => {
                site.stop()?;
                fs::remove_file(&store).map_err(text)?;
            }
            Self::Again => site.stop()?,
            Self::AfterCrash => {
                site.open()?;
                let body = json!({"data": {"v": "newest"}});
                site.put("notes/data/changing", body)?;
                site.kill();
            }
        }
        let record = site.file("strace.record");
        let only = (self != Self::First).then_some(store.as_path());
        // With -D the program takes the place of strace, which becomes another process.
        let mut under = vec!["strace".to_owned(), "-D".to_owned()];
        under.extend(strike.arguments(&record, only));
        let before = match self {
            Self::First => Vec::new(),
            _ => fs::read(&store).map_err(text)?,
        };
        let started = site.restart_under(under);
        let log = site.log();
        site.kill();
        let record = complete(&site)?;
        let struck = match strike.fault.kills() {
            true => started.is_err() && record.killed(),
            false => record.injected(),
        };
        if struck && self != Self::First {
            strike.damage(&store, before, &record).map_err(text)?;
        }
        let file = store.display().to_string();
        let named = log.contains(&file) || log.contains("storage failed");
        let found = match (started, struck) {
            (Ok(()), true) => Some((State::New, Some(true))),
            (Ok(()), false) => None,
            (Err(_), true) if strike.fault.kills() || named => Some((State::Old, None)),
            (Err(error), _) => return Err(error),
        };
        site.restart()?;
        self.look(&mut site)?;
        match site.log().contains("panicked") {
            true => Err(format!("it has panicked; its log:\n{}", site.log())),
            false => Ok(found),
        }
    }

    /// It serves what it had.
    fn look(self, site: &mut Site<'_>) -> Result<(), String> {
        if self == Self::First {
            let terms = json!({"secret_shares": 1, "secret_threshold": 1});
            return Ok(site.put("sys/init", terms).map(drop)?);
        }
        site.open()?;
        site.canaries()?;
        let newest = site.get("notes/data/changing")?;
        let wanted = match self {
            Self::AfterCrash => "newest",
            _ => "old",
        };
        crate::talk::same("the newest", &newest["data"]["data"]["v"], &json!(wanted))
    }
}

/// What strace has written, once it has ended.
fn complete(site: &Site<'_>) -> Result<Record, String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let record = Record::read(&site.file("strace.record")).map_err(text)?;
        if record.is_complete() {
            return Ok(record);
        }
        if Instant::now() > end {
            return Err("strace did not end".to_owned());
        }
        sleep(PAUSE);
    }
}
