//! Auth methods that are removed or moved while the process dies: what logged in there is dead as
//! soon as the change is in the store, and its records go.

use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::request::Op;
use keyfold_core::testing::Moment;
use serde_json::{Value, json};

use crate::world::{World, data, token};

const MAKER: &str = r#"path "auth/token/*" { capabilities = ["create", "update", "read"] }"#;

/// A method at `auth/ci/`, and the texts of a login's token and of its child.
async fn ready() -> (World, [String; 2]) {
    let world = World::begun().await;
    for (path, body) in [
        ("sys/policies/acl/maker", json!({"policy": MAKER})),
        ("sys/auth/ci", json!({"type": "approle"})),
        (
            "auth/ci/role/r",
            json!({"role_id": "r", "token_policies": "maker"}),
        ),
    ] {
        world.write(path, body).await.unwrap();
    }
    let made = world.write("auth/ci/role/r/secret-id", json!({})).await;
    let secret = data(made.unwrap())["secret_id"].clone();
    let body = json!({"role_id": "r", "secret_id": secret});
    let login = world.anonymous(Op::Write, "auth/ci/login", body).await;
    let parent = token(login.unwrap());
    let made = world
        .ask(Some(&parent), Op::Write, "auth/token/create", json!({}))
        .await;
    (world, [parent, token(made.unwrap())])
}

async fn lives(world: &World, text: &str) -> bool {
    let path = "auth/token/lookup-self";
    world
        .ask(Some(text), Op::Read, path, Value::Null)
        .await
        .is_ok()
}

/// The names of all stored tokens.
async fn stored(world: &World) -> usize {
    let all = world.dump().await;
    all.keys()
        .filter(|k| k.starts_with("sys/token/id/"))
        .count()
}

#[tokio::test]
async fn a_removed_or_moved_method_takes_its_tokens_along_wherever_the_process_dies() {
    let acts: [(&str, Op, &str, Value); 2] = [
        ("removed", Op::Delete, "sys/auth/ci", Value::Null),
        (
            "moved",
            Op::Write,
            "sys/remount",
            json!({"from": "auth/ci", "to": "auth/new"}),
        ),
    ];
    for (name, op, path, body) in acts {
        for moment in [Moment::Before, Moment::After] {
            let mut reached = true;
            for n in 0..50 {
                let (mut world, tokens) = ready().await;
                let start = world.store.operations();
                world.store.crash_at(start + n, moment);
                let root = world.root.clone();
                let done = world.ask(Some(&root), op, path, body.clone()).await.is_ok();
                reached = world.store.operations() > start + n;
                world.restart().await;
                world.unseal().await.unwrap();
                let still = world.read("sys/auth/ci").await.is_ok();
                let what = format!("{name}, {moment:?} operation {n}");
                assert!(!(done && still), "{what}: acknowledged and not done");
                for text in &tokens {
                    assert_eq!(lives(&world, text).await, still, "{what}");
                }
                if !reached {
                    assert!(done, "{what}: failed without a crash");
                    break;
                }
            }
            assert!(!reached, "{name} does not end");
        }
    }
}

#[tokio::test]
async fn the_records_of_a_removed_methods_tokens_go() {
    let (world, _) = ready().await;
    assert_eq!(stored(&world).await, 3);
    world.delete("sys/auth/ci").await.unwrap();
    for _ in 0..200 {
        if stored(&world).await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stored(&world).await, 1);
    let notes = world.dump().await;
    assert!(!notes.keys().any(|key| key.contains("disowned")));
}

#[tokio::test]
async fn a_method_that_comes_back_to_its_place_does_not_bring_its_old_tokens() {
    let (world, tokens) = ready().await;
    for (from, to) in [("auth/ci", "auth/new"), ("auth/new", "auth/ci")] {
        let body = json!({"from": from, "to": to});
        world.write("sys/remount", body).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    for text in &tokens {
        assert!(!lives(&world, text).await);
    }
    let body = json!({"role_id": "r", "secret_id": "wrong"});
    let login = world.anonymous(Op::Write, "auth/ci/login", body).await;
    assert!(matches!(login, Err(Error::Unproven(_))));
}

#[tokio::test]
async fn a_role_id_of_any_length_is_locked_after_failures() {
    let (world, _) = ready().await;
    let long = "r".repeat(600);
    let body = json!({"role_id": long});
    world.write("auth/ci/role/r/role-id", body).await.unwrap();
    let login = |secret: &str| {
        let body = json!({"role_id": long, "secret_id": secret});
        world.anonymous(Op::Write, "auth/ci/login", body)
    };
    for _ in 0..5 {
        assert!(matches!(login("wrong").await, Err(Error::Unproven(_))));
    }
    let made = world.write("auth/ci/role/r/secret-id", json!({})).await;
    let made = data(made.unwrap());
    let right = made["secret_id"].as_str().unwrap();
    assert!(matches!(login(right).await, Err(Error::DeniedBecause(_))));
    let mount = world.read("sys/auth/ci").await.unwrap();
    let accessor = mount["accessor"].as_str().unwrap();
    let path = format!("sys/locked-users/{accessor}/unlock/{long}");
    world.write(&path, json!({})).await.unwrap();
    login(right).await.unwrap();
}
