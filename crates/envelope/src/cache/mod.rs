//! DEKs that a server unwrapped, kept for a while: one call for many objects.
//!
//! ```text
//! fetch ──fresh──→ the DEK ──age ≥ 90 %──→ a thread asks again, meanwhile nobody waits
//!   └──missing──→ one caller asks, the others wait for its answer
//!                   ├─ a DEK: kept, its age counts from the question
//!                   ├─ denied, not found, below minimum, wrong key: what was kept goes at once
//!                   └─ no answer: an error, or, where `offline_ttl` allows it, the DEK of before
//! ```
//!
//! What may be kept how long is in [`CacheLimits`]. The order to read: [`table`] (the rules, as a
//! state machine without clock and threads), [`DekCache`] (threads), [`CachingKeyService`] (the
//! cache as a [`KeyService`](crate::KeyService) over another one).

mod clock;
mod counters;
mod dek_cache;
mod flight;
mod id;
mod limits;
#[cfg(test)]
mod model;
mod service;
mod table;
#[cfg(test)]
mod tests;
mod worker;

#[cfg(test)]
pub(crate) use clock::FakeClock;
pub use clock::{Clock, Moment, SystemClock};
pub use counters::CacheCounters;
pub use dek_cache::{Ask, DekCache};
pub use id::{CacheId, Partition, Purpose};
pub use limits::CacheLimits;
pub use service::CachingKeyService;
pub use table::Load;
