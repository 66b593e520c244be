//! Many at once, stores that fail, other nodes: memory and store stay one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyfold_core::testing::Moment;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn encrypts_while_rotating_and_every_ciphertext_opens() {
    let mount = Arc::new(Mount::new().await);
    mount.key("k", 1).await;
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..6)
        .map(|_| {
            let (mount, done) = (mount.clone(), done.clone());
            tokio::spawn(async move {
                let mut made = Vec::new();
                while !done.load(Ordering::Relaxed) || made.is_empty() {
                    made.push(mount.encrypt("k", json!({})).await);
                    tokio::task::yield_now().await;
                }
                made
            })
        })
        .collect();
    let rotators: Vec<_> = (0..2)
        .map(|_| {
            let mount = mount.clone();
            tokio::spawn(async move {
                for _ in 0..40 {
                    mount.write("keys/k/rotate", json!({})).await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    for rotator in rotators {
        rotator.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let fresh = mount.restarted();
    assert_eq!(fresh.show("k").await["latest_version"], 81);
    let newest = mount.encrypt("k", json!({})).await;
    assert!(
        newest.starts_with("vault:v81:"),
        "an acknowledged rotation counts at once"
    );
    for writer in writers {
        for ciphertext in writer.await.unwrap() {
            for mount in [&*mount, &fresh] {
                let opened = mount
                    .write("decrypt/k", json!({"ciphertext": ciphertext}))
                    .await;
                assert_eq!(opened.data["plaintext"], HELLO);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_make_a_key_one_does() {
    let mount = Arc::new(Mount::new().await);
    for round in 0..20 {
        let key = format!("k{round}");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let (mount, key) = (mount.clone(), key.clone());
                tokio::spawn(async move { mount.encrypt(&key, json!({})).await })
            })
            .collect();
        for maker in makers {
            let body = json!({"ciphertext": maker.await.unwrap()});
            assert_eq!(
                mount
                    .restarted()
                    .write(&format!("decrypt/{key}"), body)
                    .await
                    .data["plaintext"],
                HELLO
            );
        }
    }
}

#[tokio::test]
async fn the_steady_state_reads_no_storage() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    let old = mount.encrypt("k", json!({"key_version": 1})).await;
    let calls = [
        ("encrypt/k", json!({"plaintext": HELLO})),
        ("decrypt/k", json!({"ciphertext": old})),
        ("rewrap/k", json!({"ciphertext": old})),
        ("datakey/wrapped/k", json!({})),
    ];
    for (path, body) in &calls {
        mount.write(path, body.clone()).await;
    }
    let before = mount.store.operations();
    for (path, body) in &calls {
        mount.write(path, body.clone()).await;
    }
    assert_eq!(mount.store.operations(), before);
}

#[tokio::test]
async fn a_failed_change_changes_nothing() {
    let changes = [
        ("keys/k/rotate", json!({})),
        (
            "keys/k/config",
            json!({"min_decryption_version": 2, "deletion_allowed": true}),
        ),
        ("keys/new", json!({})),
        ("encrypt/new", json!({"plaintext": HELLO})),
        ("config/keys", json!({"disable_upsert": true})),
    ];
    for (path, body) in changes {
        for at in 0.. {
            let mount = Mount::new().await;
            mount.key("k", 2).await;
            mount.encrypt("k", json!({})).await;
            let before = state(&mount).await;
            mount.store.fail_at(mount.store.operations() + at);
            let answer = mount.ask(Op::Write, path, &body.to_string()).await;
            let Err(error) = answer else {
                assert!(at >= 2, "{path} reads and commits");
                break;
            };
            assert!(matches!(error, Error::Storage(_)), "{path}: {error}");
            assert_eq!(state(&mount).await, before, "{path} at {at}");
            assert_eq!(state(&mount.restarted()).await, before, "{path} at {at}");
        }
    }
}

#[tokio::test]
async fn after_an_unknown_outcome_memory_shows_what_is_stored() {
    for moment in [Moment::Before, Moment::After] {
        let mount = Mount::new().await;
        mount.key("k", 1).await;
        mount.encrypt("k", json!({})).await;
        // Settings, to see whether an HSM holds the key; settings, times twice, commit.
        mount.store.crash_at(mount.store.operations() + 4, moment);
        assert!(mount.ask(Op::Write, "keys/k/rotate", "{}").await.is_err());
        mount.store.fail_at(usize::MAX);
        let latest = mount.show("k").await["latest_version"].clone();
        assert_eq!(latest, if moment == Moment::After { 2 } else { 1 });
        let ciphertext = mount.encrypt("k", json!({})).await;
        assert!(ciphertext.starts_with(&format!("vault:v{latest}:")));
        let body = json!({"ciphertext": ciphertext});
        assert_eq!(
            mount.restarted().write("decrypt/k", body).await.data["plaintext"],
            HELLO
        );
    }
}

#[tokio::test]
async fn a_storage_error_fails_one_request_alone() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    mount.store.fail_at(mount.store.operations());
    let body = json!({"plaintext": HELLO}).to_string();
    assert!(matches!(
        mount.ask(Op::Write, "encrypt/k", &body).await,
        Err(Error::Storage(_))
    ));
    mount.encrypt("k", json!({})).await;
}

#[tokio::test]
async fn what_another_node_changes_counts_once_it_is_heard_of() {
    let here = Mount::new().await;
    here.key("k", 1).await;
    let there = here.restarted();
    let old = here.encrypt("k", json!({})).await;
    there.write("keys/k/rotate", json!({})).await;
    Engine::invalidate(&here.transit, "policy/k");
    let new = here.encrypt("k", json!({})).await;
    assert!(new.starts_with("vault:v2:"));
    here.write("decrypt/k", json!({"ciphertext": old})).await;
    there
        .write("keys/k/config", json!({"min_decryption_version": 2}))
        .await;
    Engine::invalidate_all(&here.transit);
    assert!(
        here.refused("decrypt/k", json!({"ciphertext": old}))
            .await
            .contains("too old")
    );
    for odd in [
        "", "keys", "keys/", "keys/x", "keys/x/y", "policy/", "other",
    ] {
        Engine::invalidate(&here.transit, odd);
    }
}

#[tokio::test]
async fn a_damaged_version_names_its_record() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    let old = mount.encrypt("k", json!({"key_version": 1})).await;
    let id = mount.transit.stored("k").await.unwrap().unwrap().0.id;
    let record = format!("keys/{id}/1");
    mount
        .transit
        .view
        .commit(Batch::new().put(record.clone(), b"junk".to_vec()))
        .await
        .unwrap();
    let fresh = mount.restarted();
    let body = json!({"ciphertext": old}).to_string();
    let error = fresh
        .ask(Op::Write, "decrypt/k", &body)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, Error::Corrupt(name) if name.contains(&record)),
        "{error}"
    );
    fresh.encrypt("k", json!({})).await;
}

/// What a client can see of two keys and the switch.
async fn state(mount: &Mount) -> Value {
    let mut seen = Vec::new();
    for path in ["keys/k", "keys/new", "config/keys"] {
        seen.push(
            mount
                .ask(Op::Read, path, "")
                .await
                .map_or(Value::Null, |answer| answer.data),
        );
    }
    seen.push(mount.encrypt("k", json!({})).await.split(':').nth(1).into());
    Value::Array(seen)
}
