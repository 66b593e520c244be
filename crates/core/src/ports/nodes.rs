//! Several nodes on one store: which of them may answer, and who has heard of what.
//!
//! ```text
//!   node A                     store                      node B
//!   commit ───────────────────► revision 7 ─── feed ────► drops from its caches what 7 touched
//!   settled(7) waits            applied by B: 7 ◄──────── applied(7)
//!   the caller is answered
//! ```
//!
//! Every node holds a *lease*, which it renews all the time and which runs for the freshness bound. A
//! node answers from memory only while it holds one, so a node that is cut off falls silent within
//! the bound, and [`Nodes::settled`] waits for it no longer than that. The moment until which a node
//! counts its own lease lies never after the one until which the store does: it is reckoned from
//! before the renewal was sent, on a clock that only runs forward.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::storage::{Revision, StorageError};

/// One node, as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// A name that no other node has, made when it starts.
    pub id: String,
    /// The machine it runs on.
    pub host: String,
    /// Where clients reach it.
    pub address: String,
    /// The version that it runs.
    pub version: String,
    /// It holds a lease.
    pub alive: bool,
    /// The last commit whose changes it has dropped from its caches.
    pub applied: Revision,
    /// It is this one.
    pub own: bool,
}

/// This node, as it knows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Its name: see [`Member::id`].
    pub id: String,
    /// The last commit whose changes it has dropped from its caches.
    pub applied: Revision,
    /// It has heard of all that was committed up to this moment.
    pub current: Instant,
}

/// What a store that several nodes share knows of them. See the module for the picture.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Begins to hold leases: this node is about to answer. Whoever asked for the feed before, and
    /// reads what it keeps in memory after, has applied all that was committed until now.
    async fn join(&self) -> Result<(), StorageError>;

    /// Until when this node may answer from memory. A renewal counts only once the feed was read up
    /// to what the store held when it was renewed, and [`Nodes::applied`] was told of all of it.
    fn lease(&self) -> Instant;

    /// The caches have dropped all that was touched up to a commit that the feed gave.
    fn applied(&self, revision: Revision);

    /// Returns once every other node has applied a commit or has lost its lease: from then on no
    /// node answers with the state before it. An error where the store can't tell within `patience`;
    /// the commit stands all the same.
    async fn settled(&self, revision: Revision, patience: Duration) -> Result<(), StorageError>;

    /// Waits until this node itself has applied a commit, whoever made it; false where that takes
    /// longer than `patience`.
    async fn reached(&self, revision: Revision, patience: Duration) -> bool;

    /// The newest commit that this node has made or applied.
    fn at(&self) -> Revision;

    /// Where this node stands.
    fn position(&self) -> Position;

    /// The nodes of the last while, alive or not.
    async fn members(&self) -> Result<Vec<Member>, StorageError>;

    /// Gives the lease back, as this node answers nothing any more: nobody waits for it then, and it is
    /// no member until it joins again.
    async fn leave(&self);
}
