//! What is to take the place of everything is a generation of its own. Its name stands at the
//! stage's key while it is filled; the commit that puts it at the root's key is all of the adoption,
//! however much there is.

use std::sync::{Arc, PoisonError, Weak};

use async_trait::async_trait;
use keyfold_core::ports::storage::{Revision, Staged, StorageError};
use keyfold_core::ports::whole::Portion;
use keyfold_keys::rng;
use tokio::runtime::Handle;

use super::super::failure::Tries;
use super::super::{portion, rules};
use super::commit::Work;
use super::link::Fault;
use super::parts::{Puts, REQUEST};
use super::plan;
use super::root::Root;
use super::wire::{Compare, Op, Range, Txn};
use super::{Shared, signed};

/// Entries of one request, each with several operations.
const ENTRIES: usize = 32;
/// Keys that are removed at a time.
const REMOVED: i64 = 1024;

/// A name for a generation, which no other has.
pub(super) fn generation() -> String {
    hex::encode(rng::bytes::<8>())
}

/// See the module.
pub(super) struct EtcdStaged {
    shared: Weak<Shared>,
    generation: Arc<str>,
}

impl Shared {
    pub async fn stage(&self) -> Result<EtcdStaged, StorageError> {
        let generation = generation();
        let put = Txn {
            success: vec![Op::put(self.keys.stage(), generation.clone().into_bytes())],
            ..Txn::default()
        };
        // Put twice, it is the same.
        self.links.ask(&put).await?;
        self.spawn_sweep();
        Ok(EtcdStaged {
            shared: self.own.clone(),
            generation: generation.into(),
        })
    }

    /// A stage has taken the place of everything.
    pub fn adopted(&self, generation: &str, revision: u64) {
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = signed(revision);
        if root.revision < revision {
            *root = Root {
                generation: generation.into(),
                revision,
            };
        }
        drop(root);
        self.spawn_sweep();
    }

    /// Removes what no generation that counts has, some time.
    pub fn spawn_sweep(&self) {
        let (Some(shared), Ok(runtime)) = (self.own.upgrade(), Handle::try_current()) else {
            return;
        };
        runtime.spawn(async move {
            if let Err(fault) = shared.sweep().await {
                // The next one does it.
                tracing::debug!(reason = &*fault.text, "old generations are not removed yet");
            }
        });
    }

    async fn sweep(&self) -> Result<(), Fault> {
        let (mut from, end) = self.keys.generations();
        loop {
            let first = Range {
                range_end: end.clone(),
                limit: 1,
                keys_only: true,
                ..Range::one(from)
            };
            let found = self.links.once(&first).await?;
            let Some(kv) = found.kvs.first() else {
                return Ok(());
            };
            let Some(generation) = self.keys.generation_of(&kv.key) else {
                // Not this program's.
                return Ok(());
            };
            let span = self.keys.generation(generation);
            // Looked up after it was found: one that neither counts nor is staged now never will.
            if !self.is_of_use(generation).await? {
                self.remove(&span.0, &span.1).await?;
            }
            from = span.1;
        }
    }

    async fn is_of_use(&self, generation: &str) -> Result<bool, Fault> {
        let read = Txn {
            success: vec![
                Op::range(Range::one(self.keys.root())),
                Op::range(Range::one(self.keys.stage())),
            ],
            ..Txn::default()
        };
        let done = self.links.once(&read).await?;
        let names = [done.one(0), done.one(1)];
        let mut names = names.into_iter().flatten();
        Ok(names.any(|kv| kv.value == generation.as_bytes()))
    }

    /// In steps, so that others have their turns.
    async fn remove(&self, from: &[u8], end: &[u8]) -> Result<(), Fault> {
        loop {
            let page = Range {
                range_end: end.to_vec(),
                limit: REMOVED,
                keys_only: true,
                ..Range::one(from.to_vec())
            };
            let page = self.links.once(&page).await?;
            let behind = match page.kvs.last() {
                None => return Ok(()),
                Some(kv) => [kv.key.as_slice(), &[0]].concat(),
            };
            let delete = Txn {
                success: vec![Op::delete_range(from.to_vec(), behind)],
                ..Txn::default()
            };
            self.links.once(&delete).await?;
        }
    }

    /// Puts entries in a stage; an error where it is over.
    async fn fill(&self, generation: &Arc<str>, puts: &Puts<'_>) -> Result<(), StorageError> {
        let weight = plan::weight(&self.keys, puts, std::iter::empty());
        let mut tries = Tries::new();
        loop {
            let placed = self.place(generation, puts, weight).await?;
            let stage = self.keys.stage();
            // Members answer what reads and writes nothing without asking the others.
            let mut ops = vec![Op::range(Range::one(stage.clone()))];
            ops.extend(puts.iter().flat_map(|(key, value)| {
                plan::put(&self.keys, generation, key, value, placed.parts.get(key))
            }));
            let fill = Txn {
                compare: vec![Compare::is(stage, generation.as_bytes().to_vec())],
                success: plan::fold(ops, 1).ok_or_else(|| {
                    StorageError::TooLong("entries of a stage are more than etcd takes".into())
                })?,
                failure: Vec::new(),
            };
            match self.links.once(&fill).await {
                Ok(done) if done.succeeded => return Ok(()),
                Ok(_) => return Err(portion::overtaken()),
                // Put twice, it is the same: parts are stored anew, and take the place of others.
                Err(fault) => tries.again(fault.into()).await?,
            }
        }
    }
}

#[async_trait]
impl Staged for EtcdStaged {
    async fn add(&mut self, portion: Portion) -> Result<(), StorageError> {
        rules::check_portion(&portion)?;
        let shared = self.shared.upgrade().ok_or_else(closed)?;
        // Of two at one key the later counts.
        let entries = portion.iter();
        let entries = entries.map(|(key, value)| (key.as_str(), value.as_slice()));
        let entries: Puts<'_> = entries.collect();
        let mut some = Puts::new();
        let mut bytes = 0usize;
        for (key, value) in entries {
            let more = key.len().saturating_add(value.len());
            if some.len() == ENTRIES || (!some.is_empty() && bytes.saturating_add(more) > REQUEST) {
                shared.fill(&self.generation, &some).await?;
                some.clear();
                bytes = 0;
            }
            bytes = bytes.saturating_add(more);
            some.insert(key, value);
        }
        // Also where there is nothing: whether the stage is over is to be told.
        shared.fill(&self.generation, &some).await
    }

    async fn adopt(self: Box<Self>) -> Result<Revision, StorageError> {
        let shared = self.shared.upgrade().ok_or_else(closed)?;
        shared.commit(Work::Adopt(&self.generation)).await
    }
}

fn closed() -> StorageError {
    StorageError::Failed("the store is closed".into())
}
