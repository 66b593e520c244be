//! What keys are used for, and for how long: counts outlive a seal, periods are told of when they end.

use std::time::Duration;

use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn world() -> World {
    let world = World::begun().await;
    let transit = json!({"type": "transit"});
    world.write("sys/mounts/transit", transit).await.unwrap();
    world.write("transit/keys/k", json!({})).await.unwrap();
    world
}

async fn encrypt(world: &World) {
    let body = json!({"plaintext": "aGVsbG8="});
    world.write("transit/encrypt/k", body).await.unwrap();
}

async fn newest(world: &World) -> Value {
    let census = world.read("transit/keys/k/census").await.unwrap();
    census["versions"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn the_census_outlives_a_seal_and_a_new_engine() {
    let mut world = world().await;
    encrypt(&world).await;
    let before = newest(&world).await;
    assert_eq!(before["operations"]["encrypt"], 1);
    assert_eq!(before["last_caller"].as_str().unwrap().len(), 16);
    let options = json!({"options": {"any": "1"}});
    world
        .write("sys/mounts/transit/tune", options)
        .await
        .unwrap();
    assert_eq!(newest(&world).await, before);
    encrypt(&world).await;
    world.core.seal().await.unwrap();
    world.restart().await;
    world.unseal().await.unwrap();
    assert_eq!(newest(&world).await["operations"]["encrypt"], 2);
}

#[tokio::test]
async fn a_turn_of_the_chores_stores_the_census() {
    let mut world = world().await;
    encrypt(&world).await;
    world.core.do_chores().await.unwrap();
    encrypt(&world).await;
    // Killed: nobody seals.
    world.restart().await;
    world.unseal().await.unwrap();
    assert_eq!(newest(&world).await["operations"]["encrypt"], 1);
}

#[tokio::test]
async fn periods_are_told_of_in_the_metrics() {
    let world = world().await;
    let periods = json!({"originator_usage_period": "24h", "recipient_usage_period": "240h"});
    world.write("transit/keys/k/config", periods).await.unwrap();
    world.clock.advance(DAY * 2);
    world.core.do_chores().await.unwrap();
    let report = world.core.report(Some("prometheus")).unwrap();
    let text = String::from_utf8(report.body("")).unwrap();
    for line in [
        "period=\"originator\",state=\"ended\"} 1",
        "period=\"originator\",state=\"ending\"} 0",
        "period=\"recipient\",state=\"ended\"} 0",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let root = Some(&*world.root);
    let key = world
        .ask(root, Op::Read, "transit/keys/k", Value::Null)
        .await;
    let warnings = key.unwrap().warnings;
    assert!(warnings[0].contains("rotate the key"), "{warnings:?}");
}
