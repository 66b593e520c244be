//! Cubbyholes and wrapping tokens: one of many gets the answer, a crash loses nothing, and nothing
//! stays behind.

use std::sync::Arc;
use std::time::Duration;

use keyfold_api::Seconds;
use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use keyfold_core::request::{Body, Op, Request};
use keyfold_core::testing::Moment;
use keyfold_secret::Secret;
use serde_json::{Value, json};

use crate::world::{World, token};

const UNWRAP: &str = "sys/wrapping/unwrap";

async fn wrap(world: &World, body: &Value) -> Result<String, Error> {
    let request = Request {
        id: keyfold_core::id::uuid(),
        op: Op::Write,
        path: "sys/wrapping/wrap".to_owned(),
        body: Body::new(serde_json::to_vec(body).unwrap()),
        token: Some(Secret::new(world.root.clone())),
        remote: None,
        headers: Vec::new(),
        wrap_ttl: Some(Seconds(60)),
        index: None,
    };
    let reply = world.core.handle(request).await?;
    Ok(reply.wrap.unwrap().token.expose().clone())
}

async fn unwrap(world: &World, text: &str) -> Result<Reply, Error> {
    world.ask(Some(text), Op::Write, UNWRAP, Value::Null).await
}

async fn kept(world: &World) -> usize {
    let keys = world.dump().await;
    keys.keys()
        .filter(|k| k.starts_with("sys/cubbyhole/"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_callers_one_gets_the_answer() {
    let world = Arc::new(World::begun().await);
    let text = wrap(&world, &json!({"secret": "x"})).await.unwrap();
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let (world, text) = (world.clone(), text.clone());
            tokio::spawn(async move {
                match n % 3 {
                    0 => unwrap(&world, &text).await,
                    1 => world.write(UNWRAP, json!({"token": text})).await,
                    _ => {
                        let path = "cubbyhole/response";
                        world.ask(Some(&text), Op::Read, path, Value::Null).await
                    }
                }
            })
        })
        .collect();
    let mut got = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(reply) => {
                let answer = String::from_utf8(reply.body("")).unwrap();
                assert!(answer.contains("secret"), "{answer}");
                got += 1;
            }
            Err(error) => assert!(
                matches!(
                    error,
                    Error::BadRequest(_) | Error::NotFound | Error::NoToken
                ),
                "{error}"
            ),
        }
    }
    assert_eq!(got, 1);
    assert_eq!(kept(&world).await, 0);
}

#[tokio::test]
async fn the_answer_comes_out_as_it_went_in() {
    let world = World::begun().await;
    let text = wrap(&world, &json!({"a": {"b": [1, 2]}})).await.unwrap();
    let answer = unwrap(&world, &text).await.unwrap().body("another id");
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer
            .ends_with(r#""data":{"a":{"b":[1,2]}},"wrap_info":null,"warnings":null,"auth":null}"#),
        "{answer}"
    );
    assert!(!answer.contains("another id"), "{answer}");
}

#[tokio::test]
async fn a_crash_while_unwrapping_takes_token_and_answer_or_neither() {
    for moment in [Moment::Before, Moment::After] {
        for n in 0..50 {
            let mut world = World::begun().await;
            let text = wrap(&world, &json!({"a": "b"})).await.unwrap();
            let start = world.store.operations();
            world.store.crash_at(start + n, moment);
            let answered = unwrap(&world, &text).await.is_ok();
            let reached = world.store.operations() > start + n;
            world.restart().await;
            world.unseal().await.unwrap();
            // What went before anybody was told went as a whole.
            let left = kept(&world).await;
            assert!(!answered || left == 0, "{n}");
            assert!(answered || moment == Moment::After || left == 1, "{n}");
            assert_eq!(unwrap(&world, &text).await.is_ok(), left == 1, "{n}");
            assert_eq!(kept(&world).await, 0);
            if !reached {
                assert!(answered && n > 0);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_cubbyhole_goes_with_its_token() {
    let mut world = World::begun().await;
    let make = |body: Value| {
        let world = &world;
        async move { token(world.write("auth/token/create", body).await.unwrap()) }
    };
    let parent = make(json!({"policies": "default"})).await;
    let short = make(json!({"policies": "default", "ttl": "5s"})).await;
    let gone = make(json!({"policies": "default", "ttl": "5s"})).await;
    for owner in [&parent, &short, &gone] {
        for path in ["a", "a/b", "a/b/c/d", "e/f"] {
            let path = format!("cubbyhole/{path}");
            let body = json!({"k": "v"});
            let kept = world.ask(Some(owner), Op::Write, &path, body).await;
            kept.unwrap();
        }
    }
    wrap(&world, &json!({"a": "b"})).await.unwrap();
    assert_eq!(kept(&world).await, 13);
    world
        .write("auth/token/revoke", json!({"token": parent}))
        .await
        .unwrap();
    assert_eq!(kept(&world).await, 9);
    // Whether the server was up at its end or not.
    world.clock.advance(Duration::from_secs(6));
    world.restart().await;
    world.unseal().await.unwrap();
    world.core.unsealed().unwrap().tokens.sweep().await.unwrap();
    assert_eq!(kept(&world).await, 1);
    world.clock.advance(Duration::from_secs(60));
    world.core.unsealed().unwrap().tokens.sweep().await.unwrap();
    assert_eq!(kept(&world).await, 0);
}

#[tokio::test]
async fn a_vault_of_an_older_version_gets_its_cubbyholes() {
    let mut world = World::begun().await;
    let vault = world.core.unsealed().unwrap();
    let table = vault.mounts.table();
    let uuid = &table.at("cubbyhole/").unwrap().record.uuid;
    let batch = Batch::new().delete(format!("mount/{uuid}"));
    vault.system.commit(batch).await.unwrap();
    drop(vault);
    for _ in 0..2 {
        world.restart().await;
        world.unseal().await.unwrap();
        let body = json!({"k": "v"});
        world.write("cubbyhole/a", body).await.unwrap();
        let mounts = world.read("sys/mounts").await.unwrap();
        assert_eq!(mounts["cubbyhole/"]["local"], true);
    }
}
