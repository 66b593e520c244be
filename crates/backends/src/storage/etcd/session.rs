//! This node's lease of etcd's, and its turn, which hangs on it: gone with the node.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Code;

use super::Shared;
use super::link::Fault;
use super::wire::{Compare, Grant, Op, Range, Revoke, Txn};

/// What the lease runs for beyond twice the time that answers may be old. A renewal of those begins
/// within a third of it, and a try, after it was kept: so it is over before the lease is.
const BEYOND: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Sessions {
    held: Mutex<Option<Session>>,
    ttl: Duration,
}

/// A lease that runs, as far as is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    lease: i64,
    /// The revision of etcd's at which the turn began.
    pub turn: i64,
    /// It was kept no earlier than this.
    kept: Instant,
}

impl Sessions {
    /// For a node whose answers may be old for `bound`: when its lease of etcd's runs out, it has
    /// answered nothing from memory for a while.
    pub fn new(bound: Duration) -> Self {
        Self {
            held: Mutex::default(),
            ttl: Duration::from_secs((2 * bound).as_secs()).saturating_add(BEYOND),
        }
    }
}

impl Shared {
    /// The session, begun where there is none.
    pub async fn session(&self) -> Result<Session, Fault> {
        let mut held = self.sessions.held.lock().await;
        match *held {
            Some(session) => Ok(session),
            None => {
                let session = self.begin().await?;
                Ok(*held.insert(session))
            }
        }
    }

    /// The same, kept a short while ago: for less than half of its time it is not.
    pub async fn kept_session(&self) -> Result<Session, Fault> {
        let session = self.session().await?;
        if session.kept.elapsed() < self.sessions.ttl / 3 {
            return Ok(session);
        }
        let begun = Instant::now();
        let is_kept = self.links.keep_alive(session.lease).await?;
        let mut held = self.sessions.held.lock().await;
        match &mut *held {
            Some(known) if known.lease == session.lease && is_kept => {
                known.kept = begun;
                Ok(*known)
            }
            Some(known) if known.lease == session.lease => {
                *held = None;
                Err(ended())
            }
            // Another one was begun meanwhile.
            Some(known) => Ok(*known),
            None => Err(ended()),
        }
    }

    /// Ends a turn: nothing that demands it is applied from the revision on that this gives.
    pub async fn new_turn(&self, old: i64) -> Result<i64, Fault> {
        let mut held = self.sessions.held.lock().await;
        if let Some(session) = &mut *held {
            if session.turn != old {
                return Ok(session.turn);
            }
            match self.put_turn(session.lease).await {
                Ok(turn) => {
                    session.turn = turn;
                    return Ok(turn);
                }
                // The lease is over.
                Err(fault) if fault.code == Code::NotFound => {}
                Err(fault) => return Err(fault),
            }
        }
        *held = None;
        let session = self.begin().await?;
        Ok(held.insert(session).turn)
    }

    /// The newest revision of etcd's while the session runs.
    pub async fn look(&self, session: Session) -> Result<u64, Fault> {
        let key = self.keys.turn(&self.identity.id);
        // With something to read: members answer what reads nothing without asking the others.
        let read = || vec![Op::range(Range::one(key.clone()))];
        let look = Txn {
            compare: vec![Compare::modified(key.clone(), session.turn)],
            success: read(),
            failure: read(),
        };
        let done = self.links.once(&look).await?;
        if !done.succeeded {
            self.new_turn(session.turn).await?;
            return Err(ended());
        }
        Ok(super::unsigned(done.revision()))
    }

    /// This node goes. Its lease runs out by itself where it can't be given back.
    pub async fn end_session(&self) {
        let held = self.sessions.held.lock().await.take();
        if let Some(Session { lease: id, .. }) = held {
            let _late = self.links.once(&Revoke { id }).await;
        }
    }

    async fn begin(&self) -> Result<Session, Fault> {
        let kept = Instant::now();
        let ttl = i64::try_from(self.sessions.ttl.as_secs()).unwrap_or(i64::MAX);
        let lease = self.links.once(&Grant { ttl }).await?.id;
        let turn = self.put_turn(lease).await?;
        Ok(Session { lease, turn, kept })
    }

    async fn put_turn(&self, lease: i64) -> Result<i64, Fault> {
        let key = self.keys.turn(&self.identity.id);
        let put = Txn {
            success: vec![Op::put_under(lease, key, Vec::new())],
            ..Txn::default()
        };
        Ok(self.links.once(&put).await?.revision())
    }
}

fn ended() -> Fault {
    Fault::new(Code::Aborted, "the node's lease of etcd's has ended")
}
