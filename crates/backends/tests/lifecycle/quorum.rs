//! `require = k`: no way opens alone.

use keyfold_core::error::Error;
use keyfold_core::ports::seal::SealError;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::rekey::terms;
use crate::world::{Machine, Seals, World, data};

fn down() -> Option<SealError> {
    Some(SealError::Down("nobody answers".into()))
}

/// Begun with so many seals, and shares beside them; `require` of all open.
async fn begun(seals: usize, require: u8) -> Result<World, Error> {
    let names = [("one", 1), ("two", 2), ("three", 3)];
    let all = names
        .iter()
        .take(seals)
        .map(|(name, key)| Machine::new(name, *key));
    let seals = Seals::together(all.collect(), require);
    let world = World::begun_under(seals).await?;
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    Ok(world)
}

async fn by_seals(world: &mut World) -> bool {
    world.restart().await;
    matches!(world.core.open_by_seals().await, Ok(true))
}

async fn status(world: &World) -> Value {
    let asked = world.anonymous(Op::Read, "sys/seal-status", Value::Null);
    data(asked.await.unwrap())
}

#[tokio::test]
async fn a_machine_and_people_open_together_and_neither_alone() {
    let mut world = begun(1, 2).await.unwrap();
    assert!(!world.core.is_sealed());
    // The machine alone.
    assert!(!by_seals(&mut world).await);
    let why = world.core.open_by_seals().await;
    let text = "2 ways have to open it together; so far: one";
    assert!(matches!(why, Err(Error::NoSeal(why)) if why == text));
    // People alone.
    world.seals.all[0].seal.fail(down());
    world.unseal().await.unwrap();
    assert!(world.core.is_sealed());
    let told = status(&world).await;
    assert_eq!(told["quorum"], json!({"require": 2, "shares_given": true}));
    // The machine comes back, and what people gave still counts.
    world.seals.all[0].seal.fail(None);
    assert!(world.core.open_by_seals().await.unwrap());
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
    // No machine gives the root key alone, so it is in memory.
    world.core.settle().await.unwrap();
    world.write("sys/rotate", Value::Null).await.unwrap();
    // The other way round: the last share opens.
    world.restart().await;
    world.unseal().await.unwrap();
    assert!(!world.core.is_sealed());
    // What people gave is forgotten with a reset.
    world.restart().await;
    world.seals.all[0].seal.fail(down());
    world.unseal().await.unwrap();
    world.core.reset_unseal().unwrap();
    world.seals.all[0].seal.fail(None);
    assert!(!matches!(world.core.open_by_seals().await, Ok(true)));
}

#[tokio::test]
async fn sealed_by_hand_it_opens_once_people_and_a_machine_have_come_together() {
    let world = begun(1, 2).await.unwrap();
    world.write("sys/seal", Value::Null).await.unwrap();
    world.seals.all[0].seal.fail(down());
    assert!(!world.core.open_by_seals().await.unwrap());
    world.unseal().await.unwrap();
    assert!(world.core.is_sealed());
    world.seals.all[0].seal.fail(None);
    assert!(world.core.open_by_seals().await.unwrap());
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn enough_machines_need_no_people_and_the_root_key_leaves_memory() {
    let mut world = begun(3, 2).await.unwrap();
    world.core.settle().await.unwrap();
    for away in 0..3 {
        world.seals.all[away].seal.fail(down());
        assert!(by_seals(&mut world).await, "without {away}");
        world.seals.all[away].seal.fail(None);
        world.core.settle().await.unwrap();
    }
    for machine in &world.seals.all[1..] {
        machine.seal.fail(down());
    }
    let refused = world.write("sys/rotate", Value::Null).await;
    assert!(matches!(refused, Err(Error::NoSeal(_))));
    assert!(!by_seals(&mut world).await);
    world.unseal().await.unwrap();
    assert!(!world.core.is_sealed());
}

#[tokio::test]
async fn a_seal_joins_with_a_part_of_its_own_and_leaves_again() {
    let mut world = begun(1, 2).await.unwrap();
    world.seals.all.push(Machine::new("two", 2));
    // The parts are at hand beside the root key since the store began.
    world.reseal().await;
    world.core.settle().await.unwrap();
    assert!(world.dump().await.contains_key("core/seal/two"));
    // Two machines are enough from here on, and a third joins while running.
    assert!(by_seals(&mut world).await);
    world.seals.all.push(Machine::new("three", 3));
    world.reseal().await;
    world.core.settle().await.unwrap();
    world.seals.all.remove(0);
    world.reseal().await;
    world.core.settle().await.unwrap();
    assert!(!world.dump().await.contains_key("core/seal/one"));
    assert!(by_seals(&mut world).await);
    // As few as are required: none of them goes.
    let three = world.seals.all.remove(1);
    world.reseal().await;
    world.core.settle().await.unwrap();
    world.seals.all.clear();
    world.reseal().await;
    world.core.settle().await.unwrap();
    world.seals.all = vec![three, Machine::new("two", 2)];
    world.restart().await;
    world.unseal().await.unwrap();
    assert!(!world.core.is_sealed());
}

#[tokio::test]
async fn what_people_and_a_machine_opened_gives_a_seal_its_part() {
    let mut world = begun(1, 2).await.unwrap();
    world.restart().await;
    world.unseal().await.unwrap();
    world.seals.all.push(Machine::new("two", 2));
    world.seals.all[1].seal.fail(down());
    world.reseal().await;
    world.core.settle().await.unwrap();
    assert_eq!(world.core.failing_seals()[0].name, "two");
    world.seals.all[1].seal.fail(None);
    world.core.settle().await.unwrap();
    assert!(by_seals(&mut world).await);
}

#[tokio::test]
async fn a_seal_that_missed_a_new_root_key_gets_a_part_of_it_when_it_is_back() {
    let mut world = begun(2, 2).await.unwrap();
    world.core.settle().await.unwrap();
    world.seals.all[1].seal.fail(down());
    world
        .ceremony("sys/rotate/root", terms(false))
        .await
        .unwrap();
    assert!(!world.dump().await.contains_key("core/seal/two"));
    world.seals.all[1].seal.fail(None);
    world.core.settle().await.unwrap();
    assert!(by_seals(&mut world).await);
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn a_seal_that_waits_for_its_part_is_tried_and_told() {
    let mut world = begun(2, 2).await.unwrap();
    // The seals are enough: the root key leaves memory, and the parts with it.
    world.core.settle().await.unwrap();
    world.seals.all[0].seal.fail(down());
    world.seals.all.push(Machine::new("three", 3));
    world.seals.all[2].seal.fail(down());
    world.reseal().await;
    world.core.settle().await.unwrap();
    let failing = world.core.failing_seals();
    let failing: Vec<_> = failing.iter().map(|seal| seal.name.as_str()).collect();
    assert_eq!(failing, ["one", "three"]);
    world.seals.all[2].seal.fail(None);
    world.core.settle().await.unwrap();
    let told = world.core.seal_remarks().join("\n");
    assert!(told.contains("three has no part"), "{told}");
    assert!(told.contains("2 ways"), "{told}");
    world.seals.all[0].seal.fail(None);
    world.core.settle().await.unwrap();
    assert_eq!(world.core.seal_remarks(), [""; 0]);
    world.seals.all[0].seal.fail(down());
    assert!(by_seals(&mut world).await);
}

#[tokio::test]
async fn a_new_key_of_a_seal_takes_the_same_part_over() {
    let mut world = begun(2, 2).await.unwrap();
    world.core.settle().await.unwrap();
    let mut old = world.seals.all[0].clone();
    old.disabled = true;
    world.seals.all[0] = Machine::new("one", 9);
    world.seals.all.push(old);
    assert!(by_seals(&mut world).await);
    world.core.settle().await.unwrap();
    world.seals.all.pop();
    assert!(by_seals(&mut world).await);
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn what_can_not_be_required_is_refused_before_anything_is_made() {
    for (seals, require) in [(1, 3), (3, 5), (0, 2)] {
        let refused = begun(seals, require).await.err();
        let Some(Error::BadRequest(text)) = refused else {
            panic!("{seals} {require}: {refused:?}")
        };
        assert!(text.contains("require"), "{text}");
    }
    let all = vec![Machine::new("one", 1), Machine::new("two", 2)];
    all[1].seal.fail(down());
    let mut world = World::with(Seals::together(all, 2)).await;
    assert!(matches!(world.init().await, Err(Error::NoSeal(_))));
    assert!(world.dump().await.is_empty());
}

#[tokio::test]
async fn a_rehearsal_puts_the_parts_together() {
    let checked =
        async |world: &World| data(world.write("sys/seal-check", Value::Null).await.unwrap());
    let world = begun(1, 2).await.unwrap();
    let told = checked(&world).await;
    assert_eq!(
        (&told["ok"], &told["seals"][0]["opens"]),
        (&json!(true), &json!(true))
    );
    // The share holders' part is not here.
    let alone = json!({"require": 2, "parts": 1, "opens": null});
    assert_eq!((&told["quorum"], &told["opens"]), (&alone, &json!(true)));

    // One seal and people, where it takes three.
    let mut world = begun(3, 3).await.unwrap();
    world.seals.all.truncate(1);
    world.reseal().await;
    let told = checked(&world).await;
    let few = json!({"require": 3, "parts": 1, "opens": false});
    assert_eq!((&told["quorum"], &told["opens"]), (&few, &json!(false)));
    assert_eq!(told["ok"], false);

    let world = begun(3, 2).await.unwrap();
    let good = json!({"require": 2, "parts": 3, "opens": true});
    assert_eq!(checked(&world).await["quorum"], good);
    world.seals.all[0].seal.fail(down());
    let told = checked(&world).await;
    assert_eq!(told["ok"], false);
    assert_eq!(
        told["quorum"],
        json!({"require": 2, "parts": 2, "opens": true})
    );
    world.seals.all[0].seal.fail(None);

    // A part of another store's, which says that it is of this one's.
    let other = begun(3, 2).await.unwrap();
    let record = async |world: &World, name: &str| {
        let stored = world.dump().await[&format!("core/seal/{name}")].clone();
        serde_json::from_slice::<Value>(&stored).unwrap()
    };
    let own = record(&world, "two").await;
    for (names, fits) in [(&["two"][..], true), (&["one", "two", "three"], false)] {
        for name in names {
            let mut foreign = record(&other, name).await;
            foreign["part"]["quorum"] = own["part"]["quorum"].clone();
            let bytes = serde_json::to_vec(&foreign).unwrap();
            let batch = Batch::new().put(format!("core/seal/{name}"), bytes);
            world.disk.commit(batch).await.unwrap();
        }
        let told = checked(&world).await;
        assert_eq!(
            (&told["ok"], &told["quorum"]["opens"]),
            (&json!(false), &json!(fits))
        );
        let remark = told["seals"][1]["remark"].as_str().unwrap();
        assert!(remark.contains("not fit"), "{remark}");
        assert_eq!(told["seals"][0]["opens"], fits);
    }
}
