//! Processes on one file, some of them killed: it is always a keyring, and no use is lost.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::cache::{CacheLimits, Clock, DekCache, Load, Partition, SystemClock};
use crate::key_service::KeyService;
use crate::testing::{Service, locator};

/// Names the folder of the race in a child's environment.
const FOLDER: &str = "KEYFOLD_TEST_RACE";
const CHILDREN: usize = 4;
const KILLS: usize = 12;
const MOST_USES: u64 = 60;

fn store(folder: &Path) -> FileStore {
    FileStore::new(&folder.join("keyring"))
}

fn deks(folder: &Path) -> ServiceDeks {
    let keys: Arc<dyn KeyService> = Arc::new(Service::fixed());
    let limits = DekLimits {
        uses: MOST_USES,
        block_uses: 7,
        ..DekLimits::default()
    };
    let options = DekOptions { limits, key: None };
    let cache = DekCache::new(CacheLimits::default());
    let partition = Partition::of(&[]);
    ServiceDeks::open(Box::new(store(folder)), keys, partition, cache, options).unwrap()
}

/// What a child does until it is killed: encrypts, and then writes down under which DEK.
#[test]
#[ignore = "runs as a child of the test below"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let log = folder.join(format!("log.{}", std::process::id()));
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    let deks = deks(&folder);
    loop {
        let dek = deks.encrypting(Load { uses: 1, bytes: 10 }).unwrap();
        log.write_all(format!("{}\n", dek.dek_no()).as_bytes())
            .unwrap();
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keyring::race::child", "--ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_processes_leave_a_keyring_and_count_too_much_never_too_little() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let keyring = Keyring::new("payments", locator()).unwrap();
    let now = SystemClock::new().now();
    ServiceDeks::create(&store(folder), &Service::fixed(), &keyring, now).unwrap();

    let mut children: Vec<_> = (0..CHILDREN).map(|_| spawn(folder)).collect();
    for kill in 0..KILLS {
        // Each time at another point of what they do.
        for _ in 0..10 + kill {
            thread::sleep(Duration::from_millis(3));
            store(folder).load().unwrap();
        }
        let child = &mut children[kill % CHILDREN];
        child.kill().unwrap();
        child.wait().unwrap();
        *child = spawn(folder);
    }
    // All that was written before the last ones are killed has to be counted, not what comes later.
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let mut used = BTreeMap::<u32, u64>::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("log.") {
            for line in fs::read_to_string(entry.path()).unwrap().lines() {
                *used.entry(line.parse().unwrap()).or_default() += 1;
            }
        }
    }
    assert!(used.len() > 1, "they made DEKs: {used:?}");
    let keyring = store(folder).load().unwrap();
    for row in keyring.rows() {
        let used = used.remove(&row.dek_no).unwrap_or_default();
        assert!(
            used <= row.uses && row.uses <= MOST_USES,
            "{used} of {row:?}"
        );
    }
    assert!(used.is_empty(), "uses of DEKs that are nowhere: {used:?}");
    let states = keyring
        .rows()
        .iter()
        .filter(|row| row.state == DekState::Active);
    assert_eq!(states.count(), 1);
    // And it goes on.
    let deks = deks(folder);
    assert!(deks.encrypting(Load { uses: 1, bytes: 1 }).is_ok());
    for row in keyring.rows() {
        assert!(deks.decrypting(row.dek_no).is_ok());
    }
}
