//! A rotation of the root key while seals are away.

use keyfold_core::error::Error;
use keyfold_core::ports::seal::SealError;
use serde_json::{Value, json};

use crate::rekey::{terms, text};
use crate::world::{Machine, Seals, World};

fn down() -> Option<SealError> {
    Some(SealError::Down("nobody answers".into()))
}

fn two() -> Vec<Machine> {
    vec![Machine::new("one", 1), Machine::new("two", 2)]
}

async fn opens_without(world: &mut World, away: &[usize]) -> bool {
    for (at, machine) in world.seals.all.iter().enumerate() {
        machine.seal.fail(down().filter(|_| away.contains(&at)));
    }
    world.restart().await;
    let opened = world.core.open_by_seals().await;
    for machine in &world.seals.all {
        machine.seal.fail(None);
    }
    matches!(opened, Ok(true))
}

async fn wrapped(world: &World) -> Vec<String> {
    let all = world.dump().await;
    let names = all.keys().filter_map(|key| key.strip_prefix("core/seal/"));
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_seal_that_is_away_loses_its_wrap_and_gets_another_when_it_is_back() {
    let mut world = World::begun_with(two()).await;
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    world.seals.all[1].seal.fail(down());
    let done = world.ceremony("sys/rotate/root", terms(false)).await;
    let done = done.unwrap();
    assert!(done.warnings[0].contains("seal two is away"));
    assert_eq!(wrapped(&world).await, ["one", "shamir"]);
    let told = world.read("sys/seal-backend-status").await.unwrap();
    assert_eq!(told["backends"][1]["wrapped"], false);
    assert_eq!(told["backends"][1]["condition"], "down");
    // It opens nothing before it has a wrap, and the other does.
    assert!(!opens_without(&mut world, &[0]).await);
    assert!(opens_without(&mut world, &[]).await);
    world.core.settle().await.unwrap();
    assert_eq!(wrapped(&world).await, ["one", "shamir", "two"]);
    assert!(opens_without(&mut world, &[0]).await);
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn with_shares_that_open_all_seals_may_be_away() {
    let mut world = World::begun_with(two()).await;
    world.core.settle().await.unwrap();
    for machine in &world.seals.all {
        machine.seal.fail(down());
    }
    let done = world.ceremony("sys/rotate/root", terms(false)).await;
    assert_eq!(done.unwrap().warnings.len(), 2);
    assert_eq!(wrapped(&world).await, ["shamir"]);
    // No seal gives the root key, so it is in memory.
    let in_memory = async |world: &World| {
        let report = world.read("sys/keys/report").await.unwrap();
        report["root_key_in_memory"].clone()
    };
    assert_eq!(in_memory(&world).await, true);
    world.write("sys/rotate", Value::Null).await.unwrap();
    for machine in &world.seals.all {
        machine.seal.fail(None);
    }
    world.core.settle().await.unwrap();
    assert_eq!(in_memory(&world).await, false);
    assert!(opens_without(&mut world, &[1]).await);
    assert!(opens_without(&mut world, &[0]).await);
}

#[tokio::test]
async fn by_the_seals_alone_one_has_to_be_there() {
    let seals = Seals {
        shares_unseal: false,
        ..Seals::any(two())
    };
    let mut world = World::begun_under(seals).await.unwrap();
    world.seals.all[0].seal.fail(down());
    let done = world.write("sys/rotate/root", Value::Null).await.unwrap();
    assert!(done.warnings[0].contains("seal one is away"));
    assert_eq!(wrapped(&world).await, ["shamir", "two"]);
    world.seals.all[1].seal.fail(down());
    let before = world.dump().await;
    let refused = world.write("sys/rotate/root", Value::Null).await;
    assert!(matches!(refused, Err(Error::NoSeal(_))));
    // With share holders it is refused before they come.
    let refused = world.write("sys/rotate/root/init", terms(false)).await;
    let refused = text(refused);
    assert!(refused.contains("one (down): nobody answers"), "{refused}");
    assert!(world.dump().await == before);
    assert!(opens_without(&mut world, &[]).await);
    world.core.settle().await.unwrap();
    assert!(opens_without(&mut world, &[1]).await);
}

#[tokio::test]
async fn of_seals_that_open_together_enough_have_to_be_there() {
    let mut all = two();
    all.push(Machine::new("three", 3));
    let mut world = World::begun_under(Seals::together(all, 2)).await.unwrap();
    world.core.settle().await.unwrap();
    world.seals.all[2].seal.fail(down());
    let done = world.ceremony("sys/rotate/root", terms(false)).await;
    assert!(done.unwrap().warnings[0].contains("seal three is away"));
    assert!(!opens_without(&mut world, &[1]).await);
    assert!(opens_without(&mut world, &[]).await);
    world.core.settle().await.unwrap();
    assert!(opens_without(&mut world, &[1]).await);

    let one = Seals::together(vec![Machine::new("one", 1)], 2);
    let world = World::begun_under(one).await.unwrap();
    world.seals.all[0].seal.fail(down());
    world.core.settle().await.unwrap();
    let refused = text(world.write("sys/rotate/root/init", terms(false)).await);
    assert!(refused.contains("one (down)"), "{refused}");
}
