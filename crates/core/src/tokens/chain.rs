//! A token lives only as long as all that it hangs from.
//!
//! ```text
//!   child ──► parent ──► … ──► orphan        each of them in the cache: no read of the store
//! ```
//!
//! So the end of a parent is the end of its whole tree at that moment, however large it is and
//! whenever the records of its children go: the check needs no list of the condemned, and nothing
//! of it is lost in a crash.

use std::sync::Arc;

use super::record::{Kind, Token};
use super::store::Tokens;
use crate::clock::Time;
use crate::error::Error;

/// Generations below an orphan at most: each costs every request of the youngest a look.
pub(super) const DEEPEST: u32 = 100;

impl Tokens {
    /// Whether a token may be used: it and all above it are alive.
    pub(crate) async fn lives(&self, token: &Token, now: Time) -> Result<bool, Error> {
        if !self.serves(token, now) {
            return Ok(false);
        }
        let mut child: Option<Arc<Token>> = None;
        // Records that were tampered with into a ring end here too.
        for _ in 0..DEEPEST + 2 {
            let below = child.as_deref().unwrap_or(token);
            let Some(hash) = &below.parent else {
                return Ok(true);
            };
            let Some(parent) = self.by_hash(hash).await? else {
                return Ok(false);
            };
            if parent.released && below.kind == Kind::Service {
                return Ok(true);
            }
            if !self.serves(&parent, now) {
                return Ok(false);
            }
            child = Some(parent);
        }
        Ok(false)
    }
}
