//! Work that would hold up other requests of the same worker.

use keyfold_keys::transit::{Family, KeyType};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Does work with a key; where the type is a slow one, in a way that other requests of the worker
/// go on meanwhile.
pub(super) fn slow<T>(kind: KeyType, work: impl FnOnce() -> T) -> T {
    // Asked first: the others are many, and have no time for the rest.
    let slow = matches!(
        kind.family(),
        Family::Rsa(_) | Family::MlDsa(_) | Family::Hybrid(..)
    );
    if !slow {
        return work();
    }
    let several = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    match several {
        true => block_in_place(work),
        false => work(),
    }
}
