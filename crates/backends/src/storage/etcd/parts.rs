//! Storing values in parts, before the commit that names them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use keyfold_core::ports::storage::StorageError;
use keyfold_keys::rng;
use tokio::runtime::Handle;

use super::Shared;
use super::value::{INLINE, PART, Parts};
use super::wire::{Grant, Op, Revoke, Txn};

/// Bytes of a request that are filled; members refuse one of more than 1.5 MiB where they are not
/// told otherwise.
pub(super) const REQUEST: usize = 1024 * 1024;
/// Parts that are stored at a time.
const PUTS: usize = 128;
/// Bytes of a value of which there is no use in storing it apart: its name is not much shorter.
const SMALL: usize = 1024;
/// Seconds that a writer may take to store parts and to commit what names them.
const TTL: i64 = 600;

/// Entries that are put, in the order of their keys.
pub(super) type Puts<'b> = BTreeMap<&'b str, &'b [u8]>;

/// Values that stand in parts, by their keys.
#[derive(Default)]
pub(super) struct Placed<'b> {
    pub parts: HashMap<&'b str, Parts>,
    /// The generation that they are in.
    pub generation: Arc<str>,
    /// What they hang on until they are named.
    _lease: Option<Lease>,
}

/// A lease of etcd's, given back when this is dropped: what hangs on it goes.
struct Lease {
    shared: Weak<Shared>,
    id: i64,
}

impl Shared {
    /// Stores in parts what is too large, or too much, for one request.
    pub async fn place<'b>(
        &self,
        generation: &Arc<str>,
        puts: &Puts<'b>,
        weight: usize,
    ) -> Result<Placed<'b>, StorageError> {
        let mut placed = Placed {
            generation: generation.clone(),
            ..Placed::default()
        };
        let large = too_large(puts, weight);
        if large.is_empty() {
            return Ok(placed);
        }
        let granted = self.links.ask(&Grant { ttl: TTL }).await?;
        placed._lease = Some(Lease {
            shared: self.own.clone(),
            id: granted.id,
        });
        let mut puts = Vec::new();
        let mut bytes = 0;
        for (key, value) in large {
            let parts = Parts {
                id: rng::bytes(),
                bytes: value.len() as u64,
            };
            for (number, part) in (0..).zip(value.chunks(PART)) {
                if puts.len() == PUTS || bytes + part.len() > REQUEST {
                    self.store(std::mem::take(&mut puts)).await?;
                    bytes = 0;
                }
                bytes += part.len();
                let key = self.keys.part(generation, key, &parts.id, number);
                puts.push(Op::put_under(granted.id, key, part.to_vec()));
            }
            placed.parts.insert(key, parts);
        }
        self.store(puts).await?;
        Ok(placed)
    }

    /// Stores parts; twice, they are the same.
    async fn store(&self, success: Vec<Op>) -> Result<(), StorageError> {
        let puts = Txn {
            success,
            ..Txn::default()
        };
        self.links.ask(&puts).await?;
        Ok(())
    }
}

/// Of the entries, those that have to stand in parts; `weight` is what all of them weigh.
fn too_large<'b>(puts: &Puts<'b>, weight: usize) -> Vec<(&'b str, &'b [u8])> {
    let mut by_size: Vec<_> = puts.iter().map(|(key, value)| (*key, *value)).collect();
    by_size.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    let mut left = weight;
    let large = by_size.into_iter().take_while(|(_, value)| {
        let is_large = value.len() > INLINE || (left > REQUEST && value.len() > SMALL);
        left = left.saturating_sub(value.len());
        is_large
    });
    large.collect()
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some(shared), Ok(runtime)) = (self.shared.upgrade(), Handle::try_current()) else {
            return;
        };
        let id = self.id;
        runtime.spawn(async move {
            // It runs out by itself.
            let _late = shared.links.once(&Revoke { id }).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_values_go_first_and_no_more_than_have_to() {
        let (huge, large, small) = (vec![0; INLINE + 1], vec![0; INLINE], vec![0; INLINE - 1]);
        let tiny = vec![0; SMALL];
        let puts: Puts<'_> = [("a", &*small), ("b", &*huge), ("c", &*large), ("d", &*tiny)].into();
        let keys = |weight| -> Vec<&str> {
            let large = too_large(&puts, weight);
            large.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(1000), ["b"]);
        assert_eq!(keys(REQUEST + INLINE + 2), ["b", "c"]);
        assert_eq!(keys(usize::MAX), ["b", "c", "a"]);
    }
}
