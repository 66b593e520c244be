//! All entries as one commit left them: etcd reads them as of a revision, for as long as its history
//! has it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use keyfold_core::ports::storage::{Revision, StorageError, Whole};
use keyfold_core::ports::whole::{PORTION, Portion};

use super::super::portion::Filled;
use super::wire::{Op, Range};
use super::{Shared, unsigned};

/// Entries that are asked for at a time: of the largest, some megabytes.
const ENTRIES: i64 = 32;

/// See the module.
pub(super) struct EtcdWhole {
    shared: Weak<Shared>,
    generation: Arc<str>,
    /// The last commit that it shows.
    committed: u64,
    /// The revision of etcd's that it is read at.
    at: i64,
    /// What was read and is not handed on yet.
    read: VecDeque<(String, Vec<u8>)>,
    /// Where to read on; `None` at the end.
    from: Option<Vec<u8>>,
}

impl Shared {
    pub async fn whole(&self) -> Result<EtcdWhole, StorageError> {
        let last = || vec![Op::range(Range::one(self.keys.commit()))];
        let (root, done) = self.under_root(|_| last()).await?;
        let committed = done.one(0).map_or(0, |kv| unsigned(kv.mod_revision));
        let (from, _) = self.keys.below(&root.generation, "");
        Ok(EtcdWhole {
            shared: self.own.clone(),
            generation: root.generation,
            committed,
            at: done.revision(),
            read: VecDeque::new(),
            from: Some(from),
        })
    }
}

impl EtcdWhole {
    /// What waits to be handed on.
    fn bytes(&self) -> usize {
        self.read.iter().map(|(k, v)| k.len() + v.len()).sum()
    }

    async fn read_on(&mut self, from: Vec<u8>) -> Result<(), StorageError> {
        let shared = self.shared.upgrade();
        let shared = shared.ok_or_else(|| StorageError::Failed("the store is closed".into()))?;
        let (_, range_end) = shared.keys.below(&self.generation, "");
        let page = Range {
            range_end,
            limit: ENTRIES,
            revision: self.at,
            ..Range::one(from)
        };
        let page = shared.links.ask(&page).await?;
        let mut read = Vec::with_capacity(page.kvs.len());
        for kv in &page.kvs {
            if let Some(key) = shared.keys.entry_of(&kv.key) {
                let value = shared.value(&self.generation, key, kv, self.at).await?;
                read.push((key.to_owned(), value));
            }
        }
        self.read.extend(read);
        let last = page.kvs.last().filter(|_| page.more);
        self.from = last.map(|kv| {
            let mut next = kv.key.clone();
            next.push(0);
            next
        });
        Ok(())
    }
}

#[async_trait]
impl Whole for EtcdWhole {
    fn revision(&self) -> Revision {
        Revision(self.committed)
    }

    async fn next(&mut self) -> Result<Portion, StorageError> {
        // A failure takes nothing: it may be asked again.
        while self.bytes() <= PORTION
            && let Some(from) = self.from.clone()
        {
            self.read_on(from).await?;
        }
        let mut filled = Filled::default();
        while let Some((key, value)) = self.read.front()
            && filled.take(key, value)
        {
            self.read.pop_front();
        }
        Ok(filled.into_inner())
    }
}
