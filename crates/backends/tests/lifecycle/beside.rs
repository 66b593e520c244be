//! What others do at the same time: another rotation, a second set of shares, outsiders.

use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::rekey::{terms, text};
use crate::world::{Machine, Seals, World, data};

#[tokio::test]
async fn a_rotation_of_the_kek_beside_one_of_the_root_key_takes_that_of_today() {
    let seals = Seals {
        shares_unseal: false,
        ..Seals::any(vec![Machine::new("one", 1)])
    };
    let mut world = World::begun_under(seals).await.unwrap();
    world.write("shelf/x", json!({"v": 1})).await.unwrap();
    let seal = world.seals.all[0].seal.clone();
    let held = seal.hold_next();
    let asked = seal.calls();
    let beside = async {
        while seal.calls() == asked {
            tokio::task::yield_now().await;
        }
        world.write("sys/rotate/root", Value::Null).await.unwrap();
        held.notify_one();
    };
    let (rotated, ()) = tokio::join!(world.write("sys/rotate", Value::Null), beside);
    rotated.unwrap();
    world.restart().await;
    assert!(world.core.open_by_seals().await.unwrap());
    assert_eq!(world.read("shelf/x").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn a_rotation_of_the_kek_that_waited_for_one_of_the_root_key_takes_the_new_one() {
    let seals = Seals {
        shares_unseal: false,
        ..Seals::any(vec![Machine::new("one", 1)])
    };
    let mut world = World::begun_under(seals).await.unwrap();
    world.write("shelf/x", json!({"v": 1})).await.unwrap();
    let held = world.store.hold_next_commit();
    let beside = async {
        while !world.store.is_holding() {
            tokio::task::yield_now().await;
        }
        // It has the root key of today, and waits until it may change the keyring.
        let go_on = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            held.notify_one();
        };
        tokio::join!(world.write("sys/rotate", Value::Null), go_on).0
    };
    let (renewed, rotated) = tokio::join!(world.write("sys/rotate/root", Value::Null), beside);
    renewed.unwrap();
    rotated.unwrap();
    world.restart().await;
    assert!(world.core.open_by_seals().await.unwrap());
    assert_eq!(world.read("shelf/x").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn each_of_two_sets_of_shares_is_known_by_its_check() {
    let world = World::begun().await;
    let (_told, new) = world.rekeyed("sys/rotate/root", false).await.unwrap();
    let terms = world.anonymous(Op::Read, "sys/share-check", Value::Null);
    let terms = data(terms.await.unwrap());
    for (shares, next) in [(&world.shares, None), (&new, Some(true))] {
        let check = |salt: &Value| {
            let share = hex::decode(&shares[1]).unwrap();
            let share = keyfold_keys::Share::from_bytes(&share).ok().unwrap();
            let salt = hex::decode(salt.as_str().unwrap()).unwrap();
            hex::encode(share.check(&salt))
        };
        let body = json!({
            "check": check(&terms["salt"]),
            "check_next": check(&terms["next"]["salt"]),
        });
        let known = world.anonymous(Op::Write, "sys/share-check", body).await;
        let known = data(known.unwrap());
        assert_eq!(
            (&known["share"], known.get("next")),
            (&json!(2), next.map(Value::Bool).as_ref())
        );
    }
    let checked = data(world.write("sys/seal-check", Value::Null).await.unwrap());
    assert_eq!(checked["shares"]["next"], json!({"t": 3, "n": 5}));
}

#[tokio::test]
async fn an_outsider_ends_nothing_that_was_begun_with_a_token() {
    let world = World::begun().await;
    for (with_token, without, body) in [
        ("sys/rotate/root/init", "sys/rekey/init", terms(true)),
        (
            "sys/generate-root-token/attempt",
            "sys/generate-root/attempt",
            json!({}),
        ),
    ] {
        let begun = data(world.write(with_token, body).await.unwrap());
        let end = |body| world.anonymous(Op::Delete, without, body);
        assert!(text(end(Value::Null).await).contains("begun with a token"));
        end(json!({"nonce": begun["nonce"]})).await.unwrap();
    }
    // Those who are to show the new shares know the nonce; nobody else gets another.
    world.rekeyed("sys/rotate/root", true).await.unwrap();
    let restart = world.anonymous(Op::Delete, "sys/rekey/verify", Value::Null);
    assert!(restart.await.is_err());
}
