//! How long a token lives when it is renewed, on a clock that the test moves.

use std::time::Duration;

use keyfold_core::reply::Reply;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::world::{World, token};

async fn made(world: &World, body: Value) -> String {
    token(world.write("auth/token/create", body).await.unwrap())
}

async fn renewed(world: &World, text: &str, increment: Value) -> Reply {
    let body = json!({"token": text, "increment": increment});
    world.write("auth/token/renew", body).await.unwrap()
}

/// Seconds that a renewal gave.
fn given(reply: &Reply) -> i64 {
    reply.auth.as_ref().unwrap().lease_duration.0
}

/// Seconds that it has left; none when it is gone.
async fn left(world: &World, text: &str) -> Option<i64> {
    let self_ = "auth/token/lookup-self";
    let reply = world.ask(Some(text), Op::Read, self_, Value::Null).await;
    crate::world::data(reply.ok()?)["ttl"].as_i64()
}

fn pass(world: &World, secs: u64) {
    world.clock.advance(Duration::from_secs(secs));
}

#[tokio::test]
async fn a_period_starts_anew_whatever_was_asked_for() {
    let world = World::begun().await;
    let text = made(&world, json!({"period": "10s"})).await;
    assert_eq!(left(&world, &text).await, Some(10));
    for increment in [json!(0), json!(1), json!(1000), json!("1h")] {
        pass(&world, 9);
        assert_eq!(left(&world, &text).await, Some(1));
        assert_eq!(given(&renewed(&world, &text, increment).await), 10);
        assert_eq!(left(&world, &text).await, Some(10));
    }
    // Longer than the longest life of the mount's other tokens.
    for _ in 0..400 {
        pass(&world, 9);
        renewed(&world, &text, json!(0)).await;
    }
    pass(&world, 10);
    assert_eq!(left(&world, &text).await, None);
}

#[tokio::test]
async fn a_period_ends_at_the_explicit_maximum() {
    let world = World::begun().await;
    let body = json!({"period": "10s", "explicit_max_ttl": "25s"});
    let text = made(&world, body).await;
    for expected in [10, 9, 1] {
        pass(&world, 8);
        assert_eq!(given(&renewed(&world, &text, json!(0)).await), expected);
    }
    pass(&world, 1);
    assert_eq!(left(&world, &text).await, None);
}

#[tokio::test]
async fn an_increment_is_a_wish_within_the_bounds() {
    let world = World::begun().await;
    let max = 768 * 3600;
    let body = json!({"ttl": "1000h"});
    let reply = world.write("auth/token/create", body).await.unwrap();
    assert_eq!(given(&reply), max);
    assert!(reply.warnings[0].contains("exceeded"));

    let text = made(&world, json!({"ttl": "100s"})).await;
    pass(&world, 10);
    // Nothing asked for: as much as before.
    assert_eq!(given(&renewed(&world, &text, json!(0)).await), 100);
    assert_eq!(given(&renewed(&world, &text, json!("1h")).await), 3600);
    let capped = renewed(&world, &text, json!("1000h")).await;
    assert_eq!(given(&capped), max - 10);
    assert!(capped.warnings[0].contains("exceeded"));
    // Shorter than what is left, as it was asked for.
    assert_eq!(given(&renewed(&world, &text, json!(1)).await), 1);
    pass(&world, 1);
    assert_eq!(left(&world, &text).await, None);
}
