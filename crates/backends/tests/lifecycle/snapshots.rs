//! Snapshots: of one moment, and in the place of another store; what is refused changes nothing.

use keyfold_core::error::Error;
use keyfold_core::request::Op;
use keyfold_core::snapshot::{Decoder, Encoder, Item};
use keyfold_core::testing::Moment;
use keyfold_keys::kdf::MacKey;
use serde_json::{Value, json};

use crate::world::{Machine, World, data, token};

async fn begun() -> World {
    let world = World::begun().await;
    world.write("shelf/a", json!({"v": "then"})).await.unwrap();
    world
}

/// A snapshot of a store that has changed since; or of one that another, empty one is to become.
pub async fn before(world: &mut World, empty: bool) -> Vec<u8> {
    let snapshot = world.save().await.unwrap();
    world.write("shelf/since", json!({"v": 1})).await.unwrap();
    if empty {
        let begun = std::mem::replace(world, World::new().await);
        (world.shares, world.root) = (begun.shares, begun.root);
    }
    snapshot
}

/// What was restored is there, where that was told.
pub async fn after(world: &World, acknowledged: bool, at: &str) {
    let since = world.read("shelf/since").await.is_ok();
    assert!(!(since && acknowledged), "{at}");
    let left = world.dump().await;
    assert!(!left.contains_key("core/restored"), "{at}");
}

async fn v(world: &World, path: &str) -> Result<Value, Error> {
    world.read(path).await.map(|data| data["v"].clone())
}

fn text(refused: Result<keyfold_core::Reply, Error>) -> String {
    match refused {
        Err(Error::BadRequest(text)) => text,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[tokio::test]
async fn a_restored_store_is_as_it_was_and_sealed() {
    let mut world = begun().await;
    let snapshot = world.save().await.unwrap();
    world.write("shelf/a", json!({"v": "now"})).await.unwrap();
    world.write("shelf/b", json!({"v": "new"})).await.unwrap();
    // The mark of its snapshots outlives the keys above it.
    world.write("sys/rotate", Value::Null).await.unwrap();
    let vault = world.core.unsealed().unwrap();

    let reply = world.restore(&snapshot, false).await.unwrap();
    assert!(
        reply.warnings[0].contains("is gone"),
        "{:?}",
        reply.warnings
    );
    let told = data(reply);
    assert_eq!(told["sealed"], json!(true));
    assert!(matches!(world.read("shelf/a").await, Err(Error::Sealed)));
    // Who held the old keys writes nothing under them any more.
    let late = keyfold_core::ports::storage::Batch::new().put("late", "x");
    assert!(vault.system.commit(late).await.is_err());
    drop(vault);

    world.unseal().await.unwrap();
    assert_eq!(v(&world, "shelf/a").await.unwrap(), "then");
    assert!(world.read("shelf/b").await.is_err());
    let term = world.read("sys/key-status").await.unwrap();
    assert_eq!(term["term"], json!(1));
    assert!(!world.dump().await.contains_key("core/restored"));
    world.restart().await;
    world.unseal().await.unwrap();
    assert_eq!(v(&world, "shelf/a").await.unwrap(), "then");
    // The way back is a snapshot, too.
    world.restore(&snapshot, false).await.unwrap();
}

#[tokio::test]
async fn an_empty_server_takes_one_from_anybody() {
    let snapshot = begun_snapshot().await;
    let mut world = World::new().await;
    let begun = snapshot.0;
    world.root = "nobody".to_owned();
    let told = data(world.restore(&snapshot.1, false).await.unwrap());
    assert!(told["records"].as_u64().unwrap() > 10, "{told}");
    let again = world.restore(&snapshot.1, false).await;
    assert!(
        matches!(again, Err(Error::Sealed)),
        "once it has begun, no more"
    );
    (world.shares, world.root) = (begun.shares, begun.root);
    world.unseal().await.unwrap();
    assert_eq!(v(&world, "shelf/a").await.unwrap(), "then");
}

async fn begun_snapshot() -> (World, Vec<u8>) {
    let world = begun().await;
    let snapshot = world.save().await.unwrap();
    (world, snapshot)
}

/// A server with a store of its own, and other shares: two of three.
async fn stranger() -> World {
    let mut other = World::new().await;
    let split = json!({"secret_shares": 3, "secret_threshold": 2});
    let keys = data(other.anonymous(Op::Write, "sys/init", split).await.unwrap());
    let texts = keys["keys"].as_array().unwrap().iter();
    let texts = texts.map(|key| key.as_str().unwrap().to_owned());
    other.shares = texts.collect();
    other.root = keys["root_token"].as_str().unwrap().to_owned();
    other.unseal().await.unwrap();
    other
}

#[tokio::test]
async fn a_strangers_is_refused_and_taken_by_force_with_its_seals() {
    let (owner, snapshot) = begun_snapshot().await;
    let mut other = stranger().await;
    let before = other.dump().await;

    let refused = text(other.restore(&snapshot, false).await);
    assert!(refused.contains("of another store"), "{refused}");
    assert!(other.dump().await == before);
    assert!(!other.core.is_sealed());

    let reply = other.restore(&snapshot, true).await.unwrap();
    assert!(reply.warnings[0].contains("another store"));
    let status = other.anonymous(Op::Read, "sys/seal-status", Value::Null);
    let status = data(status.await.unwrap());
    assert_eq!((&status["t"], &status["n"]), (&json!(3), &json!(5)));
    let own = other.unseal().await.unwrap_err().to_string();
    assert!(own.contains("none of the shares of today"), "{own}");
    (other.shares, other.root) = (owner.shares.clone(), owner.root.clone());
    other.unseal().await.unwrap();
    assert_eq!(v(&other, "shelf/a").await.unwrap(), "then");
}

#[tokio::test]
async fn what_is_broken_changes_nothing_and_says_what_it_is() {
    let (world, snapshot) = begun_snapshot().await;
    world.write("shelf/a", json!({"v": "now"})).await.unwrap();
    let before = world.dump().await;
    let mut flipped = snapshot.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    let cut = &snapshot[..snapshot.len() - 1];
    let longer = [&snapshot[..], b"x"].concat();
    for (bytes, part) in [
        (&b""[..], "no snapshot of Keyfold"),
        (b"PK\x03\x04 something", "no snapshot of Keyfold"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "Vault or OpenBao"),
        (cut, "cut off"),
        (&flipped, "damaged"),
        (&longer, "after the end"),
    ] {
        for force in [false, true] {
            let refused = text(world.restore(bytes, force).await);
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }
    let bodiless = world.write("sys/snapshot", Value::Null).await;
    assert!(text(bodiless).contains("a snapshot is needed"));
    assert!(world.dump().await == before);
    assert_eq!(v(&world, "shelf/a").await.unwrap(), "now");
}

/// The same snapshot without one record, made right by somebody who has no key.
fn altered(snapshot: &[u8]) -> Vec<u8> {
    let (mut decoder, mut encoder) = (Decoder::default(), Encoder::default());
    decoder.push(snapshot);
    let mut out = Vec::new();
    loop {
        match decoder.next_item().unwrap().unwrap() {
            Item::Header(header) => out.extend(encoder.begin(&header).unwrap()),
            Item::Record(key, _) if key.starts_with("sys/token/by-accessor/") => {}
            Item::Record(key, value) => {
                out.extend(encoder.records(&vec![(key, value)]).unwrap());
            }
            Item::End(_) => {
                out.extend(encoder.end(&MacKey::new(&[0; 32])));
                return out;
            }
        }
    }
}

#[tokio::test]
async fn an_altered_one_is_found_by_who_has_the_keys() {
    let (world, snapshot) = begun_snapshot().await;
    let forged = altered(&snapshot);
    let refused = text(world.restore(&forged, false).await);
    assert!(
        refused.contains("not one that this store made"),
        "{refused}"
    );

    let mut empty = World::new().await;
    (empty.shares, empty.root) = (world.shares.clone(), world.root.clone());
    empty.restore(&forged, false).await.unwrap();
    let Err(Error::BadRequest(refused)) = empty.unseal().await else {
        panic!("it opened");
    };
    for part in ["it was altered", "empty its storage", "-force"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(empty.core.is_sealed());

    let mut empty = World::new().await;
    (empty.shares, empty.root) = (world.shares.clone(), world.root.clone());
    empty.restore(&forged, true).await.unwrap();
    empty.unseal().await.unwrap();
    assert_eq!(v(&empty, "shelf/a").await.unwrap(), "then");
}

/// The disk goes away during a restore, and comes back: the server is what the store is by then.
#[tokio::test]
async fn once_the_disk_is_back_the_state_is_that_of_the_store() {
    let (owner, snapshot) = begun_snapshot().await;
    let keyring = owner.dump().await.remove("core/keyring");
    for empty in [true, false] {
        for moment in [Moment::Before, Moment::After] {
            let (mut old, mut new) = (0, 0);
            for n in 0.. {
                assert!(n < 100, "it does not end");
                let mut world = match empty {
                    true => World::new().await,
                    false => stranger().await,
                };
                let start = world.store.operations();
                world.store.crash_at(start + n, moment);
                let done = world.restore(&snapshot, true).await.is_ok();
                if world.store.operations() <= start + n {
                    assert!(done, "it failed without a crash");
                    break;
                }
                // Who asks in between is told something, or that it can't be told.
                let _told = world.anonymous(Op::Read, "sys/init", Value::Null).await;
                world.store.mend();

                let at = format!("empty: {empty}, {moment:?} {n}");
                if world.dump().await.get("core/keyring") == keyring.as_ref() {
                    new += 1;
                    let status = world.anonymous(Op::Read, "sys/seal-status", Value::Null);
                    let status = data(status.await.expect(&at));
                    assert_eq!((&status["t"], &status["n"]), (&json!(3), &json!(5)), "{at}");
                    (world.shares, world.root) = (owner.shares.clone(), owner.root.clone());
                } else {
                    old += 1;
                    let told = world.anonymous(Op::Read, "sys/init", Value::Null).await;
                    let told = data(told.expect(&at));
                    assert_eq!(told["initialized"], json!(!empty), "{at}");
                    if empty {
                        world.restore(&snapshot, true).await.expect(&at);
                        (world.shares, world.root) = (owner.shares.clone(), owner.root.clone());
                    }
                }
                world.unseal().await.expect(&at);
                assert!(!world.core.is_sealed(), "{at}");
            }
            let seen = match moment {
                Moment::Before => old > 0,
                Moment::After => new > 0,
            };
            assert!(seen, "empty: {empty}, {moment:?}: {old} old, {new} new");
        }
    }
}

#[tokio::test]
async fn a_seal_opens_what_was_restored() {
    let world = World::begun_with(vec![Machine::new("one", 1)]).await;
    world.write("shelf/a", json!({"v": "then"})).await.unwrap();
    let snapshot = world.save().await.unwrap();
    world.write("shelf/a", json!({"v": "now"})).await.unwrap();
    world.restore(&snapshot, false).await.unwrap();
    assert!(world.core.open_by_seals().await.unwrap());
    assert_eq!(v(&world, "shelf/a").await.unwrap(), "then");
}

#[tokio::test]
async fn policies_decide_and_a_token_of_one_use_will_do() {
    let (world, snapshot) = begun_snapshot().await;
    let policy = r#"path "sys/storage/raft/snapshot" { capabilities = ["read"] }"#;
    world
        .write("sys/policies/acl/backup", json!({"policy": policy}))
        .await
        .unwrap();
    let backup = json!({"policies": ["backup"], "num_uses": 1});
    let backup = token(world.write("auth/token/create", backup).await.unwrap());
    let path = "sys/storage/raft/snapshot";
    let saved = world.ask(Some(&backup), Op::Read, path, Value::Null).await;
    assert!(saved.unwrap().stream.is_some());
    let spent = world.ask(Some(&backup), Op::Read, path, Value::Null).await;
    assert!(spent.is_err());

    let once = json!({"policies": ["root"], "num_uses": 1});
    let once = token(world.write("auth/token/create", once).await.unwrap());
    let mut world = world;
    world.root = once;
    world.restore(&snapshot, false).await.unwrap();
}

#[tokio::test]
async fn a_sealed_server_takes_none() {
    let (mut world, snapshot) = begun_snapshot().await;
    world.restart().await;
    let refused = world.restore(&snapshot, true).await;
    assert!(matches!(refused, Err(Error::Sealed)));
}
