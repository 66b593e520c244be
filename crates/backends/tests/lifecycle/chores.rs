//! What engines do by themselves: keys are rotated when their time has come, and the audit log says so.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::ports::audit::{AuditDevice, AuditKind};
use serde_json::{Value, json};

use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);

/// The lines of the one test that makes a device.
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Paper;

impl AuditDevice for Paper {
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        LINES.lock().unwrap().extend_from_slice(lines);
        Ok(())
    }

    fn reopen(&self) -> io::Result<()> {
        Ok(())
    }
}

pub const AUDIT: &[AuditKind] = &[AuditKind {
    name: "paper",
    remote: false,
    open: |_, _| Ok(Arc::new(Paper)),
}];

async fn transit() -> World {
    let world = World::begun().await;
    let transit = json!({"type": "transit"});
    world.write("sys/mounts/transit", transit).await.unwrap();
    world
}

async fn key(world: &World, name: &str, body: Value) {
    let path = format!("transit/keys/{name}");
    world.write(&path, body).await.unwrap();
}

async fn version(world: &World, name: &str) -> u64 {
    let key = world.read(&format!("transit/keys/{name}")).await.unwrap();
    key["latest_version"].as_u64().unwrap()
}

async fn turn(world: &World) -> usize {
    world.core.do_chores().await.unwrap()
}

#[tokio::test]
async fn a_key_is_rotated_when_its_period_is_over_and_the_log_tells_it() {
    let mut world = transit().await;
    let paper = json!({"type": "paper"});
    world.write("sys/audit/paper", paper).await.unwrap();
    key(&world, "k", json!({"auto_rotate_period": "1h"})).await;
    key(&world, "other", json!({})).await;
    assert_eq!(turn(&world).await, 0);
    world.clock.advance(HOUR - Duration::from_secs(1));
    assert_eq!(turn(&world).await, 0);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(turn(&world).await, 1);
    assert_eq!(turn(&world).await, 0);
    assert_eq!(version(&world, "k").await, 2);
    world.clock.advance(HOUR * 5);
    assert_eq!(turn(&world).await, 1, "once, however late");
    world.restart().await;
    assert!(matches!(world.core.do_chores().await, Err(Error::Sealed)));
    world.unseal().await.unwrap();
    assert_eq!(turn(&world).await, 0);
    world.clock.advance(HOUR);
    assert_eq!(turn(&world).await, 1);
    assert_eq!(version(&world, "k").await, 4);
    assert_eq!(version(&world, "other").await, 1);

    let lines = LINES.lock().unwrap().clone();
    let lines: Vec<Value> = serde_json::Deserializer::from_slice(&lines)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let of_it = lines
        .iter()
        .filter(|line| line["request"]["path"] == "transit/keys/k/rotate");
    let of_it: Vec<_> = of_it.collect();
    assert_eq!(of_it.len(), 6, "a request and an answer each time");
    for line in of_it {
        assert_eq!(line["request"]["data"]["if_due"], true);
        assert!(line["auth"].get("client_token").is_none(), "{line}");
        assert!(line.get("error").is_none(), "{line}");
    }
}

#[tokio::test]
async fn a_rotation_by_hand_puts_the_next_one_off() {
    let world = transit().await;
    key(&world, "k", json!({"auto_rotate_period": "1h"})).await;
    world.clock.advance(HOUR / 2);
    key(&world, "k/rotate", json!({})).await;
    world.clock.advance(HOUR / 2);
    assert_eq!(turn(&world).await, 0);
    key(&world, "k/rotate", json!({"if_due": true})).await;
    assert_eq!(version(&world, "k").await, 2);
    world.clock.advance(HOUR / 2);
    assert_eq!(turn(&world).await, 1);
    assert_eq!(version(&world, "k").await, 3);
}

#[tokio::test]
async fn settings_count_from_when_they_are_made() {
    let world = transit().await;
    for name in ["longer", "never", "shelved", "gone"] {
        key(&world, name, json!({"auto_rotate_period": "1h"})).await;
    }
    key(&world, "later", json!({})).await;
    world.clock.advance(HOUR / 2);
    key(&world, "longer/config", json!({"auto_rotate_period": "3h"})).await;
    key(&world, "never/config", json!({"auto_rotate_period": 0})).await;
    key(&world, "later/config", json!({"auto_rotate_period": "2h"})).await;
    key(&world, "gone/config", json!({"deletion_allowed": true})).await;
    world.delete("transit/keys/gone").await.unwrap();
    let shelf = "transit/keys/shelved/soft-delete";
    world.delete(shelf).await.unwrap();

    world.clock.advance(HOUR / 2);
    assert_eq!(turn(&world).await, 0);
    world.clock.advance(HOUR);
    assert_eq!(
        turn(&world).await,
        1,
        "of the one whose newest version is two hours old"
    );
    assert_eq!(version(&world, "later").await, 2);
    key(&world, "shelved/soft-delete-restore", json!({})).await;
    assert_eq!(turn(&world).await, 1);
    assert_eq!(version(&world, "shelved").await, 2);
    world.clock.advance(HOUR);
    assert_eq!(
        turn(&world).await,
        2,
        "the shelved one again, and the one of three hours"
    );
    assert_eq!(version(&world, "longer").await, 2);
    assert_eq!(version(&world, "never").await, 1);
}

#[tokio::test]
async fn what_fails_stays_due_and_is_done_once() {
    let world = transit().await;
    key(&world, "k", json!({"auto_rotate_period": "1h"})).await;
    for at in 0..30 {
        let before = version(&world, "k").await;
        world.clock.advance(HOUR);
        world.store.fail_at(world.store.operations() + at);
        let done = world.core.do_chores().await.unwrap_or_default();
        world.store.mend();
        assert_eq!(done + turn(&world).await, 1, "{at}");
        assert_eq!(version(&world, "k").await, before + 1, "{at}");
    }
}
