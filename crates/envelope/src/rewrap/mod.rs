//! Moves envelopes under the newest version of their KEK, without a DEK and without the payload.
//!
//! The run is a stream: items are listed and read in batches, those with an old wrap queue up by
//! key, a full queue becomes calls of the key service, and the new wraps go to the store in one
//! guarded change of many. Several threads do so at once, each with queues of its own. Nothing is
//! kept about a run: a second one finds what the first left undone.

mod again;
mod changes;
mod goal;
mod pace;
mod plan;
mod queue;
mod report;
mod run;
mod watch;
mod wraps;

use std::num::{NonZeroU32, NonZeroUsize};

use crate::error::Error;
use crate::key_service::KeyService;
use crate::store::Store;

pub use goal::Target;
pub use report::{RewrapReport, Stopped};
pub use watch::{Done, Outcome, Watch};

use goal::Goal;
pub(crate) use goal::{Ask, Destination};
use run::Run;

/// How to rewrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct RewrapOptions {
    /// Only count: no wrap is asked for and nothing is written.
    pub dry_run: bool,
    /// What to check of each envelope.
    pub verify: Verify,
    /// Most wraps a second that are sent to the key service.
    pub server_rate: Option<NonZeroU32>,
    /// Most items a second that are changed.
    pub store_rate: Option<NonZeroU32>,
    /// Threads; a few, and at least one a core, where `None`.
    pub workers: Option<NonZeroUsize>,
}

/// How much to check of each envelope that gets a new wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verify {
    /// Nothing beyond the protocol.
    #[default]
    None,
    /// The new slot reads back before the old one is retired.
    Slot,
    /// Before anything is written, the new wrap is unwrapped and opens this payload's commitment.
    /// Needs the right to decrypt.
    Commit,
    /// As `Commit`, and the whole payload authenticates.
    Full,
}

/// Rewraps everything in `store`. Errors of single items are in the report; `Err` means that the
/// run could not start.
pub fn rewrap<S: Store>(
    service: &dyn KeyService,
    store: &S,
    options: &RewrapOptions,
    watch: &dyn Watch,
) -> Result<RewrapReport, Error> {
    Ok(Run::new(service, store, Goal::Newest, options, watch)?.finish())
}

/// Gives everything in `store` a wrap under another KEK, of this server or of another one, beside the
/// wrap that it has: both open it from then on, so that readers can move one by one. What has such a
/// wrap is left as it is. A wrap that stands alone, for which there is no second place, is replaced. A
/// move to another server needs the right to decrypt at the first.
pub fn move_wraps<S: Store>(
    service: &dyn KeyService,
    store: &S,
    target: Target<'_>,
    options: &RewrapOptions,
    watch: &dyn Watch,
) -> Result<RewrapReport, Error> {
    let goal = Goal::Move(Destination::new(target, service)?);
    Ok(Run::new(service, store, goal, options, watch)?.finish())
}

/// Ends [`move_wraps`]: retires the wraps that were moved away from. Only where the new wrap opens the
/// item, which is tried first and needs the right to decrypt with it.
pub fn retire_moved<S: Store>(
    service: &dyn KeyService,
    store: &S,
    target: Target<'_>,
    options: &RewrapOptions,
    watch: &dyn Watch,
) -> Result<RewrapReport, Error> {
    let goal = Goal::Retire(Destination::new(target, service)?);
    Ok(Run::new(service, store, goal, options, watch)?.finish())
}

#[cfg(test)]
mod tests;
