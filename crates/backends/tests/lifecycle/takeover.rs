//! What one node of several does by itself, and another one when that is gone; and how a node tells where
//! it stands.

use std::time::Duration;

use keyfold_core::clock::Time;
use keyfold_core::snapshot::Turn;
use keyfold_core::testing::BOUND;
use serde_json::{Value, json};

use crate::deks::ended;
use crate::nodes::{Cluster, pair};
use crate::world::World;

const PATH: &str = "sys/mounts/shelf/rotate-dek";

/// Begins a rotation so slow that it is under way when its node goes, and seals that node.
async fn left_behind(node: &World, records: u32, rate: u32) {
    for number in 0..records {
        let body = json!({"v": number});
        node.write(&format!("shelf/x{number}"), body).await.unwrap();
    }
    node.write(PATH, json!({"rate": rate})).await.unwrap();
    node.write("sys/seal", Value::Null).await.unwrap();
}

#[tokio::test]
async fn a_deks_rotation_goes_on_when_the_node_that_began_it_is_gone() {
    let Cluster { first, second, .. } = pair().await;
    left_behind(&first, 40, 20).await;
    let state = second.read(PATH).await.unwrap();
    assert_ne!(state["state"], "done", "{state}");
    second.write(PATH, json!({"rate": 10_000})).await.unwrap();
    ended(&second, PATH).await;
    for number in 0..40 {
        let read = second.read(&format!("shelf/x{number}")).await.unwrap();
        assert_eq!(read, json!({"v": number}));
    }
    // Without having been asked, a node that was away does not keep the old version either.
    first.unseal().await.unwrap();
    assert_eq!(first.read("shelf/x1").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn a_deks_rotation_that_nobody_asks_about_goes_on_elsewhere() {
    let Cluster { first, second, .. } = pair().await;
    left_behind(&first, 8, 4).await;
    ended(&second, PATH).await;
}

#[tokio::test]
async fn of_several_nodes_one_makes_a_scheduled_snapshot() {
    let Cluster { first, second, .. } = pair().await;
    let (one, other) = (
        first.core.unsealed().unwrap(),
        second.core.unsealed().unwrap(),
    );
    let day = Duration::from_secs(24 * 3600);
    let Turn::Make(turn) = one.snapshot_turn(day).await.unwrap() else {
        panic!("there is none yet")
    };
    let meanwhile = other.snapshot_turn(day).await.unwrap();
    assert!(matches!(meanwhile, Turn::Elsewhere));
    let begun = Time(1_900_000_000_000_000_000);
    one.snapshot_made(turn, begun).await.unwrap();
    for node in [&one, &other] {
        let next = node.snapshot_turn(day).await.unwrap();
        assert!(matches!(next, Turn::Made(made) if made == begun));
    }
    second.clock.advance(day);
    first.clock.advance(day);
    let next = other.snapshot_turn(day).await.unwrap();
    assert!(matches!(next, Turn::Make(_)));
    drop(next);
    // One that failed is anyone's.
    let next = one.snapshot_turn(day).await.unwrap();
    assert!(matches!(next, Turn::Make(_)));
}

#[tokio::test]
async fn a_nodes_metrics_tell_who_it_is_and_how_far() {
    let Cluster { first, second, way } = pair().await;
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    let metric = |name: &str| {
        let reply = second.core.report(Some("prometheus")).unwrap();
        let text = String::from_utf8(reply.body("")).unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    let own = "vault_node_info{node_id=\"node-1\",version=";
    assert_eq!(
        (metric(own), metric("vault_node_fresh")),
        (Some(1), Some(1))
    );
    let applied = metric("vault_node_applied_index").unwrap();
    first
        .write(
            "sys/policies/acl/p",
            json!({"policy": "path \"shelf/*\" { capabilities = [\"read\"] }"}),
        )
        .await
        .unwrap();
    let mut rounds = 0;
    while metric("vault_node_applied_index").unwrap() <= applied {
        rounds += 1;
        assert!(rounds < 1_000, "it does not hear of it");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    way.cut();
    tokio::time::sleep(2 * BOUND).await;
    assert_eq!(metric("vault_node_fresh"), Some(0));
    assert!(metric("vault_node_lag_milliseconds").unwrap() >= 200);
}
