//! Tokens that hang from others, and leases: what ends, when, and what is left stored.

use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use keyfold_core::testing::Moment;
use serde_json::{Value, json};

use crate::world::{World, token};

const MAKER: &str = r#"path "auth/token/create*" { capabilities = ["update"] }"#;

pub async fn begun() -> World {
    let world = World::begun().await;
    world
        .write("sys/policies/acl/maker", json!({"policy": MAKER}))
        .await
        .unwrap();
    world
}

pub async fn make(world: &World, parent: &str, body: Value) -> String {
    let path = "auth/token/create";
    token(
        world
            .ask(Some(parent), Op::Write, path, body)
            .await
            .unwrap(),
    )
}

pub async fn alive(world: &World, text: &str) -> bool {
    let self_ = "auth/token/lookup-self";
    world
        .ask(Some(text), Op::Read, self_, Value::Null)
        .await
        .is_ok()
}

pub async fn stored(world: &World, prefix: &str) -> usize {
    let records = world.dump().await;
    records.keys().filter(|k| k.starts_with(prefix)).count()
}

/// Sweeps until no note is left.
pub async fn settle(world: &World) {
    let vault = world.core.unsealed().unwrap();
    for _ in 0..1000 {
        vault.tokens.finish_prefixes().await.unwrap();
        if vault.tokens.finish_revocations().await.unwrap() == 0 {
            return;
        }
    }
    panic!("notes remain");
}

#[tokio::test]
async fn a_parent_of_many_is_revoked_at_once_and_its_children_with_it() {
    let world = begun().await;
    let parent = make(&world, &world.root, json!({"policies": "maker"})).await;
    let mut children = Vec::new();
    for _ in 0..6000 {
        children.push(make(&world, &parent, json!({"ttl": "1h"})).await);
    }
    let below = make(&world, &children[5999], json!({})).await;
    world
        .write("auth/token/revoke", json!({"token": parent}))
        .await
        .unwrap();
    for child in [&children[0], &children[3000], &children[5999], &below] {
        assert!(!alive(&world, child).await);
    }
    settle(&world).await;
    for prefix in ["sys/token/revoking/", "sys/token/parent/", "sys/lease/"] {
        assert_eq!(stored(&world, prefix).await, 0, "{prefix}");
    }
    assert_eq!(stored(&world, "sys/token/id/").await, 1);
    assert_eq!(stored(&world, "sys/token/accessor/").await, 1);
    assert_eq!(stored(&world, "sys/expire/").await, 0);
}

#[tokio::test]
async fn the_end_of_a_parent_is_the_end_of_its_children_before_any_sweep() {
    let world = begun().await;
    let short = json!({"policies": "maker", "ttl": "10s"});
    let parent = make(&world, &world.root, short).await;
    let child = make(&world, &parent, json!({"ttl": "1h"})).await;
    let batch = make(&world, &child, json!({"ttl": "1h", "type": "batch"})).await;
    assert!(alive(&world, &child).await && alive(&world, &batch).await);
    world.clock.advance(Duration::from_secs(10));
    assert!(!alive(&world, &child).await && !alive(&world, &batch).await);
}

#[tokio::test]
async fn a_batch_token_leaves_nothing_stored_and_outlives_a_restart() {
    let mut world = begun().await;
    let before = world.dump().await.len();
    let body = json!({"policies": "maker", "type": "batch", "ttl": "1h"});
    let batch = make(&world, &world.root, body).await;
    assert_eq!(world.dump().await.len(), before);
    world.restart().await;
    world.unseal().await.unwrap();
    assert!(alive(&world, &batch).await);
    world.clock.advance(Duration::from_secs(3600));
    assert!(!alive(&world, &batch).await);
}

#[tokio::test]
async fn a_chain_has_an_end() {
    let world = begun().await;
    let mut youngest = make(&world, &world.root, json!({"policies": "maker"})).await;
    let refused = loop {
        let path = "auth/token/create";
        match world.ask(Some(&youngest), Op::Write, path, json!({})).await {
            Ok(made) => youngest = token(made),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::BadRequest(_)));
    assert!(alive(&world, &youngest).await);
}

#[tokio::test]
async fn a_last_use_that_nobody_lived_to_clear_away_is_cleared_later() {
    let world = begun().await;
    let once = make(
        &world,
        &world.root,
        json!({"policies": "maker", "num_uses": 1}),
    )
    .await;
    // The use is taken, then the request dies.
    let vault = world.core.unsealed().unwrap();
    let found = vault.tokens.find(&once, vault.clock.now()).await.unwrap();
    vault.tokens.spend(&found.unwrap()).await.unwrap();
    vault.tokens.finish_revocations().await.unwrap();
    // It might still be under way.
    assert_eq!(stored(&world, "sys/token/id/").await, 2);
    world.clock.advance(Duration::from_secs(3600));
    settle(&world).await;
    assert_eq!(stored(&world, "sys/token/id/").await, 1);
    assert_eq!(stored(&world, "sys/token/accessor/").await, 1);
}

#[tokio::test]
async fn a_crash_while_children_are_set_free_takes_none_of_them() {
    for moment in [Moment::Before, Moment::After] {
        for n in 0.. {
            assert!(n < 200, "it does not end");
            let mut world = begun().await;
            let parent = make(&world, &world.root, json!({"policies": "maker"})).await;
            let mut children = Vec::new();
            for _ in 0..3 {
                children.push(make(&world, &parent, json!({})).await);
            }
            let start = world.store.operations();
            world.store.crash_at(start + n, moment);
            let path = "auth/token/revoke-orphan";
            let done = world.write(path, json!({"token": parent})).await.is_ok();
            let reached = world.store.operations() > start + n;
            world.restart().await;
            world.unseal().await.unwrap();
            let gone = !alive(&world, &parent).await;
            assert!(gone || !done, "{moment:?} {n}");
            for child in &children {
                assert!(alive(&world, child).await, "{moment:?} {n}");
            }
            settle(&world).await;
            for child in &children {
                let asked = world
                    .ask(Some(child), Op::Read, "auth/token/lookup-self", Value::Null)
                    .await
                    .map(crate::world::data)
                    .unwrap();
                assert_eq!(asked["orphan"], json!(gone), "{moment:?} {n}");
            }
            if !reached {
                break;
            }
        }
    }
}

#[tokio::test]
async fn children_that_are_being_set_free_outlive_the_end_of_the_tree_above() {
    for n in 0.. {
        assert!(n < 200, "it does not end");
        let world = begun().await;
        let top = make(&world, &world.root, json!({"policies": "maker"})).await;
        let middle = make(&world, &top, json!({"policies": "maker"})).await;
        let below = make(&world, &middle, json!({})).await;
        let start = world.store.operations();
        world.store.fail_at(start + n);
        let path = "auth/token/revoke-orphan";
        let _ = world.write(path, json!({"token": middle})).await;
        let reached = world.store.operations() > start + n;
        world.store.fail_at(usize::MAX);
        let free = !alive(&world, &middle).await;
        world
            .write("auth/token/revoke", json!({"token": top}))
            .await
            .unwrap();
        assert_eq!(alive(&world, &below).await, free, "{n}");
        settle(&world).await;
        assert_eq!(alive(&world, &below).await, free, "{n}");
        let left = 1 + usize::from(free);
        assert_eq!(stored(&world, "sys/token/id/").await, left, "{n}");
        assert_eq!(stored(&world, "sys/token/parent/").await, 0, "{n}");
        if !reached {
            break;
        }
    }
}

#[tokio::test]
async fn nothing_of_a_dead_tree_is_set_free() {
    let world = begun().await;
    let short = json!({"policies": "maker", "ttl": "10s"});
    let parent = make(&world, &world.root, short).await;
    let child = make(&world, &parent, json!({"policies": "maker"})).await;
    let below = make(&world, &child, json!({})).await;
    world.clock.advance(Duration::from_secs(10));
    for token in [&parent, &child] {
        let asked = world.write("auth/token/revoke-orphan", json!({"token": token}));
        assert!(matches!(asked.await, Err(Error::BadRequest(_))));
        assert!(!alive(&world, &child).await && !alive(&world, &below).await);
    }
}

#[tokio::test]
async fn a_large_or_deep_cubbyhole_is_cleared_bit_by_bit() {
    let world = begun().await;
    let token = make(&world, &world.root, json!({})).await;
    let keep = async |path: String| {
        let path = format!("cubbyhole/{path}");
        let asked = world.ask(Some(&token), Op::Write, &path, json!({"v": 1}));
        asked.await.unwrap();
    };
    for n in 0..5000 {
        keep(format!("f{}/{n}", n % 7)).await;
    }
    keep(format!("{}x", "d/".repeat(6000))).await;
    keep("top".to_owned()).await;
    let before = world.store.operations();
    world
        .write("auth/token/revoke", json!({"token": token}))
        .await
        .unwrap();
    assert!(!alive(&world, &token).await);
    // The answer does not wait for all of it.
    assert!(stored(&world, "sys/cubbyhole/").await > 0);
    let spent = world.store.operations() - before;
    assert!(spent < 5000, "{spent}");
    settle(&world).await;
    for folder in ["sys/cubbyhole/", "sys/token/revoking/"] {
        assert_eq!(stored(&world, folder).await, 0, "{folder}");
    }
}

#[tokio::test]
async fn leases_cost_an_unsealing_nothing() {
    let mut reads = Vec::new();
    for count in [5, 500] {
        let mut world = begun().await;
        for _ in 0..count {
            make(
                &world,
                &world.root,
                json!({"policies": "maker", "ttl": "1h"}),
            )
            .await;
        }
        assert_eq!(stored(&world, "sys/lease/auth/token/create/h").await, count);
        world.restart().await;
        let before = world.store.operations();
        world.unseal().await.unwrap();
        reads.push(world.store.operations() - before);
    }
    // A sweep that comes by has a few of its own.
    assert!(reads[1] < reads[0] + 50, "{reads:?}");
}

#[tokio::test]
async fn the_leases_of_a_path_end_and_those_made_later_live() {
    let world = begun().await;
    world
        .write("auth/token/roles/app", json!({"path_suffix": "web"}))
        .await
        .unwrap();
    let other = make(
        &world,
        &world.root,
        json!({"policies": "maker", "ttl": "1h"}),
    )
    .await;
    let mut made = Vec::new();
    for _ in 0..3000 {
        let body = json!({"policies": "maker"});
        let reply = world.write("auth/token/create/app", body).await.unwrap();
        made.push(token(reply));
    }
    let path = "sys/leases/revoke-prefix/auth/token/create/app";
    world.write(path, Value::Null).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let body = json!({"policies": "maker"});
    let later = token(world.write("auth/token/create/app", body).await.unwrap());
    settle(&world).await;
    for text in &made {
        assert!(!alive(&world, text).await);
    }
    assert!(alive(&world, &later).await && alive(&world, &other).await);
    world.write(path, json!({"sync": true})).await.unwrap();
    assert!(!alive(&world, &later).await && alive(&world, &other).await);
    assert_eq!(stored(&world, "sys/token/ending/").await, 0);
}

#[tokio::test]
async fn tidying_clears_what_points_at_nothing() {
    let world = begun().await;
    let parent = make(
        &world,
        &world.root,
        json!({"policies": "maker", "ttl": "1h"}),
    )
    .await;
    make(&world, &parent, json!({})).await;
    // Their records are lost, their places are not.
    let vault = world.core.unsealed().unwrap();
    let root = vault.tokens.hash(&world.root);
    let mut lost = Batch::new();
    for key in world.dump().await.into_keys() {
        if key.starts_with("sys/token/id/") && !key.ends_with(root.as_str()) {
            lost = lost.delete(key);
        }
    }
    world.disk.commit(lost).await.unwrap();
    let answer = world.write("auth/token/tidy", Value::Null).await.unwrap();
    assert_eq!(answer.status, Some(202));
    vault.tokens.tidy_if_asked().await.unwrap();
    settle(&world).await;
    vault.tokens.tidy_if_asked().await.unwrap();
    assert_eq!(stored(&world, "sys/token/accessor/").await, 1);
    assert_eq!(stored(&world, "sys/lease/").await, 0);
}
