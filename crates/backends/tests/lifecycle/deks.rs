//! The rotation of a mount's dek: it ends, nothing is lost on the way, and the old version is gone.

use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use keyfold_keys::record;
use serde_json::{Value, json};

use crate::world::{World, token};

const PATH: &str = "sys/mounts/shelf/rotate-dek";

/// Waits until it has ended; what is told of it then.
pub async fn ended(world: &World, path: &str) -> Value {
    for _ in 0..2000 {
        let told = world.read(path).await.unwrap();
        if told["state"] == "done" {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not end: {}", world.read(path).await.unwrap())
}

async fn filled(records: u32) -> World {
    let world = World::begun().await;
    for n in 0..records {
        let body = json!({"n": n});
        world.write(&format!("shelf/{n}"), body).await.unwrap();
    }
    world
}

/// The uuid of the one mount that has records.
pub async fn uuid(world: &World) -> String {
    let dump = world.dump().await;
    let key = dump.keys().find(|key| key.starts_with("logical/")).unwrap();
    key.split('/').nth(1).unwrap().to_owned()
}

/// The versions that its records are under.
async fn versions(world: &World, prefix: &str) -> Vec<u32> {
    let dump = world.dump().await;
    let records = dump.iter().filter(|(key, _)| key.starts_with(prefix));
    let mut versions: Vec<u32> = records.map(|(_, v)| record::version(v).unwrap()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

async fn deks(world: &World, uuid: &str) -> Vec<String> {
    let dump = world.dump().await;
    let folder = format!("core/dek/{uuid}/");
    let names = dump.keys().filter_map(|key| key.strip_prefix(&folder));
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn all_records_move_and_the_stolen_dek_opens_nothing() {
    let mut world = filled(300).await;
    let uuid = uuid(&world).await;
    let stolen = world.dump().await;
    assert_eq!(world.read(PATH).await.unwrap()["state"], "idle");
    world.write(PATH, Value::Null).await.unwrap();
    let told = ended(&world, PATH).await;
    assert_eq!(
        (&told["from_version"], &told["version"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&told["records"], &told["records_rewritten"]),
        (&json!(300), &json!(300))
    );
    assert_eq!(deks(&world, &uuid).await, ["2"]);
    assert_eq!(versions(&world, &format!("logical/{uuid}/")).await, [2]);

    // The old dek, put back as it was stolen: there is no record left that it opens. And a record
    // that it sealed is refused.
    let old_dek = format!("core/dek/{uuid}/1");
    let old_record = format!("logical/{uuid}/7");
    let put = Batch::new().put(old_record.clone(), stolen[&old_record].clone());
    world.disk.commit(put).await.unwrap();
    let read = world.read("shelf/7").await;
    assert!(matches!(read, Err(Error::Corrupt(named)) if named == old_record));
    world.restart().await;
    world.unseal().await.unwrap();
    let read = world.read("shelf/7").await;
    assert!(matches!(read, Err(Error::Corrupt(_))));
    assert!(!world.dump().await.contains_key(&old_dek));
    for n in (0..300).filter(|n| *n != 7) {
        let read = world.read(&format!("shelf/{n}")).await.unwrap();
        assert_eq!(read, json!({"n": n}));
    }
}

#[tokio::test]
async fn who_reads_and_writes_meanwhile_notices_nothing() {
    let world = filled(120).await;
    let uuid = uuid(&world).await;
    world.write(PATH, json!({"rate": 400})).await.unwrap();
    let mut round = 0;
    loop {
        round += 1;
        let done = world.read(PATH).await.unwrap()["state"] == "done";
        for n in 0..120 {
            let path = format!("shelf/{n}");
            match n % 3 {
                0 => {
                    let body = json!({"n": n, "round": round});
                    world.write(&path, body.clone()).await.unwrap();
                    assert_eq!(world.read(&path).await.unwrap(), body);
                }
                1 => {
                    world.delete(&path).await.unwrap();
                    assert!(matches!(world.read(&path).await, Err(Error::NotFound)));
                    world.write(&path, json!({"n": n})).await.unwrap();
                }
                _ => assert_eq!(world.read(&path).await.unwrap(), json!({"n": n})),
            }
            tokio::task::yield_now().await;
        }
        // What is written now is under the new version at once.
        let dump = world.dump().await;
        assert_eq!(record::version(&dump[&format!("logical/{uuid}/0")]), Ok(2));
        if done {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(round < 2000);
    }
    assert_eq!(versions(&world, &format!("logical/{uuid}/")).await, [2]);
    assert_eq!(deks(&world, &uuid).await, ["2"]);
}

#[tokio::test]
async fn it_goes_on_after_a_seal_and_after_a_restart() {
    let mut world = filled(60).await;
    let uuid = uuid(&world).await;
    world.write(PATH, json!({"rate": 40})).await.unwrap();
    let mut passed = Vec::new();
    for restart in [false, true] {
        loop {
            let told = world.read(PATH).await.unwrap();
            assert_ne!(told["state"], "done");
            let rewritten = told["records_rewritten"].as_u64().unwrap();
            if rewritten > passed.last().copied().unwrap_or(0) {
                passed.push(rewritten);
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        match restart {
            false => drop(world.write("sys/seal", Value::Null).await.unwrap()),
            true => world.restart().await,
        }
        world.unseal().await.unwrap();
    }
    // Both versions read.
    assert_eq!(versions(&world, &format!("logical/{uuid}/")).await, [1, 2]);
    for n in 0..60 {
        let read = world.read(&format!("shelf/{n}")).await.unwrap();
        assert_eq!(read, json!({"n": n}));
    }
    // Asked again it is the same one, faster.
    let again = world.write(PATH, json!({"rate": 100_000})).await.unwrap();
    assert_eq!(again.warnings.len(), 1);
    let told = ended(&world, PATH).await;
    assert_eq!(
        (&told["version"], &told["rate"]),
        (&json!(2), &json!(100_000))
    );
    assert_eq!(told["records_rewritten"], json!(60));
    assert_eq!(deks(&world, &uuid).await, ["2"]);
    // And then another.
    world.write(PATH, Value::Null).await.unwrap();
    let told = ended(&world, PATH).await;
    assert_eq!(told["version"], json!(3));
    assert_eq!(deks(&world, &uuid).await, ["3"]);
}

#[tokio::test]
async fn cores_own_records_have_a_dek_that_is_rotated_alike() {
    let mut world = filled(3).await;
    let policy = r#"path "shelf/*" { capabilities = ["read"] }"#;
    let body = json!({"policy": policy});
    world.write("sys/policies/acl/reader", body).await.unwrap();
    let body = json!({"policies": ["reader"]});
    let reader = token(world.write("auth/token/create", body).await.unwrap());
    let path = "sys/mounts/sys/rotate-dek";
    world.write(path, Value::Null).await.unwrap();
    ended(&world, path).await;
    assert_eq!(versions(&world, "sys/").await, [2]);
    world.restart().await;
    world.unseal().await.unwrap();
    let read = world
        .ask(Some(&reader), Op::Read, "shelf/1", Value::Null)
        .await;
    assert!(read.is_ok());
    assert_eq!(
        deks(&world, "00000000-0000-0000-0000-000000000000").await,
        ["2"]
    );
}

#[tokio::test]
async fn the_kek_is_rotated_and_the_mount_removed_meanwhile() {
    let mut world = filled(60).await;
    let uuid = uuid(&world).await;
    world.write(PATH, json!({"rate": 40})).await.unwrap();
    world.write("sys/rotate", Value::Null).await.unwrap();
    world.restart().await;
    world.unseal().await.unwrap();
    assert_eq!(world.read("shelf/5").await.unwrap(), json!({"n": 5}));
    assert_eq!(deks(&world, &uuid).await, ["1", "2"]);
    world.delete("sys/mounts/shelf").await.unwrap();
    assert!(deks(&world, &uuid).await.is_empty());
    assert!(world.read(PATH).await.is_err());
    let dump = world.dump().await;
    assert!(!dump.keys().any(|key| key.starts_with("sys/renewal/")));
    // The worker finds nothing more to do, and another mount at the path has a dek of its own.
    let shelf = json!({"type": "shelf"});
    world.write("sys/mounts/shelf", shelf).await.unwrap();
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
    assert_eq!(world.read(PATH).await.unwrap()["state"], "idle");
}

#[tokio::test]
async fn a_damaged_record_holds_nothing_up() {
    let world = filled(5).await;
    let uuid = uuid(&world).await;
    let key = format!("logical/{uuid}/3");
    let mut damaged = world.dump().await[&key].clone();
    *damaged.last_mut().unwrap() ^= 1;
    let put = Batch::new().put(key, damaged);
    world.disk.commit(put).await.unwrap();
    world.write(PATH, Value::Null).await.unwrap();
    let told = ended(&world, PATH).await;
    assert_eq!(told["records_damaged"], json!(1));
    assert_eq!(world.read("shelf/4").await.unwrap(), json!({"n": 4}));
    assert!(matches!(
        world.read("shelf/3").await,
        Err(Error::Corrupt(_))
    ));
}

#[tokio::test]
async fn what_can_not_be_rotated_is_refused_and_changes_nothing() {
    let world = filled(1).await;
    let before = world.dump().await;
    for (path, body, word) in [
        ("sys/mounts/nothing/rotate-dek", Value::Null, "no mount"),
        ("sys/mounts/identity/rotate-dek", Value::Null, "sys/"),
        ("sys/auth/token/rotate-dek", Value::Null, "sys/"),
        (PATH, json!({"rate": 0}), "rate"),
        (PATH, json!({"rate": -5}), "rate"),
        (PATH, json!({"rate": "fast"}), "rate"),
        (PATH, json!({"rate": 1_000_001}), "rate"),
    ] {
        let Err(Error::BadRequest(text)) = world.write(path, body.clone()).await else {
            panic!("{path} {body}")
        };
        assert!(text.contains(word), "{text}");
    }
    assert_eq!(before, world.dump().await);
}

#[tokio::test]
async fn a_start_that_was_not_answered_is_taken_up() {
    for n in 0..12 {
        let mut world = filled(4).await;
        let uuid = uuid(&world).await;
        let start = world.store.operations();
        world.store.unanswered_at(start + n);
        let _ = world.write(PATH, Value::Null).await;
        world.store.fail_at(usize::MAX);
        // Under the new version or the old one: it has to be readable from here on.
        world.write("shelf/new", json!({"v": 1})).await.unwrap();
        let at = format!("operation {n}");
        world.write(PATH, Value::Null).await.expect(&at);
        ended(&world, PATH).await;
        let kept = deks(&world, &uuid).await;
        assert_eq!(kept.len(), 1, "{at}");
        world.restart().await;
        world.unseal().await.expect(&at);
        assert_eq!(world.read("shelf/new").await.expect(&at), json!({"v": 1}));
        assert_eq!(world.read("shelf/3").await.expect(&at), json!({"n": 3}));
    }
}
