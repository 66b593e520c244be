//! The other nodes on this store.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keyfold_core::ports::nodes::{Member, Nodes, Position};
use keyfold_core::ports::storage::{Revision, StorageError};
use tokio::time::timeout;
use tonic::Code;

use super::super::failure::Tries;
use super::link::{ATTEMPT, Fault};
use super::wire::{Compare, Op, Txn};
use super::{Etcd, Shared, unsigned};

#[async_trait]
impl Nodes for Etcd {
    async fn join(&self) -> Result<(), StorageError> {
        let mut tries = Tries::new();
        loop {
            match self.shared.join().await {
                Ok(()) => return Ok(()),
                Err(fault) => tries.again(fault.into()).await?,
            }
        }
    }

    fn lease(&self) -> Instant {
        self.shared.standing.lease()
    }

    fn applied(&self, revision: Revision) {
        self.shared.standing.apply(revision.0);
    }

    async fn settled(&self, revision: Revision, patience: Duration) -> Result<(), StorageError> {
        let settling = self.shared.settled(revision.0);
        timeout(patience, settling).await.map_err(|_| {
            StorageError::Failed("other nodes have not heard of a change in time".into())
        })
    }

    async fn reached(&self, revision: Revision, patience: Duration) -> bool {
        self.shared.standing.reached(revision.0, patience).await
    }

    fn at(&self) -> Revision {
        Revision(self.shared.standing.newest())
    }

    fn position(&self) -> Position {
        self.shared.standing.position(&self.shared.identity.id)
    }

    async fn members(&self) -> Result<Vec<Member>, StorageError> {
        let found = {
            let mut tries = Tries::new();
            loop {
                match self.shared.found().await {
                    Ok(found) => break found,
                    Err(fault) => tries.again(fault.into()).await?,
                }
            }
        };
        let own = &self.shared.identity.id;
        let members = found.members.iter();
        Ok(members
            .filter(|(_, known)| !known.is_forgotten())
            .filter_map(|(id, known)| known.member(id, id == own))
            .collect())
    }

    async fn leave(&self) {
        let shared = &self.shared;
        shared.standing.leave();
        shared.joined.store(false, Ordering::Release);
        let told = shared.tell(shared.standing.applied()).await;
        if let Err(fault) = told {
            // Until it is, others wait for this node, for no longer than its lease could have run.
            tracing::debug!(reason = &*fault.text, "the lease was not given back");
        }
    }
}

impl Shared {
    async fn join(&self) -> Result<(), Fault> {
        self.joined.store(true, Ordering::Release);
        // Word that it leaves may still be on its way: that demands the turn before this one.
        let session = self.kept_session().await?;
        self.new_turn(session.turn).await?;
        // First the others wait for this node, then it knows what was committed before, then it
        // answers.
        let joined = unsigned(self.tell(self.standing.applied()).await?);
        if !self.feed.reached(joined, ATTEMPT).await {
            self.rewatch.notify_one();
            return Err(Fault::new(Code::Unavailable, "the watch is behind"));
        }
        self.standing.apply(self.feed.told());
        self.renew().await?;
        self.standing.join();
        self.forget().await
    }

    /// Waits until no other node can answer with what was before a commit. A lease that was renewed
    /// before the commit is over after the bound; one that is renewed later is of a node that has
    /// heard of it. Nodes that say so earlier, and those that are gone, are not waited for.
    async fn settled(&self, revision: u64) {
        self.heard_of(revision, self.standing.bound).await;
    }

    /// Waits until all other nodes that answer have told that they have heard of a commit, or until
    /// it was long enough.
    pub async fn heard_of(&self, revision: u64, patience: Duration) {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let mut heard = std::pin::pin!(self.standing.heard.notified());
            heard.as_mut().enable();
            let own = &self.identity.id;
            let is_known = self.feed.seen() >= revision;
            let waits = self.feed.members(|members| {
                let mut others = members.iter().filter(|(id, _)| *id != own);
                others.any(|(_, known)| known.is_behind(revision))
            });
            if is_known && !waits {
                return;
            }
            if tokio::time::timeout_at(until, heard).await.is_err() {
                return;
            }
        }
    }

    /// Leaves word of this node for the others; the revision of etcd's that this has.
    pub async fn tell(&self, applied: u64) -> Result<i64, Fault> {
        let id = &self.identity.id;
        let turn = self.session().await?.turn;
        // Read after the turn: whoever joins says so first, and takes another turn then.
        let joined = self.joined.load(Ordering::Acquire);
        let record = self.identity.record(joined, applied);
        let put = Txn {
            compare: vec![Compare::modified(self.keys.turn(id), turn)],
            success: vec![Op::put(self.keys.node(id), record.to_bytes())],
            failure: Vec::new(),
        };
        let done = self.links.once(&put).await?;
        if !done.succeeded {
            self.new_turn(turn).await?;
            return Err(Fault::new(Code::Aborted, "the node's turn has ended"));
        }
        Ok(done.revision())
    }

    /// Others take this node for one that answers, and it has left.
    pub fn seems_joined(&self) -> bool {
        let own = &self.identity.id;
        !self.joined.load(Ordering::Acquire)
            && self.feed.members(|members| {
                let record = members.get(own).and_then(|known| known.record.as_ref());
                record.is_some_and(|record| record.joined)
            })
    }

    /// Forgets nodes that are long gone.
    async fn forget(&self) -> Result<(), Fault> {
        let gone: Vec<String> = self.feed.members(|members| {
            let gone = members.iter().filter(|(_, known)| known.is_forgotten());
            gone.map(|(id, _)| id.clone()).collect()
        });
        for id in gone {
            let delete = Txn {
                success: vec![Op::delete(self.keys.node(&id))],
                ..Txn::default()
            };
            self.links.once(&delete).await?;
        }
        Ok(())
    }
}
