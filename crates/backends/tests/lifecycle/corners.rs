//! Corners where one thing meets another: trees and fixed names, old vaults and new keyrings,
//! spellings and rules.

use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::mounts::{MountConfig, NewMount};
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use keyfold_core::testing::Moment;
use serde_json::{Value, json};

use crate::world::{World, token};

const MAKER: &str = r#"path "auth/token/create" { capabilities = ["update"] }"#;

async fn policy(world: &World, name: &str, text: &str) {
    let body = json!({"policy": text});
    let path = format!("sys/policies/acl/{name}");
    world.write(&path, body).await.unwrap();
}

async fn make(world: &World, parent: &str, body: Value) -> Result<String, Error> {
    let path = "auth/token/create";
    world
        .ask(Some(parent), Op::Write, path, body)
        .await
        .map(token)
}

async fn alive(world: &World, text: &str) -> bool {
    let path = "auth/token/lookup";
    world.write(path, json!({"token": text})).await.is_ok()
}

/// Each request under way has room for all that its future may hold, and that is moved and wiped:
/// what few requests need is boxed.
#[tokio::test]
async fn a_request_takes_little_room() {
    let world = World::begun().await;
    let size = size_of_val(&world.ask(None, Op::Read, "sys/health", Value::Null));
    assert!(size <= 6 * 1024, "{size} bytes");
}

#[tokio::test]
async fn a_token_that_is_gone_has_left_its_parent() {
    let world = World::begun().await;
    policy(&world, "maker", MAKER).await;
    let parent = make(&world, &world.root, json!({"policies": "maker"}))
        .await
        .unwrap();
    for fate in ["revoke", "revoke-orphan"] {
        let child = make(&world, &parent, json!({})).await.unwrap();
        let path = format!("auth/token/{fate}");
        world.write(&path, json!({"token": child})).await.unwrap();
    }
    let short = json!({"policies": "maker", "ttl": "5s"});
    make(&world, &parent, short).await.unwrap();
    world.clock.advance(Duration::from_secs(6));
    world.core.unsealed().unwrap().tokens.sweep().await.unwrap();
    let places = world.dump().await;
    let places = places
        .keys()
        .filter(|k| k.starts_with("sys/token/parent/"))
        .count();
    // The parent's own, below the root token.
    assert_eq!(places, 1);
}

#[tokio::test]
async fn a_name_used_again_is_not_in_the_old_tree() {
    let world = World::begun().await;
    let sudo = r#"path "auth/token/create" { capabilities = ["update", "sudo"] }"#;
    policy(&world, "sudo", sudo).await;
    let parent = make(&world, &world.root, json!({"policies": "sudo"}))
        .await
        .unwrap();
    let fixed = json!({"id": "fixed", "policies": "default"});
    make(&world, &parent, fixed).await.unwrap();
    let revoke = "auth/token/revoke";
    world
        .write(revoke, json!({"token": "fixed"}))
        .await
        .unwrap();
    let orphan = json!({"id": "fixed", "policies": "default", "no_parent": true});
    make(&world, &world.root, orphan).await.unwrap();
    world.write(revoke, json!({"token": parent})).await.unwrap();
    assert!(!alive(&world, &parent).await);
    assert!(alive(&world, "fixed").await);
}

#[tokio::test]
async fn a_revocation_that_failed_halfway_can_be_asked_for_again_by_accessor() {
    for n in 0.. {
        assert!(n < 100, "it does not end");
        let world = World::begun().await;
        policy(&world, "maker", MAKER).await;
        let path = "auth/token/create";
        let top = world.write(path, json!({"policies": "maker"})).await;
        let auth = top.unwrap().auth.unwrap();
        let leaf = make(&world, auth.client_token.expose(), json!({}))
            .await
            .unwrap();
        world.store.fail_at(world.store.operations() + n);
        let by = json!({"accessor": auth.accessor});
        let revoke = "auth/token/revoke-accessor";
        let failed = world.write(revoke, by.clone()).await.is_err();
        world.store.fail_at(usize::MAX);
        if failed {
            world.write(revoke, by).await.unwrap();
        }
        assert!(!alive(&world, &leaf).await, "after a failure at {n}");
        if !failed && n > 20 {
            break;
        }
    }
}

#[tokio::test]
async fn a_damaged_token_does_not_keep_the_others_alive() {
    let world = World::begun().await;
    let short = json!({"policies": "default", "ttl": "10s"});
    for _ in 0..3 {
        make(&world, &world.root, short.clone()).await.unwrap();
    }
    let records = world.dump().await;
    let first = records
        .keys()
        .find_map(|k| k.strip_prefix("sys/expire/"))
        .unwrap();
    let (_, hash) = first.split_once('-').unwrap();
    let damaged = Batch::new().put(format!("sys/token/id/{hash}"), "no record");
    world.disk.commit(damaged).await.unwrap();
    world.clock.advance(Duration::from_secs(11));
    let swept = world.core.unsealed().unwrap().tokens.sweep().await;
    assert!(matches!(swept, Err(Error::Corrupt(_))));
    let left = world.dump().await;
    let left = left.keys().filter(|k| k.starts_with("sys/expire/"));
    assert_eq!(left.collect::<Vec<_>>(), [&format!("sys/expire/{first}")]);
}

#[tokio::test]
async fn a_store_that_is_gone_keeps_no_vault_open() {
    let world = World::begun().await;
    world.read("sys/key-status").await.unwrap();
    world
        .store
        .crash_at(world.store.operations(), Moment::Before);
    world.write("sys/seal", Value::Null).await.unwrap();
    assert!(world.core.is_sealed());
}

#[tokio::test]
async fn an_old_vault_wraps_nothing_under_a_term_that_has_been_retired() {
    let mut world = World::begun().await;
    let old = world.core.unsealed().unwrap();
    world.write("sys/seal", Value::Null).await.unwrap();
    world.unseal().await.unwrap();
    world.write("sys/rotate", Value::Null).await.unwrap();
    let more = json!({"type": "shelf"});
    world.write("sys/mounts/more", more).await.unwrap();
    let late = NewMount {
        path: "late/".to_owned(),
        kind: "shelf".to_owned(),
        description: String::new(),
        options: None,
        config: MountConfig::default(),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
    };
    assert!(matches!(
        old.mounts.mount(late).await,
        Err(Error::Contended)
    ));
    // A rotation begins with what is stored, whoever stored it.
    assert_eq!(old.rotate().await.unwrap().term, 3);
    drop(old);
    world.restart().await;
    world.unseal().await.unwrap();
    world.write("more/a", json!({"v": 1})).await.unwrap();
}

#[tokio::test]
async fn a_mount_that_the_store_may_have_is_not_made_twice() {
    let mut world = World::begun().await;
    let body = json!({"type": "shelf"});
    for n in 0.. {
        assert!(n < 20, "it does not get there");
        let at = world.store.operations();
        world.store.crash_at(at + n, Moment::After);
        let lost = world.write("sys/mounts/twin", body.clone()).await;
        assert!(lost.is_err());
        if matches!(
            lost,
            Err(Error::Storage(
                keyfold_core::ports::storage::StorageError::Unknown(_)
            ))
        ) {
            break;
        }
        world.restart().await;
        world.unseal().await.unwrap();
    }
    // The disk comes back, and the server never went away.
    world.store.fail_at(usize::MAX);
    let again = world.write("sys/mounts/twin", body).await;
    assert!(matches!(again, Err(Error::BadRequest(_))));
    world.restart().await;
    world.unseal().await.unwrap();
    world.write("twin/a", json!({"v": 1})).await.unwrap();
}

#[tokio::test]
async fn no_spelling_of_a_name_gets_around_a_rule() {
    let world = World::begun().await;
    let rules = r#"
        path "sys/policies/acl/*" { capabilities = ["create", "read", "update", "delete"] }
        path "sys/policies/acl/admin" { capabilities = ["deny"] }
        path "sys/mounts/*" { capabilities = ["read", "update", "delete"] }
        path "sys/mounts/shelf" { capabilities = ["deny"] }
        path "sys/mounts/shelf/tune" { capabilities = ["deny"] }
    "#;
    policy(&world, "most", rules).await;
    policy(&world, "admin", MAKER).await;
    let most = make(&world, &world.root, json!({"policies": "most"}))
        .await
        .unwrap();
    for name in ["admin", "Admin", " admin", "ADMIN "] {
        let path = format!("sys/policies/acl/{name}");
        for op in [Op::Read, Op::Write, Op::Delete] {
            let body = match op {
                Op::Write => json!({"policy": "path \"*\" { capabilities = [\"sudo\"] }"}),
                _ => Value::Null,
            };
            let asked = world.ask(Some(&most), op, &path, body).await;
            assert!(matches!(asked, Err(Error::Denied)), "{op:?} {path}");
        }
    }
    for path in [
        "shelf",
        "shelf/",
        "shelf/tune",
        "shelf/tune/",
        "shelf//tune",
    ] {
        let path = format!("sys/mounts/{path}");
        for op in [Op::Read, Op::Write, Op::Delete] {
            let asked = world.ask(Some(&most), op, &path, Value::Null).await;
            assert!(matches!(asked, Err(Error::Denied)), "{op:?} {path}");
        }
    }
    let body = json!({"policy": MAKER});
    let mine = "sys/policies/acl/Mine";
    world.ask(Some(&most), Op::Write, mine, body).await.unwrap();
}

#[tokio::test]
async fn a_child_gets_the_default_policy_from_nobody_but_its_parent() {
    let world = World::begun().await;
    policy(&world, "maker", MAKER).await;
    let bare = json!({"policies": "maker", "no_default_policy": true});
    let bare = make(&world, &world.root, bare).await.unwrap();
    for body in [json!({}), json!({"policies": "maker"})] {
        let child = make(&world, &bare, body).await.unwrap();
        let look = "auth/token/lookup-self";
        let look = world.ask(Some(&child), Op::Read, look, Value::Null).await;
        assert!(matches!(look, Err(Error::Denied)));
    }
    let asked = make(&world, &bare, json!({"policies": "default"})).await;
    assert!(matches!(asked, Err(Error::BadRequest(_))));
}

#[tokio::test]
async fn a_renewal_past_the_bound_ends_nothing() {
    let world = World::begun().await;
    let made = json!({"policies": "default", "ttl": "100h"});
    let made = make(&world, &world.root, made).await.unwrap();
    world.clock.advance(Duration::from_secs(7200));
    let lower = json!({"default_lease_ttl": "1h", "max_lease_ttl": "1h"});
    world
        .write("sys/mounts/auth/token/tune", lower)
        .await
        .unwrap();
    let renew = "auth/token/renew-self";
    let renewed = world.ask(Some(&made), Op::Write, renew, Value::Null).await;
    assert!(matches!(renewed, Err(Error::BadRequest(_))));
    assert!(alive(&world, &made).await);
}
