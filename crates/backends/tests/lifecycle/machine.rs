//! Random lives: every acknowledged write reads back, whatever came between.

use std::collections::BTreeMap;
use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::ports::seal::SealError;
use keyfold_core::testing::Moment;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Machine, World};

#[derive(Debug, Clone)]
enum Step {
    Write(u8, u16),
    Delete(u8),
    Rotate,
    /// Begins to rotate the shelf's dek.
    RotateDek,
    /// Lets what runs in the background run.
    Wait,
    Seal,
    Restart,
    /// A seal joins, or leaves.
    Configure(u8, bool),
    /// A seal goes down, or comes back.
    Reach(u8, bool),
    /// Somebody puts another key into a seal.
    Replace(u8, u8),
    /// Wraps are brought in line.
    Settle,
    /// The store dies this many operations later.
    Crash(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6u8, any::<u16>()).prop_map(|(k, v)| Step::Write(k, v)),
        2 => (0..6u8).prop_map(Step::Delete),
        2 => Just(Step::Rotate),
        2 => Just(Step::RotateDek),
        2 => Just(Step::Wait),
        1 => Just(Step::Seal),
        1 => Just(Step::Restart),
        2 => (0..2u8, any::<bool>()).prop_map(|(n, there)| Step::Configure(n, there)),
        1 => (0..2u8, any::<bool>()).prop_map(|(n, up)| Step::Reach(n, up)),
        1 => (0..2u8, 1..4u8).prop_map(|(n, key)| Step::Replace(n, key)),
        2 => Just(Step::Settle),
        2 => (0..12usize, any::<bool>()).prop_map(|(n, after)| Step::Crash(n, after)),
    ]
}

/// What a key may hold: more than one value after a write whose end nobody was told.
type Model = BTreeMap<u8, Vec<Option<u16>>>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn acknowledged_writes_read_back(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(steps));
    }
}

async fn live(steps: Vec<Step>) {
    let mut world = World::begun().await;
    let mut model = Model::new();
    let machines = [Machine::new("one", 1), Machine::new("two", 2)];
    for step in steps {
        take(&step, &mut world, &mut model, &machines).await;
        recover(&mut world).await;
        for (key, allowed) in &mut model {
            let read = world.read(&format!("shelf/{key}")).await;
            let found = match read {
                Ok(value) => Some(u16::try_from(value["v"].as_u64().unwrap()).unwrap()),
                Err(Error::NotFound) => None,
                Err(error) => panic!("after {step:?}: {error}"),
            };
            assert!(
                allowed.contains(&found),
                "after {step:?}: {key} is {found:?}"
            );
            *allowed = vec![found];
        }
    }
}

async fn take(step: &Step, world: &mut World, model: &mut Model, machines: &[Machine; 2]) {
    match step {
        Step::Write(key, value) => {
            let done = world
                .write(&format!("shelf/{key}"), json!({"v": value}))
                .await
                .is_ok();
            change(model, *key, Some(*value), done);
        }
        Step::Delete(key) => {
            let done = world.delete(&format!("shelf/{key}")).await.is_ok();
            change(model, *key, None, done);
        }
        Step::Rotate => {
            let _ = world.write("sys/rotate", Value::Null).await;
        }
        Step::RotateDek => {
            let path = "sys/mounts/shelf/rotate-dek";
            let _ = world.write(path, json!({"rate": 1_000_000})).await;
        }
        Step::Wait => tokio::time::sleep(Duration::from_millis(3)).await,
        Step::Seal => {
            world.write("sys/seal", Value::Null).await.unwrap();
            for key in model.keys() {
                let read = world.read(&format!("shelf/{key}")).await;
                assert!(matches!(read, Err(Error::Sealed)));
            }
        }
        Step::Restart => world.restart().await,
        Step::Configure(n, there) => {
            let machine = &machines[usize::from(*n)];
            world.seals.all.retain(|m| m.name != machine.name);
            if *there {
                world.seals.all.push(machine.clone());
            }
            world.reseal().await;
        }
        Step::Reach(n, up) => {
            let error = (!up).then(|| SealError::Down("away".into()));
            machines[usize::from(*n)].seal.fail(error);
        }
        Step::Replace(n, key) => machines[usize::from(*n)].seal.replace_key(*key),
        Step::Settle => world.core.settle().await.unwrap(),
        Step::Crash(n, after) => {
            let moment = if *after {
                Moment::After
            } else {
                Moment::Before
            };
            world.store.crash_at(world.store.operations() + n, moment);
            // Something has to be under way when it comes.
            for value in 0..4 {
                let done = world.write("shelf/0", json!({"v": value})).await.is_ok();
                change(model, 0, Some(value), done);
            }
            let _ = world.write("sys/rotate", Value::Null).await;
            let _ = world.core.settle().await;
            world.restart().await;
        }
    }
}

fn change(model: &mut Model, key: u8, value: Option<u16>, acknowledged: bool) {
    let allowed = model.entry(key).or_insert_with(|| vec![None]);
    if acknowledged {
        *allowed = vec![value];
    } else {
        allowed.push(value);
    }
}

async fn recover(world: &mut World) {
    if world.core.is_sealed() {
        // By a seal if one can, else by people; these can always.
        if !matches!(world.core.open_by_seals().await, Ok(true)) {
            world.unseal().await.unwrap();
        }
    }
}
