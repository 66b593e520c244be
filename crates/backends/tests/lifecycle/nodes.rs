//! Several vaults on one store: what one does is done on the others before it is called done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfold_backends::storage::Memory;
use keyfold_core::error::Error;
use keyfold_core::ports::storage::Storage;
use keyfold_core::request::Op;
use keyfold_core::testing::{BOUND, SharedStorage};
use serde_json::{Value, json};

use crate::deks::ended;
use crate::world::{Machine, Seals, World, token};

pub struct Cluster {
    pub first: World,
    pub second: World,
    /// The second node's way to the store.
    pub way: Arc<SharedStorage>,
}

/// Two nodes, both open. The second was there before the store was begun.
async fn cluster(seals: Seals) -> Cluster {
    let shared = SharedStorage::new(Arc::new(Memory::new()));
    let way = Arc::new(shared.another());
    let mut first = World::on(Arc::new(shared), seals.clone()).await;
    let mut second = World::on(way.clone(), seals.clone()).await;
    let before = second.anonymous(Op::Read, "sys/seal-status", Value::Null);
    assert_eq!(
        crate::world::data(before.await.unwrap())["initialized"],
        false
    );
    first.init().await.unwrap();
    second.shares.clone_from(&first.shares);
    second.root.clone_from(&first.root);
    if seals.all.is_empty() {
        first.unseal().await.unwrap();
        second.unseal().await.unwrap();
    } else {
        second
            .anonymous(Op::Read, "sys/seal-status", Value::Null)
            .await
            .unwrap();
        assert!(second.core.open_by_seals().await.unwrap());
    }
    first
        .write("sys/mounts/shelf", json!({"type": "shelf"}))
        .await
        .unwrap();
    Cluster { first, second, way }
}

pub async fn pair() -> Cluster {
    cluster(Seals::none()).await
}

/// A token of a world that has a policy.
async fn issued(world: &World, policy: &str) -> String {
    let asked = json!({"policies": [policy]});
    token(world.write("auth/token/create", asked).await.unwrap())
}

async fn reads(world: &World, token: &str) -> Result<(), Error> {
    let read = world.ask(Some(token), Op::Read, "shelf/x", Value::Null);
    read.await.map(drop)
}

#[tokio::test]
async fn what_is_mounted_and_written_on_one_is_there_on_the_other() {
    let Cluster { first, second, .. } = pair().await;
    second.write("shelf/x", json!({"v": 1})).await.unwrap();
    assert_eq!(first.read("shelf/x").await.unwrap(), json!({"v": 1}));
    second
        .write("sys/mounts/more", json!({"type": "shelf"}))
        .await
        .unwrap();
    first.write("more/y", json!({"v": 2})).await.unwrap();
    assert_eq!(second.read("more/y").await.unwrap(), json!({"v": 2}));
    first
        .write("sys/mounts/more/tune", json!({"description": "new"}))
        .await
        .unwrap();
    assert_eq!(
        second.read("sys/mounts").await.unwrap()["more/"]["description"],
        "new"
    );
    second.delete("sys/mounts/more").await.unwrap();
    let gone = first.read("more/y").await.unwrap_err();
    assert!(matches!(gone, Error::NoHandler(_)), "{gone}");
}

#[tokio::test]
async fn a_revoked_token_and_a_changed_policy_hold_on_the_other_at_once() {
    let Cluster { first, second, .. } = pair().await;
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    let rule = |capability: &str| json!({"policy": format!("path \"shelf/*\" {{ capabilities = [\"{capability}\"] }}")});
    for round in 0..20 {
        first
            .write("sys/policies/acl/reader", rule("read"))
            .await
            .unwrap();
        let token = issued(&first, "reader").await;
        reads(&second, &token).await.unwrap();
        if round % 2 == 0 {
            first
                .write("auth/token/revoke", json!({"token": token}))
                .await
                .unwrap();
        } else {
            first
                .write("sys/policies/acl/reader", rule("update"))
                .await
                .unwrap();
        }
        let refused = reads(&second, &token).await.unwrap_err();
        assert!(
            matches!(refused, Error::NoToken | Error::Denied),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_rotated_kek_reaches_the_other_without_shares() {
    let Cluster { first, second, .. } = pair().await;
    for round in 0..4_u32 {
        let (one, other) = match round % 2 {
            0 => (&first, &second),
            _ => (&second, &first),
        };
        one.write("sys/rotate", Value::Null).await.unwrap();
        let path = format!("sys/mounts/m{round}");
        other.write(&path, json!({"type": "shelf"})).await.unwrap();
        other
            .write(&format!("m{round}/x"), json!({"v": round}))
            .await
            .unwrap();
        assert_eq!(
            one.read(&format!("m{round}/x")).await.unwrap(),
            json!({"v": round})
        );
        let status = other.read("sys/key-status").await.unwrap();
        assert_eq!(status["term"], round + 2);
    }
    let left: Vec<_> = first.dump().await.into_keys().collect();
    assert!(
        left.iter().all(|key| !key.starts_with("core/handover/")),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_rotated_root_key_is_another_nodes_no_more() {
    let Cluster {
        first,
        second: _second,
        ..
    } = pair().await;
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    first
        .write("sys/rotate/root", Value::Null)
        .await
        .err()
        .unwrap();
    let seals = Seals {
        shares_unseal: false,
        ..Seals::any(vec![Machine::new("one", 1)])
    };
    let Cluster {
        first, mut second, ..
    } = cluster(seals).await;
    first.write("sys/rotate/root", Value::Null).await.unwrap();
    second.write("sys/rotate", Value::Null).await.unwrap();
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    second.restart().await;
    assert!(second.core.open_by_seals().await.unwrap());
    assert_eq!(second.read("shelf/x").await.unwrap(), json!({"v": 1}));
}

#[tokio::test]
async fn a_deks_rotation_loses_nothing_that_the_other_writes_meanwhile() {
    let Cluster { first, second, .. } = pair().await;
    for number in 0..50 {
        first
            .write(&format!("shelf/old{number}"), json!({"v": number}))
            .await
            .unwrap();
    }
    let writes = async {
        for number in 0..200 {
            second
                .write(&format!("shelf/new{number}"), json!({"v": number}))
                .await
                .unwrap();
        }
    };
    let rotation = async {
        let asked = json!({"rate": 10_000});
        first
            .write("sys/mounts/shelf/rotate-dek", asked)
            .await
            .unwrap();
        ended(&second, "sys/mounts/shelf/rotate-dek").await
    };
    let ((), state) = tokio::join!(writes, rotation);
    assert_eq!(state["version"], 2, "{state}");
    for number in 0..200 {
        assert_eq!(
            first.read(&format!("shelf/new{number}")).await.unwrap(),
            json!({"v": number})
        );
    }
    for number in 0..50 {
        assert_eq!(
            second.read(&format!("shelf/old{number}")).await.unwrap(),
            json!({"v": number})
        );
    }
    let deks: Vec<_> = first
        .dump()
        .await
        .into_keys()
        .filter(|key| key.starts_with("core/dek/"))
        .collect();
    assert!(deks.iter().any(|key| key.ends_with("/2")), "{deks:?}");
}

#[tokio::test]
async fn one_that_is_cut_off_falls_silent_within_the_bound() {
    let Cluster { first, second, way } = pair().await;
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    let token = issued(&first, "root").await;
    reads(&second, &token).await.unwrap();
    way.cut();
    let began = Instant::now();
    first
        .write("auth/token/revoke", json!({"token": token}))
        .await
        .unwrap();
    assert!(began.elapsed() >= BOUND / 2, "it was waited for");
    let refused = reads(&second, &token).await.unwrap_err();
    assert!(matches!(refused, Error::Stale), "{refused}");
    way.heal();
    let mut refused = Error::Stale;
    for _ in 0..500 {
        refused = reads(&second, &token).await.unwrap_err();
        if !matches!(refused, Error::Stale) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(refused, Error::NoToken), "{refused}");
}

#[tokio::test]
async fn one_that_missed_a_rotation_is_sealed_and_its_seals_open_it_again() {
    let seals = Seals::any(vec![Machine::new("one", 1)]);
    let Cluster { first, second, way } = cluster(seals).await;
    way.cut();
    first.write("sys/rotate", Value::Null).await.unwrap();
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    way.heal();
    for _ in 0..500 {
        // By the root key that a seal gives it may follow; else it is sealed, and opened by a seal.
        if second.core.is_sealed() {
            assert!(second.core.open_by_seals().await.unwrap());
        }
        if second
            .read("shelf/x")
            .await
            .is_ok_and(|read| read == json!({"v": 1}))
        {
            second
                .write("sys/mounts/late", json!({"type": "shelf"}))
                .await
                .unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not come back");
}

#[tokio::test]
async fn one_with_shares_that_missed_a_rotation_waits_for_people() {
    let Cluster { first, second, way } = pair().await;
    // As a node that was opened by shares has it no more: only the stored keyring counts.
    way.cut();
    first.write("sys/rotate", Value::Null).await.unwrap();
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    way.heal();
    for _ in 0..500 {
        if second.core.is_sealed() {
            second.unseal().await.unwrap();
        }
        if second
            .read("shelf/x")
            .await
            .is_ok_and(|read| read == json!({"v": 1}))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not come back");
}

#[tokio::test]
async fn sealing_is_of_one_node_or_of_all() {
    let Cluster { first, second, .. } = pair().await;
    second.write("sys/seal", Value::Null).await.unwrap();
    assert!(second.core.is_sealed() && !first.core.is_sealed());
    second.unseal().await.unwrap();
    second
        .write("sys/seal", json!({"cluster": true}))
        .await
        .unwrap();
    assert!(second.core.is_sealed() && first.core.is_sealed());
    let wrong = json!({"cluster": "perhaps"});
    first.unseal().await.unwrap();
    let refused = first.write("sys/seal", wrong).await.err().unwrap();
    assert!(refused.to_string().contains("cluster"), "{refused}");
}

#[tokio::test]
async fn nodes_are_told_as_they_are() {
    let Cluster { first, second, way } = pair().await;
    let nodes = second.read("sys/ha-status").await.unwrap();
    let nodes = nodes["nodes"].as_array().unwrap().clone();
    assert_eq!(nodes.len(), 2);
    assert!(nodes.iter().all(|node| node["active_node"] == true));
    let leader = first
        .anonymous(Op::Read, "sys/leader", Value::Null)
        .await
        .unwrap();
    assert_eq!(crate::world::data(leader)["ha_enabled"], true);
    way.cut();
    tokio::time::sleep(BOUND).await;
    let health = second
        .anonymous(Op::Read, "sys/health", Value::Null)
        .await
        .unwrap();
    assert_eq!(health.status, Some(474));
    let leader = second
        .anonymous(Op::Read, "sys/leader", Value::Null)
        .await
        .unwrap();
    assert_eq!(crate::world::data(leader)["is_self"], false);
    let nodes = first.read("sys/ha-status").await.unwrap();
    assert_eq!(nodes["nodes"][1]["active_node"], false);
}

#[tokio::test]
async fn what_the_caller_has_seen_is_waited_for() {
    let Cluster { first, second, way } = pair().await;
    let way: Arc<dyn Storage> = way;
    first.write("shelf/x", json!({"v": 1})).await.unwrap();
    let seen = first.core.index();
    assert!(
        seen > way
            .nodes()
            .map(|_| keyfold_core::ports::storage::Revision(0))
    );
    assert_eq!(
        second.read_at("shelf/x", seen).await.unwrap(),
        json!({"v": 1})
    );
    let future = seen.map(|index| keyfold_core::ports::storage::Revision(index.0 + 1_000_000));
    let refused = second.read_at("shelf/x", future).await.unwrap_err();
    assert!(matches!(refused, Error::Behind), "{refused}");
}
