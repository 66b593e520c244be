//! New shares, a new root key, a new root token: by those who hold shares.

use keyfold_core::error::Error;
use keyfold_core::ports::seal::SealError;
use keyfold_core::reply::Reply;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::world::{Machine, Seals, World, data};

const SPLIT: (u8, u8) = (5, 3);

pub fn terms(verify: bool) -> Value {
    let (shares, threshold) = SPLIT;
    json!({"secret_shares": shares, "secret_threshold": threshold, "require_verification": verify})
}

pub fn text(error: Result<impl Sized, Error>) -> String {
    error.err().expect("is refused").to_string()
}

fn shares_in(value: &Value) -> Vec<String> {
    let keys = value["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key.as_str().unwrap().to_owned())
        .collect()
}

impl World {
    /// Begins a ceremony, and gives shares to its end.
    pub async fn ceremony(&self, base: &str, body: Value) -> Result<Reply, Error> {
        let begun = self.write(&format!("{base}/init"), body).await?;
        let nonce = data(begun)["nonce"].clone();
        let update = format!("{base}/update");
        let mut last = None;
        for share in self.shares.iter().skip(1).take(3) {
            let body = json!({"key": share, "nonce": nonce});
            last = Some(self.write(&update, body).await?);
        }
        Ok(last.unwrap())
    }

    /// The same, with the new shares as they are told.
    pub async fn rekeyed(&self, base: &str, verify: bool) -> Result<(Reply, Vec<String>), Error> {
        let mut reply = self.ceremony(base, terms(verify)).await?;
        let after = reply.after.take();
        let value = data(reply);
        let shares = shares_in(&value);
        let told = Reply {
            after,
            ..Reply::data(&value)?
        };
        Ok((told, shares))
    }

    /// Shows new shares.
    pub async fn verify(
        &self,
        base: &str,
        nonce: &Value,
        shares: &[String],
    ) -> Result<Value, Error> {
        let mut last = Value::Null;
        for share in shares.iter().take(3) {
            let body = json!({"key": share, "nonce": nonce});
            last = data(self.write(&format!("{base}/verify"), body).await?);
        }
        Ok(last)
    }

    /// Whether shares open the store after a restart.
    pub async fn opens_with(&mut self, shares: &[String]) -> bool {
        self.restart().await;
        self.shares = shares.to_vec();
        let went = self.unseal().await;
        went.is_ok() && !self.core.is_sealed()
    }

    pub async fn status(&self) -> Value {
        data(
            self.anonymous(Op::Read, "sys/seal-status", Value::Null)
                .await
                .unwrap(),
        )
    }
}

#[tokio::test]
async fn both_sets_open_until_the_answer_is_out() {
    let mut world = World::begun().await;
    let old = world.shares.clone();
    let (told, new) = world.rekeyed("sys/rekey", false).await.unwrap();
    assert_eq!(world.status().await["shares_next"], json!({"t": 3, "n": 5}));
    told.after.unwrap().run().await;
    assert_eq!(world.status().await.get("shares_next"), None);
    assert!(!world.opens_with(&old).await);
    assert!(world.opens_with(&new).await);
    let keys: Vec<_> = world.dump().await.into_keys().collect();
    assert!(!keys.iter().any(|key| key == "core/shares-next"));
}

#[tokio::test]
async fn the_set_that_is_used_first_stays() {
    for use_new in [true, false] {
        let mut world = World::begun().await;
        let old = world.shares.clone();
        let (_lost, new) = world.rekeyed("sys/rekey", false).await.unwrap();
        let (first, other) = if use_new { (&new, &old) } else { (&old, &new) };
        assert!(world.opens_with(first).await);
        assert_eq!(world.status().await.get("shares_next"), None);
        assert!(!world.opens_with(other).await);
        assert!(world.opens_with(first).await);
    }
}

#[tokio::test]
async fn an_answer_that_was_late_does_not_undo_a_choice() {
    let mut world = World::begun().await;
    let old = world.shares.clone();
    let (lost, new) = world.rekeyed("sys/rekey", false).await.unwrap();
    // The old shares are used for something, while the answer is on its way.
    world.root_token(&old).await.unwrap();
    lost.after.unwrap().run().await;
    assert!(!world.opens_with(&new).await);
    assert!(world.opens_with(&old).await);
}

#[tokio::test]
async fn shares_of_both_sets_do_not_mix() {
    let world = World::begun().await;
    let (_lost, new) = world.rekeyed("sys/rekey", false).await.unwrap();
    let nonce = data(world.write("sys/rekey/init", terms(false)).await.unwrap())["nonce"].clone();
    let give =
        |share: String| world.write("sys/rekey/update", json!({"key": share, "nonce": nonce}));
    give(new[0].clone()).await.unwrap();
    let said = text(give(world.shares[0].clone()).await);
    assert!(said.contains("the other of the two sets"), "{said}");
    give(new[1].clone()).await.unwrap();
    let made = data(give(new[2].clone()).await.unwrap());
    assert_eq!(made["complete"], json!(true));
}

#[tokio::test]
async fn with_verification_the_old_ones_open_until_the_new_ones_were_shown() {
    let mut world = World::begun().await;
    let old = world.shares.clone();
    let (told, new) = world.rekeyed("sys/rekey", true).await.unwrap();
    assert!(told.after.is_none());
    let nonce = data(told)["verification_nonce"].clone();
    let said = text(world.verify("sys/rekey", &nonce, &old).await);
    assert!(said.contains("verification failed"), "{said}");
    // The round has failed: it has another name now.
    assert!(world.verify("sys/rekey", &nonce, &new).await.is_err());
    assert!(world.opens_with(&old).await, "the new ones were not shown");
    let (told, new) = world.rekeyed("sys/rekey", true).await.unwrap();
    let nonce = data(told)["verification_nonce"].clone();
    let shown = world.verify("sys/rekey", &nonce, &new).await.unwrap();
    assert_eq!(shown["complete"], json!(true));
    assert!(!world.opens_with(&old).await);
    assert!(world.opens_with(&new).await);
}

#[tokio::test]
async fn an_outsider_ends_nothing_that_has_begun() {
    let world = World::begun().await;
    let give = |share: &str, nonce: &Value| {
        let body = json!({"key": share, "nonce": nonce});
        world.anonymous(Op::Write, "sys/rekey/update", body)
    };
    let cancel = |body| world.anonymous(Op::Delete, "sys/rekey/init", body);
    let begun = world
        .anonymous(Op::Write, "sys/rekey/init", terms(false))
        .await;
    let nonce = data(begun.unwrap())["nonce"].clone();
    // Nothing is lost yet.
    cancel(Value::Null).await.unwrap();
    assert!(text(give(&world.shares[0], &nonce).await).contains("no rekey in progress"));
    let begun = world
        .anonymous(Op::Write, "sys/rekey/init", terms(false))
        .await;
    let nonce = data(begun.unwrap())["nonce"].clone();
    give(&world.shares[0], &nonce).await.unwrap();
    let shown = world
        .anonymous(Op::Read, "sys/rekey/init", Value::Null)
        .await;
    assert_eq!(
        data(shown.unwrap())["nonce"],
        json!(""),
        "it is no outsider's"
    );
    assert!(text(cancel(Value::Null).await).contains("takes its nonce"));
    assert!(cancel(json!({"nonce": "x"})).await.is_err());
    // What is no share takes nothing from the others.
    let foreign = "00".repeat(33);
    assert!(text(give(&foreign, &nonce).await).contains("none of the shares of today"));
    assert!(text(give(&world.shares[0], &nonce).await).contains("already been provided"));
    let seen = world.read("sys/rekey/init").await.unwrap();
    assert_eq!((&seen["progress"], &seen["nonce"]), (&json!(1), &nonce));
    cancel(json!({"nonce": nonce})).await.unwrap();
    world.write("sys/rekey/init", terms(false)).await.unwrap();
    world.delete("sys/rekey/init").await.unwrap();
}

#[tokio::test]
async fn sealing_ends_a_ceremony() {
    let mut world = World::begun().await;
    world.write("sys/rekey/init", terms(false)).await.unwrap();
    world.restart().await;
    world.unseal().await.unwrap();
    let status = world.read("sys/rekey/init").await.unwrap();
    assert_eq!(status["started"], json!(false));
}

#[tokio::test]
async fn the_root_key_is_rotated_with_the_shares() {
    let mut world = World::begun_with(vec![Machine::new("one", 1), Machine::new("two", 2)]).await;
    let before = world.dump().await;
    let old = world.shares.clone();
    assert!(text(world.write("sys/rotate/root", Value::Null).await).contains("their holders"));
    let (told, new) = world.rekeyed("sys/rotate/root", false).await.unwrap();
    let after = world.dump().await;
    for key in [
        "core/keyring",
        "core/seal/one",
        "core/seal/two",
        "core/seal/shamir",
    ] {
        assert_ne!(before[key], after[key], "{key}");
    }
    told.after.unwrap().run().await;
    world.write("shelf/x", json!({"v": 1})).await.unwrap();
    world.write("sys/rotate", Value::Null).await.unwrap();
    assert!(world.core.open_by_seals().await.is_ok());
    world.restart().await;
    assert!(world.core.open_by_seals().await.unwrap());
    assert_eq!(world.read("shelf/x").await.unwrap(), json!({"v": 1}));
    assert!(!world.opens_with(&old).await);
    assert!(world.opens_with(&new).await);
}

#[tokio::test]
async fn without_shares_that_open_the_seals_rotate_the_root_key_alone() {
    let seals = Seals {
        shares_unseal: false,
        ..Seals::any(vec![Machine::new("one", 1)])
    };
    let mut world = World::begun_under(seals).await.unwrap();
    let before = world.dump().await;
    world.seals.all[0]
        .seal
        .fail(Some(SealError::Down("away".into())));
    assert!(world.write("sys/rotate/root", Value::Null).await.is_err());
    world.seals.all[0].seal.fail(None);
    assert_eq!(world.dump().await["core/keyring"], before["core/keyring"]);
    world.write("sys/rotate/root", Value::Null).await.unwrap();
    let after = world.dump().await;
    for key in ["core/keyring", "core/seal/one"] {
        assert_ne!(before[key], after[key], "{key}");
    }
    assert_eq!(before["core/seal/shamir"], after["core/seal/shamir"]);
    world.restart().await;
    assert!(world.core.open_by_seals().await.unwrap());
    world.write("sys/rotate", Value::Null).await.unwrap();
    // The shares still show who holds them.
    let shares = world.shares.clone();
    world.root_token(&shares).await.unwrap();
    let (told, new) = world.rekeyed("sys/rotate/recovery", false).await.unwrap();
    told.after.unwrap().run().await;
    assert!(world.root_token(&shares).await.is_err());
    world.root_token(&new).await.unwrap();
}

#[tokio::test]
async fn where_several_ways_are_required_new_shares_do_their_part() {
    for base in ["sys/rotate/recovery", "sys/rotate/root"] {
        let seals = Seals::together(vec![Machine::new("one", 1), Machine::new("two", 2)], 3);
        let mut world = World::begun_under(seals).await.unwrap();
        world.unseal().await.unwrap();
        world.write("shelf/x", json!({"v": 1})).await.unwrap();
        let old = world.shares.clone();
        let (told, new) = world.rekeyed(base, false).await.unwrap();
        assert!(world.opens_with(&old).await, "{base}: both open");
        drop(told);
        let (told, new_again) = world.rekeyed(base, false).await.unwrap();
        told.after.unwrap().run().await;
        for gone in [&old, &new] {
            assert!(!world.opens_with(gone).await, "{base}");
        }
        assert!(world.opens_with(&new_again).await, "{base}");
        assert_eq!(world.read("shelf/x").await.unwrap(), json!({"v": 1}));
    }
}

#[tokio::test]
async fn a_store_without_shares_gets_its_first_ones() {
    let mut world = World::with(Seals::any(vec![Machine::new("one", 1)])).await;
    let body = json!({"recovery_shares": 0, "recovery_threshold": 0});
    let begun = world.anonymous(Op::Write, "sys/init", body).await.unwrap();
    world.root = data(begun)["root_token"].as_str().unwrap().to_owned();
    let none = world.write("sys/generate-root/attempt", json!({})).await;
    assert!(text(none).contains("no shares"));
    let open = world.anonymous(Op::Write, "sys/rekey-recovery-key/init", terms(false));
    assert!(text(open.await).contains("with a token"));
    let refused = world.write("sys/rekey/init", terms(false)).await;
    assert!(text(refused).contains("beside its seals"));
    let base = "sys/rotate/recovery";
    let unshown = world.write(&format!("{base}/init"), terms(false)).await;
    assert!(text(unshown).contains("the first shares"));
    let made = world.write(&format!("{base}/init"), terms(true)).await;
    let made = data(made.unwrap());
    let shares = shares_in(&made);
    assert_eq!(shares.len(), 5);
    // Nobody has to have them before they were shown.
    let none = world.write("sys/generate-root/attempt", json!({})).await;
    assert!(text(none).contains("no shares"));
    let nonce = made["verification_nonce"].clone();
    world.verify(base, &nonce, &shares).await.unwrap();
    world.root_token(&shares).await.unwrap();
    assert!(world.opens_with(&shares).await);
}

#[tokio::test]
async fn a_root_token_by_shares() {
    let world = World::begun().await;
    let shares = world.shares.clone();
    let token = world.root_token(&shares).await.unwrap();
    let reply = world.ask(Some(&token), Op::Read, "sys/mounts", Value::Null);
    assert!(reply.await.is_ok());
    let begun = world
        .anonymous(Op::Write, "sys/generate-root/attempt", json!({}))
        .await;
    let nonce = data(begun.unwrap())["nonce"].clone();
    for _ in 0..3 {
        let body = json!({"key": shares[0], "nonce": nonce});
        let given = world
            .anonymous(Op::Write, "sys/generate-root/update", body)
            .await;
        assert_eq!(data(given.unwrap())["progress"], json!(1), "it counts once");
    }
}

/// The public keys of the golden data's key holders, and their fingerprints.
fn holders() -> (Vec<String>, Vec<String>) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/golden/shamir.json"
    );
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let holders = golden["pgp"]["holders"].as_array().unwrap();
    let all = |name: &str| {
        let texts = holders.iter().map(|holder| holder[name].as_str().unwrap());
        texts.map(str::to_owned).collect()
    };
    (all("public_key_base64"), all("fingerprint"))
}

#[tokio::test]
async fn shares_for_openpgp_keys_are_kept_encrypted() {
    let world = World::begun().await;
    let (keys, names) = holders();
    let body = |keys: &[String], backup| json!({"secret_shares": 2, "secret_threshold": 2, "pgp_keys": keys, "backup": backup});
    let refused = world.write("sys/rekey/init", body(&keys[..1], true)).await;
    assert!(text(refused).contains("count mismatch"));
    let wrong = [keys[0].clone(), "eA==".to_owned()];
    let refused = world.write("sys/rekey/init", body(&wrong, false)).await;
    assert!(text(refused).contains("no OpenPGP public key"));
    let refused = world.write("sys/rekey/init", body(&[], true)).await;
    assert!(text(refused).contains("without providing PGP keys"));
    let made = data(
        world
            .ceremony("sys/rekey", body(&keys, true))
            .await
            .unwrap(),
    );
    assert_eq!(made["pgp_fingerprints"], json!(names));
    let kept = world.read("sys/rekey/backup").await.unwrap();
    for (at, name) in names.iter().enumerate() {
        let message = made["keys"][at].as_str().unwrap();
        assert!(
            message.starts_with("c1") || message.starts_with("84"),
            "{message}"
        );
        assert_eq!(kept["keys"][name], json!([message]));
        assert_eq!(kept["keys_base64"][name], json!([made["keys_base64"][at]]));
    }
    assert_eq!(kept["nonce"], made["nonce"]);
    world.delete("sys/rotate/root/backup").await.unwrap();
    let gone = text(world.read("sys/rekey/backup").await);
    assert_eq!(gone, "no backed-up keys found");
    let attempt = json!({"pgp_key": keys[1]});
    let begun = world.anonymous(Op::Write, "sys/generate-root/attempt", attempt);
    let begun = data(begun.await.unwrap());
    assert_eq!(
        (&begun["pgp_fingerprint"], &begun["otp"]),
        (&json!(names[1]), &json!(""))
    );
}

#[tokio::test]
async fn a_store_begins_with_shares_for_openpgp_keys() {
    let world = World::new().await;
    let (keys, _) = holders();
    let body = |token: &str| {
        json!({
            "secret_shares": 2, "secret_threshold": 2, "pgp_keys": keys, "root_token_pgp_key": token
        })
    };
    let refused = world.anonymous(Op::Write, "sys/init", body("x")).await;
    assert!(text(refused).contains("not base64"));
    assert!(world.dump().await.is_empty(), "nothing was begun");
    let begun = world.anonymous(Op::Write, "sys/init", body(&keys[0])).await;
    let begun = data(begun.unwrap());
    assert!(begun["keys"][1].as_str().unwrap().len() > 200);
    assert!(begun["root_token"].as_str().unwrap().starts_with("wc"));
}

impl World {
    /// A root token, with a pad of the server's.
    pub async fn root_token(&self, shares: &[String]) -> Result<String, Error> {
        let path = "sys/generate-root/attempt";
        let begun = data(self.anonymous(Op::Write, path, json!({})).await?);
        let mut last = Value::Null;
        for share in shares.iter().take(3) {
            let body = json!({"key": share, "nonce": begun["nonce"]});
            let given = self
                .anonymous(Op::Write, "sys/generate-root/update", body)
                .await;
            if given.is_err() {
                self.delete(path).await?;
            }
            last = data(given?);
        }
        let body = json!({"encoded_token": last["encoded_token"], "otp": begun["otp"]});
        let token = data(self.anonymous(Op::Write, "sys/decode-token", body).await?);
        Ok(token["token"].as_str().unwrap().to_owned())
    }
}
