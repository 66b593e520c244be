//! Trees of tokens: they go whole, whatever happens on the way, and cost no more for being large.

use keyfold_core::ports::storage::Batch;
use keyfold_core::testing::Moment;
use serde_json::json;

use crate::tokens::{alive, begun, make, settle, stored};
use crate::world::World;

const GENERATIONS: usize = 5;
const CHILDREN: usize = 10;
const MAKER: &str = "maker";

/// A top with ten children, each the head of a line; all of them, the top first.
async fn tree(world: &World) -> Vec<String> {
    let body = || json!({"policies": MAKER, "ttl": "1h"});
    let mut all = vec![make(world, &world.root, body()).await];
    for _ in 0..CHILDREN {
        let mut parent = all[0].clone();
        for _ in 0..GENERATIONS {
            parent = make(world, &parent, body()).await;
            all.push(parent.clone());
        }
    }
    all
}

pub async fn nothing_is_left(world: &World, what: &str) {
    let folders = ["revoking/", "parent/", "id/", "accessor/"];
    for (folder, tokens) in folders.into_iter().zip([0, 0, 1, 1]) {
        let prefix = format!("sys/token/{folder}");
        assert_eq!(stored(world, &prefix).await, tokens, "{what}: {prefix}");
    }
    assert_eq!(stored(world, "sys/lease/").await, 0, "{what}");
    assert_eq!(stored(world, "sys/expire/").await, 0, "{what}");
}

#[tokio::test]
async fn a_wide_and_deep_tree_goes_whole_whenever_the_process_dies() {
    let mut crashes = 0;
    for moment in [Moment::Before, Moment::After] {
        for n in (0..).step_by(17) {
            assert!(n < 5000, "it does not end");
            let mut world = begun().await;
            let all = tree(&world).await;
            let start = world.store.operations();
            world.store.crash_at(start + n, moment);
            let asked = world.write("auth/token/revoke", json!({"token": all[0]}));
            let done = asked.await.is_ok();
            let reached = world.store.operations() > start + n;
            world.restart().await;
            world.unseal().await.unwrap();
            let what = format!("{moment:?} {n}");
            let gone = !alive(&world, &all[0]).await;
            assert!(gone || !done, "{what}");
            for text in &all {
                assert_eq!(alive(&world, text).await, !gone, "{what}");
            }
            settle(&world).await;
            if gone {
                nothing_is_left(&world, &what).await;
            }
            if !reached {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes > 4, "{crashes}");
}

#[tokio::test]
async fn a_ring_in_the_index_ends_with_the_tree() {
    let world = begun().await;
    let all = tree(&world).await;
    let hash = |text: &String| {
        let vault = world.core.unsealed().unwrap();
        vault.tokens.hash(text).as_str().to_owned()
    };
    // The top is the child of its youngest, and each of them its own.
    let [top, youngest] = [hash(&all[0]), hash(&all[GENERATIONS])];
    let mut ring = Batch::new();
    for (parent, child) in [(&youngest, &top), (&top, &top), (&youngest, &youngest)] {
        ring = ring.put(format!("sys/token/parent/{parent}/{child}"), Vec::new());
    }
    world.disk.commit(ring).await.unwrap();
    let body = json!({"token": all[0]});
    world.write("auth/token/revoke", body).await.unwrap();
    for text in &all {
        assert!(!alive(&world, text).await);
    }
    settle(&world).await;
    nothing_is_left(&world, "a ring").await;
}

#[tokio::test]
async fn a_child_costs_the_same_among_thousands() {
    let world = begun().await;
    let parent = make(&world, &world.root, json!({"policies": MAKER})).await;
    let mut costs = Vec::new();
    for n in 0..3000 {
        let before = world.store.operations();
        make(&world, &parent, json!({"ttl": "1h"})).await;
        if n == 10 || n == 2999 {
            costs.push(world.store.operations() - before);
        }
    }
    // A sweep that comes by has a few of its own.
    assert!(costs[1] < costs[0] + 50, "{costs:?}");
}
