//! Transit keys in a token of SoftHSM2, through a whole vault.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod data;
mod failures;
mod signing;
#[path = "../softhsm/mod.rs"]
mod softhsm;
mod strange;
mod world;

use std::path::PathBuf;
use std::sync::Arc;

use self::softhsm::{LABEL, in_a_child};
use self::world::World;

const CHILD: &str = "KEYFOLD_TEST_MANAGED";

#[test]
fn keys_of_a_token() {
    in_a_child(CHILD, &[LABEL, "other", strange::TOKEN], |_| {});
}

/// Does nothing unless it is the child of the other test.
#[tokio::test(flavor = "multi_thread")]
async fn inside() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let world = Arc::new(World::new().await);
    let mut failed = Vec::new();
    // Each in a task of its own, so that one that fails hides no other.
    macro_rules! tell {
        ($($part:path),* $(,)?) => { $({
            let (world, folder) = (world.clone(), folder.clone());
            let told = tokio::spawn(async move { $part(&world, &folder).await });
            if told.await.is_err() {
                failed.push(stringify!($part));
            }
        })* };
    }
    tell!(
        data::aes,
        data::rsa,
        data::between,
        data::versions,
        signing::every_mechanism,
        signing::another_key_under_the_name,
        data::another_key_under_the_name,
        failures::refusals,
        failures::mounts,
        failures::pins,
        failures::a_token_that_is_gone,
        strange::own_nonces_and_no_answers,
    );
    assert!(failed.is_empty(), "{failed:?}");
}
