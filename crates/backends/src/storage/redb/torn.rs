//! Power cuts: what was synced is on the disk, of what was not any part may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_core::ports::storage::{Batch, Storage};

use super::disk::Health;
use super::faults::Event;
use super::{Options, Redb};

/// What a torn write leaves whole, bytes.
const SECTOR: usize = 512;
const COMMITS: u8 = 8;

/// Cuts the power at every point of a recorded run, several times with other parts of the unsynced
/// writes on the disk: the store opens, holds every acknowledged commit, and none in part.
#[tokio::test]
async fn acknowledged_commits_survive_power_cuts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    drop(Redb::open(&file).unwrap());
    let empty = std::fs::read(&file).unwrap();
    let health = Arc::new(Health::default());
    health.faults.record();
    let store = Redb::open_on(&file, Options::default(), Arc::clone(&health)).unwrap();
    // How much of the run each commit needed, its acknowledgement included.
    let mut acknowledged = Vec::new();
    for n in 0..COMMITS {
        store.commit(batch(n)).await.unwrap();
        acknowledged.push(health.faults.recorded());
    }
    let events = health.faults.take_record();
    drop(store);

    let mut random = Random(1);
    for cut in 0..=events.len() {
        let safe = acknowledged.iter().filter(|needed| **needed <= cut).count();
        for _ in 0..2 {
            let path = directory.path().join("cut.redb");
            std::fs::write(&path, disk_after(&empty, &events[..cut], &mut random)).unwrap();
            let store = Redb::open(&path).unwrap();
            let found = commits_in(&store).await;
            assert!(
                found >= safe,
                "cut {cut}: {found} of {safe} acknowledged commits"
            );
            assert!(found <= usize::from(COMMITS));
        }
    }
}

/// The power is cut at every point of a restore: there is the old store or the new one, whole, and
/// the new one once it was acknowledged.
#[tokio::test]
async fn a_restore_survives_power_cuts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    let store = Redb::open(&file).unwrap();
    let old = Batch::new().put("old/a", "1").put("old/b", "2");
    store.commit(old).await.unwrap();
    drop(store);
    let before = std::fs::read(&file).unwrap();
    let health = Arc::new(Health::default());
    health.faults.record();
    let store = Redb::open_on(&file, Options::default(), Arc::clone(&health)).unwrap();
    let mut staged = store.stage().await.unwrap();
    for n in 0..3 {
        let entry = (format!("new/{n}"), vec![n; 3000]);
        staged.add(vec![entry]).await.unwrap();
    }
    staged.adopt().await.unwrap();
    let acknowledged = health.faults.recorded();
    let events = health.faults.take_record();
    drop(store);

    let mut random = Random(2);
    for cut in 0..=events.len() {
        for _ in 0..2 {
            let path = directory.path().join("cut.redb");
            std::fs::write(&path, disk_after(&before, &events[..cut], &mut random)).unwrap();
            let store = Redb::open(&path).unwrap();
            let mut whole = store.whole().await.unwrap();
            let entries = whole.next().await.unwrap();
            let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
            if keys == ["old/a", "old/b"] {
                assert!(
                    cut < acknowledged,
                    "cut {cut}: an acknowledged restore is lost"
                );
            } else {
                assert_eq!(keys, ["new/0", "new/1", "new/2"], "cut {cut}");
            }
        }
    }
}

/// Two keys of its own, and one that all overwrite.
fn batch(n: u8) -> Batch {
    let size = 100 + usize::from(n) * 331 % 9000;
    Batch::new()
        .put(format!("a/{n:03}"), vec![n; size])
        .put(format!("b/{n:03}"), vec![n; size])
        .put("latest", [n])
}

/// How many commits the store has; they must be the first ones, each as a whole.
async fn commits_in(store: &Redb) -> usize {
    let names = store.list("a/", "", 0).await.unwrap().names;
    assert_eq!(names, store.list("b/", "", 0).await.unwrap().names);
    for (n, name) in names.iter().enumerate() {
        assert_eq!(*name, format!("{n:03}"));
        let whole = batch(u8::try_from(n).unwrap());
        for (key, value) in whole.puts.iter().take(2) {
            assert!(
                store.get(key).await.unwrap().unwrap().value == *value,
                "{key}"
            );
        }
    }
    let latest = store
        .get("latest")
        .await
        .unwrap()
        .map(|entry| usize::from(entry.value[0]));
    assert_eq!(latest, names.len().checked_sub(1));
    names.len()
}

/// The bytes on the disk when the power goes after these events.
fn disk_after(before: &[u8], events: &[Event], random: &mut Random) -> Vec<u8> {
    let synced = events
        .iter()
        .rposition(|event| matches!(event, Event::Sync))
        .unwrap_or(0);
    let mut disk = before.to_vec();
    // Of unsynced writes to one sector only the order is kept; each may be missing.
    let mut pending: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for (n, event) in events.iter().enumerate() {
        match event {
            Event::Length(length) => disk.resize(usize::try_from(*length).unwrap(), 0),
            Event::Write(offset, bytes) if n < synced => put(&mut disk, *offset, bytes),
            Event::Write(offset, bytes) => {
                for (part, bytes) in bytes.chunks(SECTOR).enumerate() {
                    let at = usize::try_from(*offset).unwrap() + part * SECTOR;
                    pending.entry(at).or_default().push(bytes.to_vec());
                }
            }
            Event::Sync => {}
        }
    }
    for (at, versions) in pending {
        let reached = random.below(versions.len() + 1);
        if let Some(bytes) = reached.checked_sub(1).and_then(|n| versions.get(n)) {
            put(&mut disk, at as u64, bytes);
        }
    }
    disk
}

fn put(disk: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let at = usize::try_from(offset).unwrap();
    if disk.len() < at + bytes.len() {
        disk.resize(at + bytes.len(), 0);
    }
    disk[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The same sequence each time (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}
