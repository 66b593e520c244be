//! [`Journal`]: one line for each item that a run changed or could not change.
//!
//! It is for people and for audits. A run that goes on after another one reads it to tell what was
//! done before; what there is to do it takes from the items themselves.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use keyfold_envelope::{Done, Outcome};
use keyfold_keys::digest::Digest;
use serde_json::{Value, json};

use super::hex as hex_of;
use crate::error::CliError;

/// What the first line says.
const TITLE: &str = "keyfold";

/// A journal that is being written.
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    /// What earlier runs wrote.
    pub(super) earlier: Earlier,
}

/// The lines of earlier runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Earlier {
    /// Items that were changed.
    pub(super) changed: u64,
    /// Items that failed.
    pub(super) failed: u64,
    /// Object ids of new envelopes. The last of a run that was killed may never have been there.
    pub(super) made: HashSet<[u8; 16]>,
}

impl Journal {
    /// Opens or makes a journal. A line that was cut when its run was killed is taken away.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let failed = || CliError::io(format!("can't use the journal {}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = path.display();
                let text = format!("another run writes the journal {path}");
                return Err(CliError::Usage(text));
            }
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
        }
        let read = read(&mut file).map_err(failed())?;
        let Read { earlier, whole } = read.ok_or_else(|| {
            CliError::Usage(format!("{} is there and is no journal", path.display()))
        })?;
        // Only the rest of a line that has no end is behind it.
        file.set_len(whole).map_err(failed())?;
        let journal = Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            earlier,
        };
        if whole == 0 {
            journal.line(&json!({ "journal": TITLE, "format": 1 }))?;
        }
        Ok(journal)
    }

    /// Writes what became of one item.
    pub(super) fn done(&self, done: &Done<'_>) -> Result<(), CliError> {
        let mut line = json!({ "place": done.place.to_string_lossy() });
        let mut set = |name: &str, value: Value| {
            if let Some(line) = line.as_object_mut() {
                line.insert(name.to_owned(), value);
            }
        };
        if let Some(key) = done.key {
            set("key", key.as_str().into());
        }
        match &done.outcome {
            Outcome::Rewrapped { old, version } => {
                set("state", "rewrapped".into());
                set("old_version", old.version.into());
                set(
                    "old_wrap_sha256",
                    hex_of(&Digest::Sha2_256.of(&old.blob)).into(),
                );
                set("new_version", (*version).into());
            }
            Outcome::Replacing { object_id } => {
                set("state", "replacing".into());
                set("object_id", hex_of(*object_id).into());
            }
            Outcome::Retired => set("state", "retired".into()),
            Outcome::Failed(error) => {
                set("state", "failed".into());
                set("error", error.to_string().into());
            }
            _ => return Ok(()),
        }
        self.line(&line)
    }

    /// Returns when the lines would survive a loss of power.
    pub(super) fn settle(&self) -> Result<(), CliError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.sync_data().map_err(self.failed())
    }

    fn line(&self, line: &Value) -> Result<(), CliError> {
        let text = format!("{line}\n");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes()).map_err(self.failed())
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> CliError {
        CliError::io(format!("can't write the journal {}", self.path.display()))
    }
}

struct Read {
    earlier: Earlier,
    /// Bytes of the lines that have an end.
    whole: u64,
}

/// Reads a journal from its start; `None` where it is something else.
fn read(file: &mut File) -> io::Result<Option<Read>> {
    file.seek(SeekFrom::Start(0))?;
    let mut read = Read {
        earlier: Earlier::default(),
        whole: 0,
    };
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let len = lines.read_until(b'\n', &mut line)? as u64;
        if line.last() != Some(&b'\n') {
            // A first line that was cut is of a journal, too, as far as it goes.
            let title = format!("{{\"format\":1,\"journal\":\"{TITLE}\"}}");
            let is_ours = read.whole > 0 || title.as_bytes().starts_with(&line);
            return Ok(is_ours.then_some(read));
        }
        let said: Value = serde_json::from_slice(&line).unwrap_or_default();
        if read.whole == 0 && said.get("journal") != Some(&TITLE.into()) {
            return Ok(None);
        }
        match said.get("state").and_then(Value::as_str) {
            Some("failed") => read.earlier.failed = read.earlier.failed.saturating_add(1),
            Some(_) => read.earlier.changed = read.earlier.changed.saturating_add(1),
            None => {}
        }
        read.earlier.made.extend(object_id(&said));
        read.whole = read.whole.saturating_add(len);
    }
}

/// The new envelope that a line tells of.
fn object_id(line: &Value) -> Option<[u8; 16]> {
    let text = line.get("object_id")?.as_str()?;
    let mut id = [0; 16];
    hex::decode_to_slice(text, &mut id).ok()?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use keyfold_envelope::{Error, WrappedDek};

    use super::*;

    fn write(journal: &Journal, place: &str, failed: bool) {
        let old = WrappedDek {
            version: 1,
            blob: vec![7; 60],
        };
        let outcome = match failed {
            true => Outcome::Failed(&Error::TornSlot),
            false => Outcome::Rewrapped {
                old: &old,
                version: 2,
            },
        };
        let done = Done {
            place: Path::new(place),
            key: None,
            outcome,
        };
        journal.done(&done).unwrap();
    }

    #[test]
    fn the_next_run_reads_it_and_a_torn_line_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.earlier, Earlier::default());
        write(&journal, "a", false);
        write(&journal, "b", true);
        assert!(
            matches!(Journal::open(&path), Err(CliError::Usage(_))),
            "in use"
        );
        drop(journal);
        let whole = fs::read(&path).unwrap();
        // Cut at every byte of the last line, and inside the first one.
        let last = whole[..whole.len() - 1]
            .iter()
            .rposition(|b| *b == b'\n')
            .unwrap()
            + 1;
        for len in last..=whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let journal = Journal::open(&path).unwrap();
            let failed = u64::from(len == whole.len());
            assert_eq!(
                journal.earlier,
                Earlier {
                    changed: 1,
                    failed,
                    ..Earlier::default()
                }
            );
            drop(journal);
            let kept = if failed == 1 { whole.len() } else { last };
            assert_eq!(fs::read(&path).unwrap(), whole[..kept]);
        }
        fs::write(&path, &whole[..9]).unwrap();
        write(&Journal::open(&path).unwrap(), "a", false);
        assert_eq!(fs::read(&path).unwrap(), whole[..last]);
    }

    #[test]
    fn new_envelopes_are_known_by_their_ids() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        for object_id in [[7; 16], [9; 16]] {
            let done = Done {
                place: Path::new("a"),
                key: None,
                outcome: Outcome::Replacing {
                    object_id: &object_id,
                },
            };
            journal.done(&done).unwrap();
        }
        drop(journal);
        let earlier = Journal::open(&path).unwrap().earlier;
        assert_eq!(earlier.made, HashSet::from([[7; 16], [9; 16]]));
    }

    #[test]
    fn another_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        for text in ["hello", "hello\nworld\n", "{}\n", "{\"journal\":1}\n"] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(Journal::open(&path), Err(CliError::Usage(_))),
                "{text}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_line_says_what_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        write(&Journal::open(&path).unwrap(), "data/a.kf", false);
        let text = fs::read_to_string(&path).unwrap();
        let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(
            (&line["place"], &line["state"]),
            (&json!("data/a.kf"), &json!("rewrapped"))
        );
        assert_eq!(
            (&line["old_version"], &line["new_version"]),
            (&json!(1), &json!(2))
        );
        assert_eq!(line["old_wrap_sha256"].as_str().unwrap().len(), 64);
    }
}
