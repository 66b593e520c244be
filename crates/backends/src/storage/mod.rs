//! Where bytes are kept: the drivers of [`keyfold_core::ports::storage::Storage`].

pub mod etcd;
mod failure;
mod locks;
mod memory;
mod names;
mod portion;
pub mod postgres;
pub mod redb;
mod rules;
mod standing;

pub use self::etcd::Etcd;
pub use self::memory::Memory;
pub use self::postgres::Postgres;
pub use self::redb::{OpenError, Options, Redb};

/// Commits that a feed keeps for a slow watcher before it loses them.
const FEED: usize = 1024;
