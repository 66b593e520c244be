//! Very many tokens and leases: no answer and no start takes longer for them.

use keyfold_core::ports::storage::Batch;
use keyfold_core::tokens::NewToken;
use serde_json::json;

use crate::tokens::{alive, begun, make, settle};
use crate::trees::nothing_is_left;
use crate::world::World;

const CHILDREN: usize = 100_000;
/// More than are cleared before the answer.
const FEW: usize = 6_000;
const LEASES: usize = 1_000_000;
/// What a sweep that comes by has of its own: operations, and records in a page.
const SWEEP: usize = 50;
const PAGE: usize = 1_000;

/// A parent with children, the texts of some of these, and how many operations it took to revoke
/// the parent.
async fn revoked(world: &World, count: usize) -> (Vec<String>, usize) {
    let parent = make(world, &world.root, json!({"policies": "maker"})).await;
    let vault = world.core.unsealed().unwrap();
    let hash = vault.tokens.hash(&parent);
    let mut some = Vec::new();
    for n in 0..count {
        let child = NewToken {
            policies: vec!["default".to_owned()],
            path: "auth/token/create".to_owned(),
            ttl: 3600,
            parent: Some(hash.clone()),
            ..NewToken::default()
        };
        let (_, text) = vault.tokens.create(child).await.unwrap();
        if n % 997 == 0 || n == count - 1 {
            some.push(text.expose().clone());
        }
    }
    assert!(alive(world, &some[0]).await);
    let before = world.store.operations();
    let body = json!({"token": parent});
    world.write("auth/token/revoke", body).await.unwrap();
    (some, world.store.operations() - before)
}

#[tokio::test]
async fn the_end_of_a_parent_of_100_000_is_answered_after_as_many_operations_as_that_of_fewer() {
    let world = begun().await;
    let (_, few) = revoked(&world, FEW).await;
    settle(&world).await;
    let (children, many) = revoked(&world, CHILDREN).await;
    assert!(many <= few + SWEEP, "{few} and {many}");
    for child in &children {
        assert!(!alive(&world, child).await);
    }
    settle(&world).await;
    nothing_is_left(&world, "a wide tree").await;
}

#[tokio::test]
async fn a_million_leases_are_not_read_when_a_vault_opens() {
    let mut world = begun().await;
    let mut costs = Vec::new();
    for leases in [0, LEASES] {
        // Neither the values nor the tokens are there: whoever reads one fails.
        for first in (0..leases).step_by(10_000) {
            let mut batch = Batch::new();
            for n in first..first + 10_000 {
                let place = format!("sys/expire/{:012}-{n:064x}", 4_000_000_000_u64);
                let lease = format!("sys/lease/auth/token/create/h{n:064x}");
                batch = batch.put(place, Vec::new()).put(lease, Vec::new());
            }
            world.disk.commit(batch).await.unwrap();
        }
        world.restart().await;
        world.unseal().await.unwrap();
        let root = world.root.clone();
        assert!(alive(&world, &root).await);
        costs.push((world.store.operations(), world.store.read()));
    }
    let [none, many] = costs[..] else { panic!() };
    assert!(many.0 <= none.0 + SWEEP, "operations: {costs:?}");
    assert!(many.1 <= none.1 + PAGE, "records: {costs:?}");
}
