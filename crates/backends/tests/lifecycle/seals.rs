//! Several seals over one root key: any of them opens, and what is configured becomes what is
//! stored.

use keyfold_core::error::Error;
use keyfold_core::ports::seal::SealError;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::world::{Machine, Seals, World, data};

fn down() -> Option<SealError> {
    Some(SealError::Down("nobody answers".into()))
}

fn two() -> Vec<Machine> {
    vec![Machine::new("one", 1), Machine::new("two", 2)]
}

/// An empty store with those seals.
async fn empty(all: Vec<Machine>, shares_unseal: bool) -> World {
    World::with(Seals {
        shares_unseal,
        ..Seals::any(all)
    })
    .await
}

async fn wraps(world: &World) -> Vec<String> {
    let all = world.dump().await;
    let names = all.keys().filter_map(|key| key.strip_prefix("core/seal/"));
    names.map(str::to_owned).collect()
}

async fn opens_by_seals(world: &mut World) -> bool {
    world.restart().await;
    matches!(world.core.open_by_seals().await, Ok(true))
}

#[tokio::test]
async fn a_store_begun_with_seals_opens_by_any_of_them_and_by_shares() {
    let mut world = World::begun_with(two()).await;
    assert_eq!(wraps(&world).await, ["one", "shamir", "two"]);
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    for away in [&[][..], &[0], &[1]] {
        for (at, machine) in world.seals.all.iter().enumerate() {
            machine.seal.fail(down().filter(|_| away.contains(&at)));
        }
        assert!(opens_by_seals(&mut world).await, "without {away:?}");
        assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
    }
    for machine in &world.seals.all {
        machine.seal.fail(down());
    }
    world.restart().await;
    let refused = world.core.open_by_seals().await;
    let text = "one (down): nobody answers; two (down): nobody answers";
    assert!(matches!(refused, Err(Error::NoSeal(why)) if why == text));
    // It is told while sealed, to anybody.
    let told = world.anonymous(Op::Read, "sys/seal-backend-status", Value::Null);
    let told = data(told.await.unwrap());
    let reason = &told["backends"][0]["reason"];
    assert_eq!(
        (&told["healthy"], reason),
        (&json!(false), &json!("nobody answers"))
    );
    // Break glass.
    world.unseal().await.unwrap();
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn the_root_key_is_fetched_for_each_use_and_an_outage_harms_nothing_else() {
    let world = World::begun_with(vec![Machine::new("one", 1)]).await;
    let seal = &world.seals.all[0].seal;
    let before = seal.calls();
    world.write("sys/rotate", Value::Null).await.unwrap();
    assert!(seal.calls() > before, "the root key is in memory");
    seal.fail(down());
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    let refused = world.write("sys/rotate", Value::Null).await;
    assert!(matches!(refused, Err(Error::NoSeal(_))));
    assert_eq!(world.read("sys/key-status").await.unwrap()["term"], 2);
    let status = world.read("sys/seal-backend-status").await.unwrap();
    assert_eq!(status["healthy"], false);
    assert_eq!(status["backends"][0]["condition"], "down");
    assert_eq!(status["backends"][0]["reason"], "nobody answers");
    let people = json!({"name": "shamir", "healthy": true});
    assert_eq!(status["backends"][1], people);
    seal.fail(None);
    world.write("sys/rotate", Value::Null).await.unwrap();
    assert!(world.core.failing_seals().is_empty());
}

#[tokio::test]
async fn opened_by_shares_the_root_key_stays_until_a_seal_gives_it_again() {
    let mut world = World::begun_with(vec![Machine::new("one", 1)]).await;
    world.seals.all[0].seal.fail(down());
    world.restart().await;
    world.unseal().await.unwrap();
    world.core.settle().await.unwrap();
    world.write("sys/rotate", Value::Null).await.unwrap();
    world.seals.all[0].seal.fail(None);
    world.core.settle().await.unwrap();
    world.seals.all[0].seal.fail(down());
    let refused = world.write("sys/rotate", Value::Null).await;
    assert!(matches!(refused, Err(Error::NoSeal(_))));
}

#[tokio::test]
async fn a_seal_joins_and_leaves_at_a_restart_and_while_running() {
    let mut world = World::begun().await;
    world.seals.all = vec![Machine::new("one", 1)];
    assert!(!opens_by_seals(&mut world).await);
    let status = world.anonymous(Op::Read, "sys/seal-status", Value::Null);
    let status = data(status.await.unwrap());
    assert_eq!(
        (&status["migration"], &status["t"]),
        (&json!(true), &json!(3))
    );
    // As the documents of other servers have it.
    for share in world.shares.iter().take(3) {
        let body = json!({"key": share, "migrate": true});
        let given = world.anonymous(Op::Write, "sys/unseal", body).await;
        given.unwrap();
    }
    world.core.settle().await.unwrap();
    assert!(opens_by_seals(&mut world).await);

    world.seals.all.push(Machine::new("two", 2));
    world.reseal().await;
    world.core.settle().await.unwrap();
    assert_eq!(wraps(&world).await, ["one", "shamir", "two"]);

    world.seals.all.remove(0);
    world.reseal().await;
    world.core.settle().await.unwrap();
    assert_eq!(wraps(&world).await, ["shamir", "two"]);
    assert!(opens_by_seals(&mut world).await);

    // Back to shares alone; the root key is held again.
    world.seals.all.clear();
    world.reseal().await;
    world.core.settle().await.unwrap();
    assert_eq!(wraps(&world).await, ["shamir"]);
    world.write("sys/rotate", Value::Null).await.unwrap();
    assert!(!opens_by_seals(&mut world).await);
    world.unseal().await.unwrap();
}

#[tokio::test]
async fn a_disabled_seal_opens_once_more_and_goes() {
    let mut world = World::begun_with(vec![Machine::new("same", 1)]).await;
    let mut old = world.seals.all[0].clone();
    old.disabled = true;
    world.seals.all = vec![old, Machine::new("same", 7)];
    assert!(opens_by_seals(&mut world).await);
    world.core.settle().await.unwrap();
    world.seals.all.remove(0);
    assert!(opens_by_seals(&mut world).await);

    world.seals.all[0].disabled = true;
    assert!(opens_by_seals(&mut world).await);
    world.core.settle().await.unwrap();
    assert_eq!(wraps(&world).await, ["shamir"]);
    world.write("sys/rotate", Value::Null).await.unwrap();
    // Its stanza may stay: it has nothing to do any more, and so fails at nothing.
    let checked = data(world.write("sys/seal-check", Value::Null).await.unwrap());
    assert_eq!(
        (&checked["ok"], &checked["seals"]),
        (&json!(true), &json!([]))
    );
    assert!(world.core.seal_reports().is_empty());
}

#[tokio::test]
async fn the_last_way_is_never_removed() {
    let mut world = empty(vec![Machine::new("one", 1)], true).await;
    let body = json!({"recovery_shares": 0, "recovery_threshold": 0});
    let begun = world.anonymous(Op::Write, "sys/init", body).await.unwrap();
    let begun = data(begun);
    assert_eq!(begun["keys"], json!([]));
    assert!(begun.get("recovery_keys").is_none());
    let one = std::mem::take(&mut world.seals.all);
    world.reseal().await;
    world.core.settle().await.unwrap();
    assert_eq!(wraps(&world).await, ["one"]);
    world.seals.all = one;
    assert!(opens_by_seals(&mut world).await);
    world.restart().await;
    let body = json!({"key": "00112233445566778899aabbccddeeff"});
    let refused = world.anonymous(Op::Write, "sys/unseal", body).await;
    assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains("no shares")));
}

#[tokio::test]
async fn a_seal_whose_key_was_replaced_is_told_and_gets_a_new_wrap() {
    let mut world = World::begun_with(vec![Machine::new("one", 1)]).await;
    world.seals.all[0].seal.replace_key(5);
    let before = world.dump().await;
    assert!(!opens_by_seals(&mut world).await);
    assert_eq!(world.core.failing_seals()[0].condition, "foreign");
    assert_eq!(world.dump().await, before);
    world.unseal().await.unwrap();
    world.core.settle().await.unwrap();
    assert!(opens_by_seals(&mut world).await);
}

#[tokio::test]
async fn a_damaged_wrap_keeps_nobody_out() {
    let mut world = World::begun_with(two()).await;
    let good = world.dump().await["core/seal/one"].clone();
    let mut cut = good.clone();
    cut.truncate(40);
    let mut flipped = good.clone();
    let at = flipped.len() - 10;
    flipped[at] ^= 1;
    let moved = world.dump().await["core/seal/two"].clone();
    for bad in [cut, flipped, moved, Vec::new()] {
        let batch = Batch::new().put("core/seal/one", bad);
        world.disk.commit(batch).await.unwrap();
        assert!(opens_by_seals(&mut world).await);
        world.core.settle().await.unwrap();
        world.seals.all[1].seal.fail(down());
        assert!(opens_by_seals(&mut world).await, "not made anew");
        world.seals.all[1].seal.fail(None);
    }
}

#[tokio::test]
async fn what_somebody_sealed_no_seal_opens_until_a_restart() {
    let mut world = World::begun_with(vec![Machine::new("one", 1)]).await;
    world.write("sys/seal", Value::Null).await.unwrap();
    assert!(!world.core.open_by_seals().await.unwrap());
    assert!(world.core.is_sealed());
    assert!(opens_by_seals(&mut world).await);
}

#[tokio::test]
async fn shares_that_are_not_to_open_say_so() {
    let mut world = empty(vec![Machine::new("one", 1)], false).await;
    world.init().await.unwrap();
    world.restart().await;
    let refused = world.unseal().await;
    assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains("shares_unseal")));
    // Of another store.
    let mut other = empty(vec![Machine::new("one", 1)], false).await;
    other.init().await.unwrap();
    world.shares = other.shares;
    let refused = world.unseal().await;
    assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains("none of the shares")));
    assert!(opens_by_seals(&mut world).await);
}

#[tokio::test]
async fn begun_while_one_seal_is_away_it_gets_its_wrap_later() {
    let mut world = empty(two(), true).await;
    for machine in &world.seals.all {
        machine.seal.fail(down());
    }
    assert!(matches!(world.init().await, Err(Error::NoSeal(_))));
    assert!(world.dump().await.is_empty());
    world.seals.all[1].seal.fail(None);
    world.init().await.unwrap();
    assert_eq!(wraps(&world).await, ["shamir", "two"]);
    world.seals.all[0].seal.fail(None);
    world.core.settle().await.unwrap();
    assert_eq!(wraps(&world).await, ["one", "shamir", "two"]);
    world.seals.all[1].seal.fail(down());
    assert!(opens_by_seals(&mut world).await);
}

#[tokio::test]
async fn counts_of_shares_beside_a_seal() {
    for (shares, threshold) in [(1, 0), (0, 1), (2, 3), (256, 3), (-1, 0), (3, 1)] {
        let world = empty(vec![Machine::new("one", 1)], true).await;
        let body = json!({"recovery_shares": shares, "recovery_threshold": threshold});
        let refused = world.anonymous(Op::Write, "sys/init", body).await;
        let Err(Error::BadRequest(text)) = refused else {
            panic!("{shares}/{threshold}")
        };
        assert!(text.starts_with("invalid recovery"), "{text}");
        assert!(world.dump().await.is_empty());
    }
}
