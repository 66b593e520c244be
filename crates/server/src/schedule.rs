//! Snapshots that the server makes by itself, into a folder.
//!
//! A file of the folder is whole: it gets its name last. So the newest name says when the last good
//! snapshot was made, across restarts too. Several nodes on one store note that in the store: one of
//! them makes each, and the others wait for the next.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyfold_core::chunks::Chunks as _;
use keyfold_core::clock::{Clock as _, SystemClock, Time};
use keyfold_core::snapshot::{SnapshotTurn, Turn};
use keyfold_core::{Core, Error};
use tokio::sync::{mpsc, watch};

use crate::config::Snapshots;
use crate::http::listener::ServerPhase as Phase;
use crate::snapshot::{Draft, FileError, Summary};

const BEFORE: &str = "keyfold-";
const AFTER: &str = ".kfsnap";
const PART: &str = ".kfsnap.part";
/// How long after a failure it is tried again, where the interval is longer.
const AGAIN: Duration = Duration::from_secs(600);
/// How often it is looked whether the vault is open, where it was not.
const LOOK: Duration = Duration::from_secs(5);
/// Pieces that wait for the disk.
const AHEAD: usize = 4;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Vault(#[from] Error),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the thread that wrote it has ended")]
    Ended,
}

/// Makes a snapshot whenever one is due, until the server stops.
pub async fn run(core: Arc<Core>, snapshots: Snapshots, mut phase: watch::Receiver<Phase>) {
    let last = newest(&snapshots.path);
    core.metrics().snapshots_scheduled(last);
    let now = SystemClock.now();
    let due = |last: Time| snapshots.interval.saturating_sub(now.since(last));
    let mut wait = last.map_or(Duration::ZERO, due);
    loop {
        tokio::select! {
            stopped = phase.wait_for(|phase| *phase != Phase::Serving) => {
                drop(stopped);
                return;
            }
            () = tokio::time::sleep(wait) => {}
        }
        if core.is_sealed() {
            wait = LOOK.min(snapshots.interval);
            continue;
        }
        wait = match turn(&core, &snapshots).await {
            Ok(wait) => wait,
            Err(error) => {
                core.metrics().snapshot_failed();
                tracing::error!(%error, "no snapshot was saved");
                AGAIN.min(snapshots.interval)
            }
        };
    }
}

/// Makes one where that is for this node to do; how long until it is looked again.
async fn turn(core: &Core, snapshots: &Snapshots) -> Result<Duration, Failure> {
    let interval = snapshots.interval;
    let turn = match core.unsealed()?.snapshot_turn(interval).await? {
        Turn::Make(turn) => turn,
        Turn::Made(last) => {
            core.metrics().snapshots_scheduled(Some(last));
            return Ok(interval.saturating_sub(SystemClock.now().since(last)));
        }
        Turn::Elsewhere => return Ok(LOOK.min(interval)),
    };
    let (path, summary) = make(core, snapshots, turn).await?;
    core.metrics().snapshot_saved(SystemClock.now());
    tracing::info!(file = %path.display(), records = summary.records, "snapshot saved");
    Ok(interval)
}

/// Makes one, and removes those that are too many.
async fn make(
    core: &Core,
    snapshots: &Snapshots,
    turn: SnapshotTurn,
) -> Result<(PathBuf, Summary), Failure> {
    let folder = &snapshots.path;
    prepare(folder).map_err(|source| Failure::Folder {
        path: folder.clone(),
        source,
    })?;
    let mut saving = core.unsealed()?.snapshot().await?;
    let begun = SystemClock.now();
    let path = folder.join(name(&saving.header().created));
    let mut draft = Draft::begin(&path)?;
    let (pieces, mut arriving) = mpsc::channel::<Vec<u8>>(AHEAD);
    let (part, target) = (path.clone(), path.clone());
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(piece) = arriving.blocking_recv() {
            let written = draft.write(&piece);
            written.map_err(|source| FileError::Io {
                path: part.clone(),
                source,
            })?;
        }
        // What broke off has no end, which is found here.
        draft.keep()
    });
    let fed = async {
        while let Some(piece) = saving.next().await? {
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        Ok::<_, Error>(())
    }
    .await;
    drop(pieces);
    let written = writing.await.map_err(|_| Failure::Ended)?;
    fed?;
    let summary = written?;
    let noted = core.unsealed()?.snapshot_made(turn, begun).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "other nodes do not know of this snapshot, and may make another");
    }
    if let Err(error) = thin(folder, snapshots.retain) {
        tracing::warn!(%error, folder = %folder.display(), "old snapshots were not removed");
    }
    Ok((target, summary))
}

/// Makes the folder, and clears what a killed server left in it.
fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for name in names(folder, PART)? {
        fs::remove_file(folder.join(name))?;
    }
    Ok(())
}

/// Keeps the newest.
fn thin(folder: &Path, retain: usize) -> io::Result<()> {
    let names = names(folder, AFTER)?;
    let many = names.len().saturating_sub(retain);
    names
        .iter()
        .take(many)
        .try_for_each(|name| fs::remove_file(folder.join(name)))
}

/// When the newest snapshot of a folder was made.
fn newest(folder: &Path) -> Option<Time> {
    names(folder, AFTER)
        .ok()?
        .last()
        .and_then(|name| made(name))
}

/// The files that this module made, by time.
fn names(folder: &Path, after: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        let stem = name
            .strip_prefix(BEFORE)
            .and_then(|n| n.strip_suffix(after));
        // Other files of the folder are none of ours.
        if stem.is_some_and(|stem| stem.len() == 16 && stem.ends_with('Z')) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// `keyfold-20300102T030405Z.kfsnap`, of a time in RFC 3339.
fn name(created: &str) -> String {
    let second = created.split('.').next().unwrap_or_default();
    let digits: String = second.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{BEFORE}{}Z{AFTER}", digits.trim_end_matches('Z'))
}

/// The time that a name tells.
fn made(name: &str) -> Option<Time> {
    let stem = name.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    let part = |from: usize, to: usize| stem.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    Time::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_time() {
        let (whole, parted) = ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05.678Z");
        assert_eq!(name(whole), "keyfold-20300102T030405Z.kfsnap");
        assert_eq!(name(parted), name(whole));
        assert_eq!(made(&name(parted)), Time::parse(whole));
        assert_eq!(made("keyfold-x.kfsnap"), None);
    }

    #[test]
    fn the_newest_are_kept_and_strange_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        prepare(&folder).unwrap();
        for day in 1..=5 {
            let name = name(&format!("2030-01-0{day}T00:00:00Z"));
            fs::write(folder.join(name), "").unwrap();
        }
        for strange in ["keyfold-by-hand.kfsnap", "notes"] {
            fs::write(folder.join(strange), "").unwrap();
        }
        let left = folder.join("keyfold-20300106T000000Z.kfsnap.part");
        fs::write(&left, "").unwrap();
        prepare(&folder).unwrap();
        assert!(!left.exists());
        thin(&folder, 2).unwrap();
        let names = names(&folder, AFTER).unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!(newest(&folder), Time::parse("2030-01-05T00:00:00Z"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
    }
}
