//! The rotation of the kek: by hand, by time, and with a store that does not say how it went.

use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::ports::seal::SealError;
use keyfold_core::ports::storage::Batch;
use keyfold_keys::Wrapped;
use serde_json::{Value, json};

use crate::world::{Machine, Seals, World};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn term(world: &World) -> u64 {
    let status = world.read("sys/key-status").await.unwrap();
    status["term"].as_u64().unwrap()
}

/// Rotates if it is due; true when it was.
async fn tick(world: &World) -> Result<bool, Error> {
    let vault = world.core.unsealed().unwrap();
    Ok(vault.rotate_if_due().await?.is_some())
}

#[tokio::test]
async fn after_a_rotation_nothing_needs_the_old_term() {
    let mut world = World::begun().await;
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    let before = world.dump().await;
    world.write("sys/rotate", Value::Null).await.unwrap();
    let after = world.dump().await;
    let deks = after.iter().filter(|(key, _)| key.starts_with("core/dek/"));
    for (key, value) in deks {
        let wrapped = Wrapped::<keyfold_keys::Dek>::from_bytes(value.clone());
        assert_eq!(wrapped.term(), Ok(2), "{key}");
    }
    // A wrapped dek from before, put back: its term has no key any more.
    let (key, old) = before
        .iter()
        .find(|(key, _)| key.starts_with("core/dek/") && !key.contains("/00000000"))
        .unwrap();
    let put = Batch::new().put(key.clone(), old.clone());
    world.disk.commit(put).await.unwrap();
    world.restart().await;
    let Err(Error::Corrupt(named)) = world.unseal().await else {
        panic!("the old term still unwraps")
    };
    assert_eq!(&named, key);
}

#[tokio::test]
async fn it_happens_by_itself_when_its_time_has_come_and_a_restart_keeps_the_schedule() {
    let mut world = World::begun().await;
    assert!(!tick(&world).await.unwrap());
    let daily = json!({"interval": "24h"});
    world.write("sys/rotate/config", daily).await.unwrap();
    world.clock.advance(DAY / 2);
    assert!(!tick(&world).await.unwrap());
    world.restart().await;
    world.unseal().await.unwrap();
    world.clock.advance(DAY / 2 - Duration::from_secs(1));
    assert!(!tick(&world).await.unwrap());
    world.clock.advance(Duration::from_secs(1));
    assert!(tick(&world).await.unwrap() || term(&world).await == 2);
    assert_eq!(term(&world).await, 2);
    assert!(!tick(&world).await.unwrap());

    // By hand in between: the time runs from there.
    world.clock.advance(DAY / 2);
    world.write("sys/rotate", Value::Null).await.unwrap();
    world.clock.advance(DAY / 2);
    assert!(!tick(&world).await.unwrap());
    let off = json!({"enabled": false});
    world.write("sys/rotate/config", off).await.unwrap();
    world.clock.advance(DAY);
    assert!(!tick(&world).await.unwrap());
    assert_eq!(term(&world).await, 3);
}

#[tokio::test]
async fn a_rotation_that_no_seal_lets_happen_is_made_later() {
    let machine = Machine::new("one", 1);
    let world = World::begun_with(vec![machine.clone()]).await;
    world.core.settle().await.unwrap();
    let daily = json!({"interval": "24h"});
    world.write("sys/rotate/config", daily).await.unwrap();
    machine.seal.fail(Some(SealError::Down("away".into())));
    world.clock.advance(DAY);
    // The sweep in the background may have been first to fail: then it waits already.
    assert!(!matches!(tick(&world).await, Ok(true)));
    machine.seal.fail(None);
    assert!(!tick(&world).await.unwrap(), "it waits a while");
    world.clock.advance(Duration::from_secs(60));
    assert!(tick(&world).await.unwrap() || term(&world).await == 2);
    assert_eq!(term(&world).await, 2);
}

/// Whatever an operation's commit was, its caller was not told; the vault goes on, and so does the
/// store after a restart.
#[tokio::test]
async fn an_unknown_end_bricks_nothing() {
    for first in ["sys/mounts/more", "sys/rotate"] {
        let body = match first {
            "sys/rotate" => Value::Null,
            _ => json!({"type": "shelf"}),
        };
        for n in 0..24 {
            let mut world = World::begun().await;
            world.write("shelf/a", json!({"v": 1})).await.unwrap();
            let start = world.store.operations();
            world.store.unanswered_at(start + n);
            let _ = world.write(first, body.clone()).await;
            world.store.fail_at(usize::MAX);
            let at = format!("{first}, operation {n}");
            world.write("sys/rotate", Value::Null).await.expect(&at);
            let new = json!({"type": "shelf"});
            world.write("sys/mounts/new", new).await.expect(&at);
            world.write("new/b", json!({"v": 2})).await.expect(&at);
            world.restart().await;
            world.unseal().await.expect(&at);
            assert_eq!(world.read("shelf/a").await.expect(&at), json!({"v": 1}));
            assert_eq!(world.read("new/b").await.expect(&at), json!({"v": 2}));
        }
    }
}

#[tokio::test]
async fn the_report_knows_how_old_the_root_key_is() {
    let world = World::begun_under(Seals {
        shares_unseal: false,
        ..Seals::any(vec![Machine::new("one", 1)])
    });
    let world = world.await.unwrap();
    let age = async || {
        let report = world.read("sys/keys/report").await.unwrap();
        let keys = report["keys"].as_array().unwrap().clone();
        assert_eq!(keys[0]["key"], "root-key");
        let none = json!([null, null]);
        for (at, key, name) in [(0, "root-key", "root key"), (1, "seal-wrap", "one")] {
            let told = &keys[at];
            assert_eq!((&told["key"], &told["name"]), (&json!(key), &json!(name)));
            assert_eq!(told["age"], keys[0]["age"], "{key}");
            assert_eq!(json!([told["crypto_period"], told["next_rotation"]]), none);
        }
        assert_eq!(keys[1]["wrapped_by"], json!(["test key 1"]));
        keys[0]["age"].as_u64().unwrap()
    };
    world.clock.advance(DAY);
    assert_eq!(age().await, 86_400);
    world.write("sys/rotate", Value::Null).await.unwrap();
    assert_eq!(age().await, 86_400, "another term, the same root key");
    world.write("sys/rotate/root", Value::Null).await.unwrap();
    assert_eq!(age().await, 0);
}
