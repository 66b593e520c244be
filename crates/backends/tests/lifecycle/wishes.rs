//! A configuration that says otherwise than the store: it is told, and counts where it can.

use keyfold_core::error::Error;
use keyfold_core::ports::seal::SealError;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::rekey::text;
use crate::world::{Machine, Seals, World, data};

fn down() -> Option<SealError> {
    Some(SealError::Down("nobody answers".into()))
}

impl World {
    /// What is told of the configuration of the seals.
    async fn warnings(&self) -> String {
        let status = self.status().await;
        let backends = self.anonymous(Op::Read, "sys/seal-backend-status", Value::Null);
        let told = backends.await.unwrap().warnings;
        let listed = status["warnings"].as_array().cloned().unwrap_or_default();
        assert_eq!(json!(told), json!(listed));
        told.join("\n")
    }

    async fn by_machine(&mut self) -> bool {
        self.restart().await;
        matches!(self.core.open_by_seals().await, Ok(true))
    }

    async fn stored(&self, name: &str) -> bool {
        self.dump().await.contains_key(&format!("core/seal/{name}"))
    }
}

/// One seal, and shares beside it that open the store or not.
async fn begun(shares_unseal: bool) -> World {
    let seals = Seals {
        shares_unseal,
        ..Seals::any(vec![Machine::new("one", 1)])
    };
    let world = World::begun_under(seals).await.unwrap();
    world.write("shelf/a", json!({"v": 1})).await.unwrap();
    world
}

#[tokio::test]
async fn another_number_of_required_ways_is_told_and_does_not_count() {
    let mut world = begun(true).await;
    world.seals.require = Some(2);
    world.restart().await;
    let told = world.warnings().await;
    assert!(told.contains("require = 2"), "{told}");
    assert!(told.contains("was begun with 1"), "{told}");
    assert!(world.core.open_by_seals().await.unwrap());
    let checked = world.write("sys/seal-check", Value::Null).await.unwrap();
    assert!(checked.warnings[0].contains("require = 2"));
    world.seals.require = None;
    world.reseal().await;
    assert_eq!(world.warnings().await, "");

    let seals = Seals::together(vec![Machine::new("one", 1)], 2);
    let mut world = World::begun_under(seals).await.unwrap();
    assert_eq!(world.warnings().await, "");
    world.seals.require = None;
    world.restart().await;
    let told = world.warnings().await;
    assert!(told.contains("Configure require = 2"), "{told}");
}

#[tokio::test]
async fn shares_open_no_more_once_it_is_wished_and_a_seal_does() {
    let mut world = begun(true).await;
    let seal = world.seals.all[0].seal.clone();
    seal.fail(down());
    world.seals.shares_unseal = false;
    world.reseal().await;
    let told = world.warnings().await;
    assert!(told.contains("it counts as soon as"), "{told}");
    world.core.settle().await.unwrap();
    // Nothing else opens it now.
    world.restart().await;
    world.unseal().await.unwrap();
    seal.fail(None);
    world.core.settle().await.unwrap();
    assert_eq!(world.warnings().await, "");
    world.restart().await;
    let refused = text(world.unseal().await);
    assert!(refused.contains("only its seals open it"), "{refused}");
    assert_eq!(world.status().await["progress"], 0);
    assert!(world.by_machine().await);
    // They still prove who holds them.
    let shares = world.shares.clone();
    world.root_token(&shares).await.unwrap();
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn shares_of_an_older_version_are_told_to_be_replaced() {
    let mut world = begun(true).await;
    let stored = world.dump().await["core/seal/shamir"].clone();
    let mut record: Value = serde_json::from_slice(&stored).unwrap();
    record.as_object_mut().unwrap().remove("proof").unwrap();
    let bytes = serde_json::to_vec(&record).unwrap();
    let batch = Batch::new().put("core/seal/shamir", bytes);
    world.disk.commit(batch).await.unwrap();
    world.seals.shares_unseal = false;
    assert!(world.by_machine().await);
    world.core.settle().await.unwrap();
    let told = world.warnings().await;
    assert!(told.contains("older version"), "{told}");
    world.restart().await;
    world.unseal().await.unwrap();
}

#[tokio::test]
async fn shares_open_again_with_new_ones() {
    for verify in [false, true] {
        let mut world = begun(false).await;
        world.seals.shares_unseal = true;
        world.reseal().await;
        world.core.settle().await.unwrap();
        let told = world.warnings().await;
        assert!(told.contains("rekey -init -target=recovery"), "{told}");
        let base = "sys/rekey-recovery-key";
        let (reply, new) = world.rekeyed(base, verify).await.unwrap();
        match reply.after {
            Some(after) => after.run().await,
            None => {
                let nonce = data(reply)["verification_nonce"].clone();
                world.verify(base, &nonce, &new).await.unwrap();
            }
        }
        assert_eq!(world.warnings().await, "");
        let old = std::mem::take(&mut world.shares);
        world.seals.all[0].seal.fail(down());
        assert!(!world.opens_with(&old).await);
        assert!(world.opens_with(&new).await);
        assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
    }
}

#[tokio::test]
async fn new_shares_in_the_place_of_changed_ones_are_told_to_count_for_nothing() {
    let mut world = begun(true).await;
    let base = "sys/rekey-recovery-key";
    let (reply, new) = world.rekeyed(base, true).await.unwrap();
    let nonce = data(reply)["verification_nonce"].clone();
    world.seals.shares_unseal = false;
    world.reseal().await;
    world.core.settle().await.unwrap();
    let refused = text(world.verify(base, &nonce, &new).await);
    assert!(refused.contains("count for nothing"), "{refused}");
    // The way is free.
    world.rekeyed(base, false).await.unwrap();
}

#[tokio::test]
async fn no_root_key_by_the_seals_alone_below_new_shares_that_may_hold_the_old_one() {
    let mut world = begun(false).await;
    world.seals.shares_unseal = true;
    world.reseal().await;
    world.core.settle().await.unwrap();
    // Whoever asked for them has gone.
    let base = "sys/rekey-recovery-key";
    let (_, new) = world.rekeyed(base, false).await.unwrap();
    let refused = text(world.write("sys/rotate/root", Value::Null).await);
    assert!(refused.contains("two sets of shares"), "{refused}");
    world.root_token(&new).await.unwrap();
    let refused = text(world.write("sys/rotate/root", Value::Null).await);
    assert!(refused.contains("their holders"), "{refused}");
    world.seals.all[0].seal.fail(down());
    assert!(world.opens_with(&new).await);
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn on_the_way_from_seals_to_shares_the_store_is_not_lost() {
    let mut world = begun(false).await;
    world.seals.all[0].disabled = true;
    assert!(world.by_machine().await);
    world.core.settle().await.unwrap();
    assert!(world.stored("one").await);
    let told = world.warnings().await;
    for part in ["its wrap is kept", "operator rekey -init"] {
        assert!(told.contains(part), "{told}");
    }
    // As the documents of other servers have it.
    world.restart().await;
    let body = json!({"key": world.shares[0], "migrate": true});
    let refused = world.anonymous(Op::Write, "sys/unseal", body).await;
    assert!(text(refused).contains("only its seals open it"));
    // Somebody takes the stanza out too early, and puts it back.
    let stanza = std::mem::take(&mut world.seals.all);
    world.restart().await;
    assert!(!matches!(world.core.open_by_seals().await, Ok(true)));
    assert!(matches!(world.core.settle().await, Err(Error::Sealed)));
    assert!(world.warnings().await.contains("its stanza is needed"));
    world.seals.all = stanza;
    assert!(world.by_machine().await);

    let (told, new) = world.rekeyed("sys/rekey", false).await.unwrap();
    assert!(world.stored("one").await);
    told.after.unwrap().run().await;
    world.core.settle().await.unwrap();
    assert!(!world.stored("one").await);
    assert_eq!(world.warnings().await, "");
    world.write("sys/rotate", Value::Null).await.unwrap();
    world.seals.all.clear();
    assert!(world.opens_with(&new).await);
    assert_eq!(world.read("shelf/a").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn where_several_ways_open_together_it_stays_as_it_was_begun() {
    let seals = Seals::together(vec![Machine::new("one", 1), Machine::new("two", 2)], 2);
    let mut world = World::begun_under(seals).await.unwrap();
    world.seals.shares_unseal = false;
    world.reseal().await;
    world.core.settle().await.unwrap();
    let told = world.warnings().await;
    assert!(told.contains("stays as it was"), "{told}");
    world.seals.all[1].seal.fail(down());
    world.restart().await;
    world.unseal().await.unwrap();
    assert!(!world.core.is_sealed());
}

#[tokio::test]
async fn where_nothing_that_is_configured_opens_the_store_a_rehearsal_says_so() {
    let mut world = begun(false).await;
    let checked =
        async |world: &World| data(world.write("sys/seal-check", Value::Null).await.unwrap());
    world.core.settle().await.unwrap();
    let told = checked(&world).await;
    assert_eq!((&told["ok"], &told["opens"]), (&json!(true), &json!(true)));
    world.seals.all.clear();
    world.reseal().await;
    let told = checked(&world).await;
    assert_eq!(told["seals"], json!([]));
    assert_eq!(
        (&told["ok"], &told["opens"]),
        (&json!(false), &json!(false))
    );
}
