//! The storage contract as a program: each driver's tests run [`storage_suite`] on it.
//!
//! A broken promise panics with the sentence that was broken.

#![expect(clippy::expect_used, reason = "a test suite: it reports by panicking")]

mod batches;
mod lists;
mod locks;
mod restart;
mod watching;
mod wholes;

use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::storage::{Batch, Revision, Storage, StorageError};

/// Where the suite gets its stores.
#[async_trait]
pub trait Stores: Send + Sync {
    /// A new, empty store.
    async fn fresh(&self) -> Arc<dyn Storage>;

    /// Closes a store that [`Stores::fresh`] gave (this is its last reference) and opens what it
    /// left behind; `None` if the driver keeps nothing.
    async fn reopen(&self, store: Arc<dyn Storage>) -> Option<Arc<dyn Storage>>;
}

/// Checks every sentence of the contract. Needs a tokio runtime with its timer.
pub async fn storage_suite(stores: &dyn Stores) {
    batches::atomic(&*stores.fresh().await).await;
    batches::conflict_changes_nothing(&*stores.fresh().await).await;
    batches::unchanged_holds_until_the_next_write(&*stores.fresh().await).await;
    batches::one_of_sixteen_creates(stores.fresh().await).await;
    batches::no_increment_is_lost(stores.fresh().await).await;
    batches::revisions_grow(&*stores.fresh().await).await;
    batches::sizes(&*stores.fresh().await).await;
    batches::invalid_is_refused(&*stores.fresh().await).await;
    lists::names(&*stores.fresh().await).await;
    lists::pages(&*stores.fresh().await).await;
    lists::ten_thousand(&*stores.fresh().await).await;
    lists::bad_prefix(&*stores.fresh().await).await;
    watching::in_order_and_complete(stores.fresh().await).await;
    watching::failures_are_silent(&*stores.fresh().await).await;
    watching::told_before_the_writer(&*stores.fresh().await).await;
    locks::exclusive(&*stores.fresh().await).await;
    locks::expiring(&*stores.fresh().await).await;
    locks::fencing(&*stores.fresh().await).await;
    restart::keeps_everything(stores).await;
    wholes::shows_one_commit(&*stores.fresh().await).await;
    wholes::large_ones_come_in_portions(&*stores.fresh().await).await;
    wholes::adopted_in_one_step(stores).await;
    wholes::given_up_is_forgotten(stores).await;
    wholes::the_last_stage_counts(&*stores.fresh().await).await;
}

/// Commits what has to succeed.
async fn commit(store: &dyn Storage, batch: Batch) -> Revision {
    store
        .commit(batch)
        .await
        .expect("a valid batch without failing checks is applied")
}

/// The value at a key.
async fn value(store: &dyn Storage, key: &str) -> Option<Vec<u8>> {
    store.get(key).await.expect("get works").map(|e| e.value)
}

fn is_conflict<T>(result: &Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Conflict(_)))
}

fn is_invalid<T>(result: &Result<T, StorageError>) -> bool {
    matches!(
        result,
        Err(StorageError::Invalid(_) | StorageError::TooLong(_))
    )
}
