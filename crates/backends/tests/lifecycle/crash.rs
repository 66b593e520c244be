//! The process dies at each storage operation of each key operation, before and after it.

use std::time::Duration;

use keyfold_core::reply::Reply;
use keyfold_core::request::Op;
use keyfold_core::testing::Moment;
use serde_json::{Value, json};

use crate::snapshots;
use crate::world::{Machine, Seals, World, token};

/// What is done when the crash comes.
#[derive(Debug, Clone, Copy)]
enum Act {
    Init,
    Unseal,
    Rotate,
    /// Of a mount's dek, to its end.
    RotateDek,
    Mount,
    Unmount,
    Write,
    RevokeTree,
    /// With a seal, which opens the vault at once.
    InitSealed,
    OpenBySeal,
    AddSeal,
    RemoveSeal,
    /// The seal has another key from now on.
    RenewSeal,
    /// With a seal that opens together with the shares.
    InitTogether,
    OpenTogether,
    /// New shares; the old ones open too until the answer was written out.
    Rekey,
    /// It was: the old ones go.
    SettleRekey,
    /// New shares that are shown before they count.
    RekeyVerified,
    /// With two sets of shares, by the old ones.
    UnsealOfTwo,
    /// New shares and a new root key, for seals too.
    RotateRoot,
    /// A new root key by the seals alone.
    RotateRootAlone,
    /// The same where several ways have to come together.
    RotateRootTogether,
    RootToken,
    Save,
    Restore,
    RestoreEmpty,
}

const DEK: &str = "sys/mounts/shelf/rotate-dek";

const ACTS: [Act; 26] = [
    Act::Init,
    Act::Unseal,
    Act::Rotate,
    Act::RotateDek,
    Act::Mount,
    Act::Unmount,
    Act::Write,
    Act::RevokeTree,
    Act::InitSealed,
    Act::OpenBySeal,
    Act::AddSeal,
    Act::RemoveSeal,
    Act::RenewSeal,
    Act::InitTogether,
    Act::OpenTogether,
    Act::Rekey,
    Act::SettleRekey,
    Act::RekeyVerified,
    Act::UnsealOfTwo,
    Act::RotateRoot,
    Act::RotateRootAlone,
    Act::RotateRootTogether,
    Act::RootToken,
    Act::Save,
    Act::Restore,
    Act::RestoreEmpty,
];

struct Stage {
    world: World,
    /// Top of a tree of tokens, and its leaf.
    tree: [String; 2],
    /// The answer to a rekey, and the shares in it.
    told: Option<(Reply, Vec<String>)>,
    snapshot: Vec<u8>,
}

#[tokio::test]
async fn killed_at_any_operation_the_store_opens_in_the_old_state_or_the_new() {
    let mut crashes = 0;
    for act in ACTS {
        for moment in [Moment::Before, Moment::After] {
            for n in 0.. {
                assert!(n < 200, "{act:?} does not end");
                let mut stage = set(act).await;
                let start = stage.world.store.operations();
                stage.world.store.crash_at(start + n, moment);
                let acknowledged = perform(act, &mut stage, start + n).await;
                let reached = stage.world.store.operations() > start + n;
                check(act, acknowledged, &mut stage, n, moment).await;
                if !reached {
                    assert!(acknowledged, "{act:?} failed without a crash");
                    break;
                }
                crashes += 1;
            }
        }
    }
    // Fewer would mean that some act does nothing at all.
    assert!(crashes > 60, "{crashes}");
}

async fn set(act: Act) -> Stage {
    if matches!(act, Act::Init) {
        return Stage {
            world: World::new().await,
            tree: Default::default(),
            told: None,
            snapshot: Vec::new(),
        };
    }
    let one = || vec![Machine::new("one", 1)];
    let empty = match act {
        Act::InitSealed => Some(Seals::any(one())),
        Act::InitTogether => Some(Seals::together(one(), 2)),
        _ => None,
    };
    if let Some(seals) = empty {
        return Stage {
            world: World::with(seals).await,
            tree: Default::default(),
            told: None,
            snapshot: Vec::new(),
        };
    }
    let mut world = match act {
        Act::OpenBySeal | Act::RemoveSeal | Act::RenewSeal => {
            World::begun_with(vec![Machine::new("one", 1), Machine::new("two", 2)]).await
        }
        Act::OpenTogether | Act::RotateRootTogether => {
            let seals = Seals::together(one(), 2);
            let world = World::begun_under(seals).await.unwrap();
            if world.core.is_sealed() {
                world.unseal().await.unwrap();
            }
            world
        }
        Act::RotateRoot => World::begun_with(one()).await,
        Act::RotateRootAlone => {
            let seals = Seals {
                shares_unseal: false,
                ..Seals::any(one())
            };
            World::begun_under(seals).await.unwrap()
        }
        _ => World::begun().await,
    };
    world
        .write("shelf/kept", json!({"v": "kept"}))
        .await
        .unwrap();
    let policy = r#"path "auth/token/create" { capabilities = ["update"] }"#;
    world
        .write("sys/policies/acl/maker", json!({"policy": policy}))
        .await
        .unwrap();
    let make = json!({"policies": ["maker"]});
    let top = token(
        world
            .write("auth/token/create", make.clone())
            .await
            .unwrap(),
    );
    let leaf = world
        .ask(Some(&top), Op::Write, "auth/token/create", make)
        .await
        .unwrap();
    let leaf = token(leaf);
    let mut snapshot = Vec::new();
    match act {
        Act::Unseal | Act::OpenBySeal | Act::OpenTogether => world.restart().await,
        Act::Restore => snapshot = snapshots::before(&mut world, false).await,
        Act::RestoreEmpty => snapshot = snapshots::before(&mut world, true).await,
        Act::AddSeal => {
            world.seals.all.push(Machine::new("one", 1));
            world.reseal().await;
        }
        Act::RemoveSeal => {
            world.seals.all.remove(0);
            world.reseal().await;
        }
        Act::RenewSeal => {
            world.seals.all[0].seal.replace_key(9);
        }
        _ => {}
    }
    let told = match act {
        Act::SettleRekey | Act::UnsealOfTwo => {
            Some(world.rekeyed("sys/rekey", false).await.unwrap())
        }
        Act::RekeyVerified => Some(world.rekeyed("sys/rekey", true).await.unwrap()),
        _ => None,
    };
    if matches!(act, Act::UnsealOfTwo) {
        world.restart().await;
    }
    Stage {
        world,
        tree: [top, leaf],
        told,
        snapshot,
    }
}

/// True when the caller was told that it was done.
async fn perform(act: Act, stage: &mut Stage, crash: usize) -> bool {
    let world = &mut stage.world;
    match act {
        Act::Init | Act::InitSealed | Act::InitTogether => world.init().await.is_ok(),
        Act::Unseal => world.unseal().await.is_ok(),
        // A crash while the shares are given may leave it sealed, and they can be given again.
        Act::OpenTogether => world.unseal().await.is_ok() && !world.core.is_sealed(),
        Act::Rotate => world.write("sys/rotate", Value::Null).await.is_ok(),
        Act::RotateDek => {
            world.write(DEK, Value::Null).await.is_ok() && dek_rotated(world, crash).await
        }
        Act::Mount => world
            .write("sys/mounts/more", json!({"type": "shelf"}))
            .await
            .is_ok(),
        Act::Unmount => world.delete("sys/mounts/shelf").await.is_ok(),
        Act::Write => world.write("shelf/new", json!({"v": "new"})).await.is_ok(),
        Act::OpenBySeal => world.core.open_by_seals().await.is_ok(),
        Act::AddSeal | Act::RemoveSeal | Act::RenewSeal => world.core.settle().await.is_ok(),
        Act::Rekey | Act::RotateRoot | Act::RotateRootTogether => {
            let base = match act {
                Act::Rekey => "sys/rekey",
                _ => "sys/rotate/root",
            };
            stage.told = world.rekeyed(base, false).await.ok();
            stage.told.is_some()
        }
        Act::SettleRekey => {
            let (reply, _) = stage.told.as_mut().unwrap();
            let after = reply.after.take().unwrap();
            after.run().await;
            world.status().await.get("shares_next").is_none()
        }
        Act::RekeyVerified => {
            let (reply, new) = stage.told.as_mut().unwrap();
            let reply = std::mem::take(reply);
            let nonce = crate::world::data(reply)["verification_nonce"].clone();
            world.verify("sys/rekey", &nonce, new).await.is_ok()
        }
        Act::UnsealOfTwo => world.unseal().await.is_ok(),
        Act::RotateRootAlone => world.write("sys/rotate/root", Value::Null).await.is_ok(),
        Act::RootToken => {
            let shares = world.shares.clone();
            match world.root_token(&shares).await {
                Ok(token) => {
                    stage.tree[0] = token;
                    true
                }
                Err(_) => false,
            }
        }
        Act::RevokeTree => world
            .write("auth/token/revoke", json!({"token": stage.tree[0]}))
            .await
            .is_ok(),
        Act::Save => world.save().await.is_ok(),
        Act::Restore | Act::RestoreEmpty => world.restore(&stage.snapshot, false).await.is_ok(),
    }
}

/// Waits, without touching the store that counts, until the worker is done or dead.
async fn dek_rotated(world: &World, crash: usize) -> bool {
    let old = format!("core/dek/{}/1", crate::deks::uuid(world).await);
    for _ in 0..2000 {
        if world.store.operations() > crash {
            return false;
        }
        if !world.dump().await.contains_key(&old) {
            // What comes after the last commit is no operation of the store.
            return true;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    false
}

async fn check(act: Act, acknowledged: bool, stage: &mut Stage, n: usize, moment: Moment) {
    let at = format!("{act:?}, crash {moment:?} operation {n}, acknowledged {acknowledged}");
    let world = &mut stage.world;
    world.restart().await;
    if matches!(act, Act::Init | Act::InitSealed | Act::InitTogether) {
        if acknowledged {
            if matches!(act, Act::InitSealed) {
                assert!(world.core.open_by_seals().await.expect(&at), "{at}");
                world.restart().await;
            }
            world.unseal().await.expect(&at);
            return;
        }
        // Begun or not: then it can be begun, or says that it has been.
        let begun = world.dump().await.contains_key("core/keyring");
        assert_eq!(world.init().await.is_ok(), !begun, "{at}");
        return;
    }
    if rekeys(act) {
        return check_shares(act, acknowledged, stage, &at).await;
    }
    if matches!(act, Act::RestoreEmpty) && !world.dump().await.contains_key("core/keyring") {
        // As empty as before.
        assert!(!acknowledged && world.dump().await.is_empty(), "{at}");
        return;
    }
    // By every way that there is.
    let wraps = world.dump().await;
    let wraps: Vec<_> = wraps
        .keys()
        .filter_map(|k| k.strip_prefix("core/seal/"))
        .collect();
    match act {
        Act::OpenBySeal | Act::RenewSeal => assert_eq!(wraps, ["one", "shamir", "two"], "{at}"),
        Act::AddSeal if acknowledged => assert_eq!(wraps, ["one", "shamir"], "{at}"),
        Act::RemoveSeal if acknowledged => assert_eq!(wraps, ["shamir", "two"], "{at}"),
        _ => {}
    }
    let by_seal = matches!(act, Act::OpenBySeal | Act::RemoveSeal | Act::RenewSeal)
        || matches!(act, Act::AddSeal) && acknowledged;
    if by_seal {
        assert!(world.core.open_by_seals().await.expect(&at), "{at}");
        assert_eq!(
            world.read("shelf/kept").await.expect(&at),
            json!({"v": "kept"})
        );
        world.restart().await;
    }
    world.unseal().await.expect(&at);
    let kept = world.read("shelf/kept").await;
    if !matches!(act, Act::Unmount) {
        assert_eq!(kept.expect(&at), json!({"v": "kept"}), "{at}");
    }
    match act {
        Act::Init
        | Act::Unseal
        | Act::InitSealed
        | Act::OpenBySeal
        | Act::InitTogether
        | Act::OpenTogether
        | Act::Rekey
        | Act::SettleRekey
        | Act::RekeyVerified
        | Act::UnsealOfTwo
        | Act::RotateRoot
        | Act::RotateRootAlone
        | Act::RotateRootTogether => {}
        Act::RootToken => {
            let self_ = "auth/token/lookup-self";
            let token = Some(stage.tree[0].as_str()).filter(|_| acknowledged);
            if let Some(token) = token {
                let seen = world.ask(Some(token), Op::Read, self_, Value::Null).await;
                assert!(seen.is_ok(), "{at}");
            }
        }
        Act::Save => drop(world.save().await.expect(&at)),
        Act::Restore | Act::RestoreEmpty => snapshots::after(world, acknowledged, &at).await,
        // Whatever was cut off is done the next time.
        Act::AddSeal | Act::RemoveSeal | Act::RenewSeal => {
            world.core.settle().await.expect(&at);
            let all = world.core.seal_reports();
            assert!(all.iter().all(|seal| seal.healthy && seal.wrapped), "{at}");
        }
        Act::Rotate => {
            let term = world.read("sys/key-status").await.expect(&at)["term"].clone();
            assert!(
                term == json!(2) || term == json!(1) && !acknowledged,
                "{at}: {term}"
            );
        }
        Act::RotateDek => {
            let begun = world.read(DEK).await.expect(&at)["state"] != "idle";
            assert!(begun || !acknowledged, "{at}");
            let left = match begun {
                true => {
                    crate::deks::ended(world, DEK).await;
                    ["2"]
                }
                false => ["1"],
            };
            let dump = world.dump().await;
            let folder = format!("core/dek/{}/", crate::deks::uuid(world).await);
            let deks = dump.keys().filter_map(|key| key.strip_prefix(&folder));
            assert_eq!(deks.collect::<Vec<_>>(), left, "{at}");
            let kept = world.read("shelf/kept").await.expect(&at);
            assert_eq!(kept, json!({"v": "kept"}), "{at}");
        }
        Act::Mount => {
            let works = world.write("more/x", json!({"v": 1})).await.is_ok();
            assert!(works || !acknowledged, "{at}");
            if !works {
                world
                    .write("sys/mounts/more", json!({"type": "shelf"}))
                    .await
                    .expect(&at);
            }
        }
        Act::Unmount => {
            let there = world.read("sys/mounts/shelf").await.is_ok();
            assert_eq!(world.read("shelf/kept").await.is_ok(), there, "{at}");
            assert!(!(there && acknowledged), "{at}");
        }
        Act::Write => {
            let new = world.read("shelf/new").await;
            assert!(new.is_ok() || !acknowledged, "{at}");
        }
        Act::RevokeTree => {
            let mut alive = [false; 2];
            for (place, text) in alive.iter_mut().zip(&stage.tree) {
                let self_ = "auth/token/lookup-self";
                *place = world
                    .ask(Some(text), Op::Read, self_, Value::Null)
                    .await
                    .is_ok();
            }
            // All or none: no leaf without its top.
            assert_eq!(alive[0], alive[1], "{at}");
            assert!(!(alive[0] && acknowledged), "{at}");
        }
    }
}

/// Acts after which other shares than before may open the store, or another root key is wrapped.
fn rekeys(act: Act) -> bool {
    matches!(
        act,
        Act::Rekey
            | Act::SettleRekey
            | Act::RekeyVerified
            | Act::UnsealOfTwo
            | Act::RotateRoot
            | Act::RotateRootAlone
            | Act::RotateRootTogether
    )
}

/// Those who hold shares that count open the store: the old ones, or new ones that were told.
async fn check_shares(act: Act, acknowledged: bool, stage: &mut Stage, at: &str) {
    let world = &mut stage.world;
    let kept = json!({"v": "kept"});
    if matches!(act, Act::RotateRoot | Act::RotateRootAlone) {
        assert!(world.core.open_by_seals().await.expect(at), "{at}");
        assert_eq!(world.read("shelf/kept").await.expect(at), kept, "{at}");
        if matches!(act, Act::RotateRootAlone) {
            world.write("sys/rotate", Value::Null).await.expect(at);
            return;
        }
    }
    let old = world.shares.clone();
    let new = stage.told.take().map(|(_, shares)| shares);
    let old_opens = world.opens_with(&old).await;
    // By then the old ones were used, so the new ones count where these did not.
    let new_opens = match &new {
        Some(new) => world.opens_with(new).await,
        None => false,
    };
    match act {
        Act::Rekey | Act::RotateRoot | Act::RotateRootTogether | Act::UnsealOfTwo => {
            assert!(old_opens && !new_opens, "{at}");
        }
        Act::SettleRekey | Act::RekeyVerified if acknowledged => {
            assert!(!old_opens && new_opens, "{at}");
        }
        _ => assert!(old_opens != new_opens, "{at}"),
    }
    assert!(
        world
            .opens_with(if old_opens {
                &old
            } else {
                new.as_ref().unwrap()
            })
            .await
    );
    assert_eq!(world.read("shelf/kept").await.expect(at), kept, "{at}");
    // The root key that is wrapped is that of the keyring.
    world.write("sys/rotate", Value::Null).await.expect(at);
}
