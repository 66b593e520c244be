//! Reading entries.

use keyfold_core::ports::storage::{Entry, MAX_VALUE, Revision, StorageError};

use super::super::failure::Failure;
use super::value::{self, Kept, Parts};
use super::wire::{KeyValue, Op, Range};
use super::{Shared, unsigned};

impl Shared {
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        let entry = |generation: &str| Range::one(self.keys.entry(generation, key));
        let (root, done) = self
            .under_root(|root| vec![Op::range(entry(&root.generation))])
            .await?;
        let Some(kv) = done.one(0) else {
            return Ok(None);
        };
        Ok(Some(Entry {
            value: self
                .value(&root.generation, key, kv, done.revision())
                .await?,
            revision: Revision(unsigned(kv.mod_revision)),
        }))
    }

    /// The value of an entry, with what of it stands in parts, as it was at a revision of etcd's.
    pub async fn value(
        &self,
        generation: &str,
        key: &str,
        kv: &KeyValue,
        revision: i64,
    ) -> Result<Vec<u8>, StorageError> {
        let strange = || Failure::strange(&format!("at {key} what nobody put there"));
        match value::read(&kv.value).ok_or_else(strange)? {
            Kept::Whole(value) => Ok(value.to_vec()),
            Kept::Parts(parts) if parts.bytes > MAX_VALUE as u64 => Err(strange().into()),
            Kept::Parts(parts) => self.assemble(generation, key, &parts, revision).await,
        }
    }

    async fn assemble(
        &self,
        generation: &str,
        key: &str,
        parts: &Parts,
        revision: i64,
    ) -> Result<Vec<u8>, StorageError> {
        let bytes = usize::try_from(parts.bytes).unwrap_or(0);
        let mut value = Vec::with_capacity(bytes);
        for number in 0..parts.count() {
            let part = Range {
                revision,
                ..Range::one(self.keys.part(generation, key, &parts.id, number))
            };
            let found = self.links.ask(&part).await?;
            let Some(kv) = found.kvs.first() else { break };
            value.extend_from_slice(&kv.value);
        }
        match value.len() == bytes {
            true => Ok(value),
            false => Err(Failure::strange(&format!("not all of what stands at {key}")).into()),
        }
    }
}
