//! A node that was paused, or slow, in the middle of what it did, while another one did the rest.

use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::testing::{LOCKED, SharedStorage};
use serde_json::{Value, json};

use crate::deks::ended;
use crate::nodes::{Cluster, pair};
use crate::world::World;

const LOOK: Duration = Duration::from_millis(2);

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..5_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("it does not come to that");
}

/// Rotates a mount's DEK until the version before it is destroyed.
async fn rotated(world: &World, mount: &str) {
    let path = format!("sys/mounts/{mount}/rotate-dek");
    world.write(&path, json!({"rate": 10_000})).await.unwrap();
    ended(world, &path).await;
}

async fn in_the_middle_of_a_commit(way: &SharedStorage) {
    until(|| way.waiting() > 0).await;
}

#[tokio::test]
async fn what_it_sealed_under_a_dek_that_is_destroyed_meanwhile_is_refused() {
    let Cluster { first, second, way } = pair().await;
    first.write("shelf/old", json!({"v": 1})).await.unwrap();
    way.stand_still();
    let write = second.write("shelf/x", json!({"v": 2}));
    let meanwhile = async {
        in_the_middle_of_a_commit(&way).await;
        rotated(&first, "shelf").await;
        way.heal();
    };
    let (written, ()) = tokio::join!(write, meanwhile);
    let refused = written.err().unwrap();
    assert!(matches!(refused, Error::Stale), "{refused}");
    let gone = first.read("shelf/x").await.unwrap_err();
    assert!(matches!(gone, Error::NotFound), "{gone}");
    // It has heard of it by and by, and writes again.
    let mut again = second.write("shelf/x", json!({"v": 3})).await;
    for _ in 0..500 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(LOOK).await;
        again = second.write("shelf/x", json!({"v": 3})).await;
    }
    again.unwrap();
    assert_eq!(first.read("shelf/x").await.unwrap(), json!({"v": 3}));
    assert_eq!(second.read("shelf/old").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn a_rotation_of_the_kek_leaves_no_mount_behind_that_another_made_meanwhile() {
    let Cluster {
        mut first,
        second,
        way,
    } = pair().await;
    way.stand_still();
    let rotation = second.write("sys/rotate", Value::Null);
    let meanwhile = async {
        in_the_middle_of_a_commit(&way).await;
        tokio::time::sleep(LOCKED).await;
        first
            .write("sys/mounts/more", json!({"type": "shelf"}))
            .await
            .unwrap();
        first.write("more/x", json!({"v": 1})).await.unwrap();
        way.heal();
    };
    let (_perhaps, ()) = tokio::join!(rotation, meanwhile);
    first.restart().await;
    first.unseal().await.unwrap();
    assert_eq!(first.read("more/x").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn one_that_opens_while_keys_are_rotated_uses_those_of_today() {
    let Cluster { first, second, way } = pair().await;
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    second.write("sys/seal", Value::Null).await.unwrap();
    way.hold_join(true);
    let opening = second.unseal();
    let meanwhile = async {
        until(|| way.is_joining()).await;
        first.write("sys/rotate", Value::Null).await.unwrap();
        rotated(&first, "shelf").await;
        way.hold_join(false);
    };
    let (opened, ()) = tokio::join!(opening, meanwhile);
    opened.unwrap();
    second.write("shelf/y", json!({"v": 2})).await.unwrap();
    assert_eq!(first.read("shelf/y").await.unwrap(), json!({"v": 2}));
    assert_eq!(second.read("shelf/x").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn one_whose_turn_has_passed_does_no_chores() {
    let Cluster { first, second, way } = pair().await;
    let hour = Duration::from_secs(3600);
    let (transit, key) = (
        json!({"type": "transit"}),
        json!({"auto_rotate_period": "1h"}),
    );
    first.write("sys/mounts/transit", transit).await.unwrap();
    first.write("transit/keys/k", key).await.unwrap();
    let version = async || first.read("transit/keys/k").await.unwrap()["latest_version"].clone();
    first.clock.advance(hour);
    second.clock.advance(hour);
    way.stand_still();
    let meanwhile = async {
        in_the_middle_of_a_commit(&way).await;
        tokio::time::sleep(LOCKED).await;
        way.heal();
    };
    let (done, ()) = tokio::join!(second.core.do_chores(), meanwhile);
    assert_eq!((done.unwrap(), version().await), (0, json!(1)));
    assert_eq!(first.core.do_chores().await.unwrap(), 1);
    assert_eq!(version().await, 2);
}

#[tokio::test]
async fn a_removed_mount_that_another_has_restored_is_not_cleared() {
    let Cluster { first, second, way } = pair().await;
    let more = json!({"type": "shelf"});
    first.write("sys/mounts/more", more).await.unwrap();
    first.write("more/x", json!({"v": 1})).await.unwrap();
    let snapshot = first.save().await.unwrap();
    second.delete("sys/mounts/more").await.unwrap();
    // What it left is cleared behind the answer.
    way.stand_still();
    in_the_middle_of_a_commit(&way).await;
    first.restore(&snapshot, false).await.unwrap();
    first.unseal().await.unwrap();
    way.heal();
    until(|| way.waiting() == 0).await;
    tokio::time::sleep(LOOK * 50).await;
    assert_eq!(first.read("more/x").await.unwrap(), json!({"v": 1}));
}
