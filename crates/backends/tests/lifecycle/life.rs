//! Single stories.

use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use keyfold_core::testing::Moment;
use serde_json::{Value, json};

use crate::world::{World, data, token};

#[tokio::test]
async fn sealed_tells_nothing_and_opens_with_any_three_shares() {
    let mut world = World::begun().await;
    world
        .write("shelf/a", json!({"v": "text-on-the-shelf"}))
        .await
        .unwrap();
    world.write("sys/seal", Value::Null).await.unwrap();
    assert!(matches!(world.read("shelf/a").await, Err(Error::Sealed)));
    assert!(matches!(
        world.write("shelf/b", json!({})).await,
        Err(Error::Sealed)
    ));
    for (key, value) in world.dump().await {
        let text = String::from_utf8_lossy(&value);
        assert!(!text.contains("text-on-the-shelf"), "{key}");
        assert!(!text.contains(&world.root), "{key}");
    }
    world.shares.rotate_left(2);
    world.unseal().await.unwrap();
    assert_eq!(
        world.read("shelf/a").await.unwrap(),
        json!({"v": "text-on-the-shelf"})
    );
}

/// An init of which nobody knows what became of it: once the store can be read, that is known.
#[tokio::test]
async fn an_init_with_an_unknown_end_is_looked_up() {
    for (moment, begun) in [(Moment::Before, false), (Moment::After, true)] {
        let mut world = World::new().await;
        // Its one commit is its first operation.
        world.store.crash_at(world.store.operations(), moment);
        let failed = world.init().await;
        assert!(matches!(failed, Err(Error::Storage(_))), "{moment:?}");
        let told = world.anonymous(Op::Read, "sys/init", Value::Null).await;
        assert!(matches!(told, Err(Error::Storage(_))), "{moment:?}");
        world.store.mend();
        let told = world.anonymous(Op::Read, "sys/init", Value::Null).await;
        let told = data(told.unwrap())["initialized"].clone();
        assert_eq!(told, json!(begun), "{moment:?}");
        assert_eq!(world.init().await.is_err(), begun, "{moment:?}");
    }
}

#[tokio::test]
async fn a_wrong_share_costs_nothing() {
    let mut world = World::begun().await;
    world.restart().await;
    let mut wrong = world.shares[0].clone();
    wrong.replace_range(0..2, if wrong.starts_with("00") { "01" } else { "00" });
    for share in [&world.shares[1], &world.shares[2]] {
        world
            .anonymous(Op::Write, "sys/unseal", json!({"key": share}))
            .await
            .unwrap();
    }
    let refused = world
        .anonymous(Op::Write, "sys/unseal", json!({"key": wrong}))
        .await;
    assert!(matches!(refused, Err(Error::BadRequest(_))));
    let status = data(
        world
            .anonymous(Op::Read, "sys/seal-status", Value::Null)
            .await
            .unwrap(),
    );
    assert_eq!(
        (&status["progress"], &status["sealed"]),
        (&json!(2), &json!(true))
    );
    world.unseal().await.unwrap();
}

#[tokio::test]
async fn rotating_the_kek_rewraps_each_dek_and_touches_no_record() {
    let world = World::begun().await;
    for n in 0..20 {
        world
            .write(&format!("shelf/{n}"), json!({"n": n}))
            .await
            .unwrap();
    }
    let before = world.dump().await;
    world.write("sys/rotate", Value::Null).await.unwrap();
    let after = world.dump().await;
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    for (key, value) in &before {
        let rewrapped = key == "core/keyring" || key.starts_with("core/dek/");
        assert_eq!(value != &after[key], rewrapped, "{key}");
    }
    assert_eq!(
        world.read("sys/key-status").await.unwrap()["term"],
        json!(2)
    );
    assert_eq!(world.read("shelf/7").await.unwrap(), json!({"n": 7}));
}

#[tokio::test]
async fn an_unmounted_engines_records_are_noise_and_go() {
    let world = World::begun().await;
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    let stolen = world.dump().await;
    let record = stolen.keys().find(|k| k.starts_with("logical/")).unwrap();
    let dek = format!("core/dek/{}/1", record.split('/').nth(1).unwrap());
    assert!(stolen.contains_key(&dek));
    world.delete("sys/mounts/shelf").await.unwrap();
    assert!(!world.dump().await.contains_key(&dek), "the dek is gone");
    assert!(matches!(
        world.read("shelf/a").await,
        Err(Error::NoHandler(_))
    ));
    let mut left = usize::MAX;
    for _ in 0..200 {
        left = world
            .dump()
            .await
            .keys()
            .filter(|k| k.starts_with("logical/"))
            .count();
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left, 0);
    // The records put back, without their dek: nobody opens them, and the vault starts all the same.
    let records = stolen
        .into_iter()
        .filter(|(k, _)| k.starts_with("logical/"));
    let puts = records.collect();
    world
        .disk
        .commit(Batch {
            puts,
            ..Batch::new()
        })
        .await
        .unwrap();
    let mut world = world;
    world.restart().await;
    world.unseal().await.unwrap();
    assert!(matches!(
        world.read("shelf/a").await,
        Err(Error::NoHandler(_))
    ));
}

#[tokio::test]
async fn a_damaged_record_fails_alone_and_is_named() {
    let world = World::begun().await;
    world.write("shelf/good", json!({"v": 1})).await.unwrap();
    world.write("shelf/bad", json!({"v": 2})).await.unwrap();
    let records = world.dump().await;
    let (key, value) = records.iter().find(|(k, _)| k.ends_with("/bad")).unwrap();
    for length in [0, 1, 4, 5, 28, 44, value.len() - 1] {
        let damaged = value[..length].to_vec();
        world
            .disk
            .commit(Batch::new().put(key.clone(), damaged))
            .await
            .unwrap();
        match world.read("shelf/bad").await {
            Err(Error::Corrupt(named)) => assert_eq!(&named, key),
            _ => panic!("a record of {length} bytes was read"),
        }
        assert_eq!(world.read("shelf/good").await.unwrap(), json!({"v": 1}));
    }
    // A whole record at another key does not open there.
    let good = records
        .iter()
        .find(|(k, _)| k.ends_with("/good"))
        .unwrap()
        .1
        .clone();
    world
        .disk
        .commit(Batch::new().put(key.clone(), good))
        .await
        .unwrap();
    assert!(matches!(
        world.read("shelf/bad").await,
        Err(Error::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_damaged_unseal_chain_is_named_and_stays_sealed() {
    let chain = [
        "core/format",
        "core/seal/shamir",
        "core/keyring",
        "sys/token/hmac-key",
    ];
    for record in chain {
        for keep in [0, 1, 2] {
            let mut world = World::begun().await;
            let value = world.dump().await.remove(record).unwrap();
            let part = value[..value.len() * keep / 3].to_vec();
            world
                .disk
                .commit(Batch::new().put(record, part))
                .await
                .unwrap();
            let opened = match world.try_restart().await {
                Ok(()) => world.unseal().await,
                Err(error) => Err(error),
            };
            match opened {
                // Of a keyring that does not open it can't be told whether the root key is of today.
                Err(Error::Corrupt(named)) => assert_eq!(named.split(' ').next(), Some(record)),
                Err(error) => panic!("{record}: {error}"),
                Ok(()) => panic!("{record} was cut and the vault opened"),
            }
        }
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let mut world = World::begun().await;
    world
        .disk
        .commit(Batch::new().put("core/format", "2"))
        .await
        .unwrap();
    let refused = world.try_restart().await.unwrap_err().to_string();
    assert!(refused.contains("newer version"), "{refused}");
}

#[tokio::test]
async fn revoking_a_token_revokes_its_whole_tree() {
    let world = World::begun().await;
    let policy = r#"path "auth/token/create" { capabilities = ["update"] }"#;
    world
        .write("sys/policies/acl/maker", json!({"policy": policy}))
        .await
        .unwrap();
    let make = async |parent: &str| {
        let body = json!({"policies": ["maker"]});
        token(
            world
                .ask(Some(parent), Op::Write, "auth/token/create", body)
                .await
                .unwrap(),
        )
    };
    let top = make(&world.root).await;
    let mut all = vec![top.clone()];
    for _ in 0..3 {
        let child = make(&top).await;
        for _ in 0..3 {
            all.push(make(&child).await);
        }
        all.push(child);
    }
    let stranger = make(&world.root).await;
    world
        .write("auth/token/revoke", json!({"token": top}))
        .await
        .unwrap();
    let alive = async |t: &str| {
        world
            .ask(Some(t), Op::Read, "auth/token/lookup-self", Value::Null)
            .await
            .is_ok()
    };
    for token in &all {
        assert!(!alive(token).await);
    }
    assert!(alive(&stranger).await);
    let records = world.dump().await;
    assert_eq!(
        records
            .keys()
            .filter(|k| k.starts_with("sys/token/id/"))
            .count(),
        2
    );
    assert!(!records.keys().any(|k| k.starts_with("sys/token/revoking/")));
}

#[tokio::test]
async fn an_expired_token_is_refused_at_once_and_swept_later() {
    let world = World::begun().await;
    let body = json!({"policies": ["default"], "ttl": "10s"});
    let short = token(world.write("auth/token/create", body).await.unwrap());
    let lookup = async || {
        world
            .ask(
                Some(&short),
                Op::Read,
                "auth/token/lookup-self",
                Value::Null,
            )
            .await
    };
    assert!(lookup().await.is_ok());
    world.clock.advance(Duration::from_secs(10));
    assert!(matches!(lookup().await, Err(Error::NoToken)));
    world.clock.advance(Duration::from_secs(1));
    world.core.unsealed().unwrap().tokens.sweep().await.unwrap();
    let records = world.dump().await;
    assert_eq!(
        records
            .keys()
            .filter(|k| k.starts_with("sys/token/id/"))
            .count(),
        1
    );
    assert_eq!(
        records
            .keys()
            .filter(|k| k.starts_with("sys/expire/"))
            .count(),
        0
    );
}

#[tokio::test]
async fn uses_are_exact_under_concurrency() {
    let world = World::begun().await;
    let policy = r#"path "shelf/*" { capabilities = ["read"] }"#;
    world
        .write("sys/policies/acl/reader", json!({"policy": policy}))
        .await
        .unwrap();
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    let body = json!({"policies": ["reader"], "num_uses": 5});
    let limited = token(world.write("auth/token/create", body).await.unwrap());
    let reads = (0..16).map(|_| world.ask(Some(&limited), Op::Read, "shelf/a", Value::Null));
    let results = futures_util::future::join_all(reads).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 5);
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Ok(_) | Err(Error::NoToken)))
    );
}
