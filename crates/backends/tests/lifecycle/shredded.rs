//! A transit key that was destroyed, and a snapshot that has it still: it comes back marked, whatever
//! crashes on the way.

use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use keyfold_core::testing::Moment;
use serde_json::{Value, json};

use crate::world::{World, data, token};

/// A store with keys `t1` and `t2`, a ciphertext of `t1`, a snapshot; and `t1` was destroyed since.
struct Gone {
    world: World,
    snapshot: Vec<u8>,
    ciphertext: Value,
    receipt: Value,
}

impl Gone {
    async fn new() -> Self {
        let world = World::begun().await;
        let made = json!({"type": "transit"});
        world.write("sys/mounts/transit", made).await.unwrap();
        world
            .write("transit/config/shred", json!({"minimum_delay": 0}))
            .await
            .unwrap();
        for key in ["t1", "t2"] {
            world
                .write(&format!("transit/keys/{key}"), json!({}))
                .await
                .unwrap();
        }
        let made = world
            .write("transit/encrypt/t1", json!({"plaintext": "aGk="}))
            .await;
        let ciphertext = data(made.unwrap())["ciphertext"].clone();
        let snapshot = world.save().await.unwrap();
        world
            .write("transit/keys/t1/rotate", json!({}))
            .await
            .unwrap();
        let receipt = shred(&world, "t1").await;
        Self {
            world,
            snapshot,
            ciphertext,
            receipt,
        }
    }

    async fn decrypt(&self) -> Result<Value, String> {
        let body = json!({"ciphertext": self.ciphertext});
        match self.world.write("transit/decrypt/t1", body).await {
            Ok(reply) => Ok(data(reply)["plaintext"].clone()),
            Err(Error::BadRequest(text)) => Err(text),
            Err(other) => panic!("{other}"),
        }
    }

    async fn state(&self) -> Value {
        self.world.read("transit/keys/t1/shred").await.unwrap()["state"].clone()
    }
}

/// The root token asks, a child of it approves: the id of the receipt.
async fn shred(world: &World, key: &str) -> Value {
    let path = format!("transit/keys/{key}/shred");
    let asked = json!({"reason": "the tenant left", "delay": 0});
    world.write(&path, asked).await.unwrap();
    let same = world.write(&format!("{path}/approve"), json!({})).await;
    assert!(matches!(same, Err(Error::BadRequest(_))), "by one hand");
    let other = json!({"policies": ["root"]});
    let other = token(world.write("auth/token/create", other).await.unwrap());
    let approve = format!("{path}/approve");
    let agreed = world
        .ask(Some(&other), Op::Write, &approve, json!({}))
        .await;
    agreed.unwrap();
    let gone = world.write(&format!("{path}/destroy"), json!({})).await;
    data(gone.unwrap())["receipt"]["id"].clone()
}

#[tokio::test]
async fn a_restore_says_what_it_brings_back_and_it_is_refused() {
    let gone = Gone::new().await;
    let text = gone.decrypt().await.unwrap_err();
    assert!(text.contains("key \"t1\" was destroyed"), "{text}");

    let reply = gone.world.restore(&gone.snapshot, false).await.unwrap();
    let told = reply.warnings.join("\n");
    assert!(told.contains("transit/t1 was destroyed"), "{told}");
    assert_eq!(data(reply)["revived"], json!(["transit/t1"]));
    gone.world.unseal().await.unwrap();
    assert!(!gone.world.dump().await.contains_key("core/destroyed"));
    let text = gone.decrypt().await.unwrap_err();
    assert!(text.contains("older snapshot brought it back"), "{text}");
    assert!(text.contains(gone.receipt.as_str().unwrap()), "{text}");
    assert_eq!(gone.state().await, "revived");
    let encrypt = json!({"plaintext": "aGk="});
    assert!(
        gone.world
            .write("transit/encrypt/t1", encrypt.clone())
            .await
            .is_err()
    );
    gone.world
        .write("transit/encrypt/t2", encrypt)
        .await
        .unwrap();
    let report = gone.world.read("sys/keys/report").await.unwrap();
    assert!(
        report
            .to_string()
            .contains("older snapshot brought it back")
    );

    // It goes again at once; and its versions, also the one that the snapshot lacked, are nobody's.
    let again = gone
        .world
        .write("transit/keys/t1/shred/destroy", json!({}))
        .await;
    assert_eq!(
        data(again.unwrap())["receipt"]["revived_after"],
        gone.receipt
    );
    let made = gone.world.write("transit/keys/t1", json!({})).await;
    assert_eq!(data(made.unwrap())["latest_version"], 3);
    let text = gone.decrypt().await.unwrap_err();
    assert!(
        text.starts_with("version 1, of a key before this one, was destroyed"),
        "{text}"
    );
}

#[tokio::test]
async fn who_wants_it_back_says_so() {
    let gone = Gone::new().await;
    gone.world.restore(&gone.snapshot, false).await.unwrap();
    gone.world.unseal().await.unwrap();
    gone.world
        .write("transit/keys/t1/shred/cancel", json!({}))
        .await
        .unwrap();
    assert_eq!(gone.decrypt().await.unwrap(), "aGk=");
    let saved = gone.world.save().await.unwrap();
    let reply = gone.world.restore(&saved, false).await.unwrap();
    assert_eq!(data(reply)["revived"], json!([]));
}

/// A snapshot that is newer than the destruction brings nothing back, and knows of it itself.
#[tokio::test]
async fn a_newer_snapshot_has_no_such_key() {
    let gone = Gone::new().await;
    let newer = gone.world.save().await.unwrap();
    let reply = gone.world.restore(&newer, false).await.unwrap();
    assert_eq!(data(reply)["revived"], json!([]));
    gone.world.unseal().await.unwrap();
    let text = gone.decrypt().await.unwrap_err();
    assert!(text.contains("key \"t1\" was destroyed"), "{text}");
    let destroyed = gone.world.read("transit/keys/t1/shred").await.unwrap()["destroyed"].clone();
    assert_eq!(destroyed.as_array().unwrap().len(), 1);
}

/// Of a key that comes back two people agreed once, so it goes at once: whoever writes the store can say
/// of no other key that it was destroyed.
#[tokio::test]
async fn nobody_else_can_say_that_a_key_was_destroyed() {
    const AT: &str = "core/destroyed";
    let gone = Gone::new().await;
    let t2 = gone.world.read("transit/keys/t2/shred").await.unwrap();
    gone.world.restore(&gone.snapshot, false).await.unwrap();
    let entry = gone.world.disk.get(AT).await.unwrap().unwrap();
    let mut record: Value = serde_json::from_slice(&entry.value).unwrap();
    let keys = record["mounts"]
        .as_object_mut()
        .unwrap()
        .values_mut()
        .next();
    let keys = keys.unwrap().as_array_mut().unwrap();
    assert_eq!((keys.len(), &keys[0]["name"]), (1, &json!("t1")));
    let mut forged = keys[0].clone();
    (forged["name"], forged["id"]) = (json!("t2"), t2["id"].clone());
    keys.push(forged);
    let bytes = serde_json::to_vec(&record).unwrap();
    for bytes in [bytes, b"{}".to_vec(), b"\xff".to_vec()] {
        let disk = &gone.world.disk;
        disk.commit(Batch::new().put(AT, bytes)).await.unwrap();
        gone.world.unseal().await.unwrap();
        assert!(!gone.world.dump().await.contains_key(AT));
        let t2 = gone.world.read("transit/keys/t2/shred").await.unwrap();
        assert_eq!(t2["state"], "active");
        let sealed = gone.world.write("sys/seal", json!({})).await;
        sealed.unwrap();
    }
    // As it was written it counts.
    let disk = &gone.world.disk;
    let batch = Batch::new().put(AT, entry.value);
    disk.commit(batch).await.unwrap();
    gone.world.unseal().await.unwrap();
    assert_eq!(gone.state().await, "revived");
}

/// A store that knows nothing of it has the key: that is for the receipts, and documents say so.
#[tokio::test]
async fn an_empty_server_can_not_know() {
    let mut gone = Gone::new().await;
    let begun = std::mem::replace(&mut gone.world, World::new().await);
    (gone.world.shares, gone.world.root) = (begun.shares.clone(), begun.root.clone());
    let reply = gone.world.restore(&gone.snapshot, false).await.unwrap();
    assert_eq!(data(reply)["revived"], json!([]));
    gone.world.unseal().await.unwrap();
    assert_eq!(gone.decrypt().await.unwrap(), "aGk=");
}

/// The process dies during the restore or the opening after it: the key is destroyed, or it came back
/// and is refused. It never works again by itself.
#[tokio::test]
async fn killed_at_any_operation_it_does_not_live_again() {
    let (mut old, mut new) = (0, 0);
    for moment in [Moment::Before, Moment::After] {
        for n in 0.. {
            assert!(n < 300, "it does not end");
            let mut gone = Gone::new().await;
            let start = gone.world.store.operations();
            gone.world.store.crash_at(start + n, moment);
            let done = match gone.world.restore(&gone.snapshot, false).await {
                Ok(_) => gone.world.unseal().await.is_ok(),
                Err(_) => false,
            };
            let reached = gone.world.store.operations() > start + n;
            gone.world.restart().await;
            gone.world.unseal().await.unwrap();
            let at = format!("{moment:?} {n}");
            let refused = gone.decrypt().await.expect_err(&at);
            assert!(refused.contains("was destroyed"), "{at}: {refused}");
            match gone.state().await == "revived" {
                true => new += 1,
                false => old += 1,
            }
            assert!(
                !gone.world.dump().await.contains_key("core/destroyed"),
                "{at}"
            );
            if !reached {
                assert!(done, "it failed without a crash");
                break;
            }
        }
    }
    assert!(old > 2 && new > 2, "{old} old, {new} new");
}
