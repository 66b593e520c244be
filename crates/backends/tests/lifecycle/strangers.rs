//! Shares that are none: each is told what is wrong with it, and takes nothing from those before it.

use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::rekey::text;
use crate::world::{World, data};

impl World {
    pub async fn give(&self, share: &str) -> Result<Value, Error> {
        let given = self.anonymous(Op::Write, "sys/unseal", json!({"key": share}));
        given.await.map(data)
    }

    /// The shares without the checks by which each is known, as they were once stored.
    async fn without_checks(&self) {
        let stored = self.dump().await["core/seal/shamir"].clone();
        let mut record: Value = serde_json::from_slice(&stored).unwrap();
        record.as_object_mut().unwrap().remove("checks").unwrap();
        let bytes = serde_json::to_vec(&record).unwrap();
        let batch = Batch::new().put("core/seal/shamir", bytes);
        self.disk.commit(batch).await.unwrap();
    }
}

/// Another first byte.
fn mistyped(share: &str) -> String {
    let first = if share.starts_with("00") { "01" } else { "00" };
    format!("{first}{}", &share[2..])
}

#[tokio::test]
async fn each_is_told_what_it_is_and_changes_nothing() {
    let mut world = World::begun().await;
    let mut other = World::new().await;
    other.init().await.unwrap();
    world.restart().await;
    world.give(&world.shares[1]).await.unwrap();
    let before = world.give(&world.shares[2]).await.unwrap();
    assert_eq!(before["progress"], 2);
    let disk = world.dump().await;
    let own = &world.shares[0];
    for (share, part) in [
        (mistyped(own), "none of the shares of today"),
        (other.shares[0].clone(), "none of the shares of today"),
        (
            own[..64].to_owned(),
            "it has 32 bytes, and those of this store have 33",
        ),
        (
            own[..40].to_owned(),
            "it has 20 bytes, and those of this store have 33",
        ),
        (own[..6].to_owned(), "shorter than minimum 16 bytes"),
        ("abcd".to_owned(), "shorter than minimum 16 bytes"),
        (format!("{own}00"), "longer than maximum 33 bytes"),
        ("no share".to_owned(), "hex or base64"),
    ] {
        let said = text(world.give(&share).await);
        assert!(said.contains(part), "{part}: {said}");
        assert!(!said.contains(&own[..6]), "{said}");
        assert_eq!(world.status().await, before, "{part}");
    }
    assert!(world.dump().await == disk);
    // Given before, it counts once.
    let again = world.give(&world.shares[2]).await.unwrap();
    assert_eq!(again, before);
    assert_eq!(world.give(own).await.unwrap()["sealed"], false);
}

#[tokio::test]
async fn a_share_from_before_a_rekey_is_told_so() {
    let mut world = World::begun().await;
    let mut former = vec![world.shares.clone()];
    for (base, verify) in [
        ("sys/rekey", false),
        ("sys/rekey", true),
        ("sys/rotate/root", false),
    ] {
        let (told, new) = world.rekeyed(base, verify).await.unwrap();
        match told.after {
            Some(after) => after.run().await,
            None => {
                let nonce = data(told)["verification_nonce"].clone();
                world.verify(base, &nonce, &new).await.unwrap();
            }
        }
        former.push(std::mem::replace(&mut world.shares, new));
        world.restart().await;
        for old in &former {
            let said = text(world.give(&old[0]).await);
            assert!(said.contains("a share of before"), "{base}: {said}");
        }
        assert_eq!(world.status().await["progress"], 0);
        world.unseal().await.unwrap();
    }
    // So it is in a ceremony.
    let said = text(world.root_token(&former[0]).await);
    assert!(said.contains("a share of before"), "{said}");
}

#[tokio::test]
async fn of_two_sets_the_one_that_was_not_used_is_of_before() {
    let mut world = World::begun().await;
    let old = world.shares.clone();
    let (_lost, new) = world.rekeyed("sys/rekey", false).await.unwrap();
    assert!(world.opens_with(&old).await);
    world.restart().await;
    let said = text(world.give(&new[0]).await);
    assert!(said.contains("a share of before"), "{said}");
}

#[tokio::test]
async fn the_only_share_is_the_key_and_has_its_length() {
    let world = World::new().await;
    let split = json!({"secret_shares": 1, "secret_threshold": 1});
    let made = data(world.anonymous(Op::Write, "sys/init", split).await.unwrap());
    let share = made["keys"][0].as_str().unwrap();
    let said = text(world.give(&format!("{share}07")).await);
    assert!(
        said.contains("too long: it has 33 bytes, and that"),
        "{said}"
    );
    let said = text(world.give(&share[..62]).await);
    assert!(said.contains("it has 31 bytes"), "{said}");
    assert_eq!(world.give(share).await.unwrap()["sealed"], false);
}

#[tokio::test]
async fn where_shares_have_no_checks_it_shows_with_the_last_one() {
    let mut world = World::begun().await;
    world.without_checks().await;
    let shares = world.shares.clone();
    // The number stays, the rest is another.
    let twin = mistyped(&shares[0]);
    let cut = &shares[1][..64];
    for (last, part) in [
        (twin.as_str(), "same number"),
        (cut, "differ in length"),
        (&mistyped(&shares[1]), "invalid key"),
    ] {
        world.restart().await;
        world.give(&shares[0]).await.unwrap();
        world.give(&shares[2]).await.unwrap();
        let said = text(world.give(last).await);
        assert!(said.contains(part), "{part}: {said}");
        assert_eq!(world.status().await["progress"], 0);
    }
    world.unseal().await.unwrap();
}
