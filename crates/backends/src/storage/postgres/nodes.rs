//! The other nodes on this store.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use keyfold_core::ports::nodes::{Member, Nodes, Position};
use keyfold_core::ports::storage::{Revision, StorageError};
use tokio::time::{sleep, timeout};

use super::failure::{ATTEMPT, Failure, Tries};
use super::follow;
use super::{Postgres, Shared, signed, unsigned};

/// Longest time between two looks at who is behind: what others tell comes sooner.
const LOOK: Duration = Duration::from_millis(50);

#[async_trait]
impl Nodes for Postgres {
    async fn join(&self) -> Result<(), StorageError> {
        let mut tries = Tries::new();
        loop {
            let attempt = timeout(ATTEMPT, self.shared.join()).await;
            match attempt.unwrap_or_else(|_| Err(Failure::silence())) {
                Ok(()) => return Ok(()),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    fn lease(&self) -> Instant {
        self.shared.standing.lease()
    }

    fn applied(&self, revision: Revision) {
        // What was told before the store was set back is no revision of this one.
        let told = self.shared.feed.at();
        self.shared.standing.apply(revision.0.min(told));
    }

    async fn settled(&self, revision: Revision, patience: Duration) -> Result<(), StorageError> {
        let settling = self.shared.settled(revision.0);
        timeout(patience, settling).await.unwrap_or_else(|_| {
            Err(StorageError::Failed(
                "other nodes have not heard of a change in time".into(),
            ))
        })
    }

    async fn reached(&self, revision: Revision, patience: Duration) -> bool {
        self.shared.standing.reached(revision.0, patience).await
    }

    fn at(&self) -> Revision {
        Revision(self.shared.standing.newest())
    }

    fn position(&self) -> Position {
        self.shared.standing.position(&self.shared.id)
    }

    async fn members(&self) -> Result<Vec<Member>, StorageError> {
        let mut tries = Tries::new();
        loop {
            let attempt = timeout(ATTEMPT, self.shared.members()).await;
            match attempt.unwrap_or_else(|_| Err(Failure::silence())) {
                Ok(members) => return Ok(members),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn leave(&self) {
        self.shared.standing.leave();
        let left = timeout(self.shared.standing.bound, self.shared.leave()).await;
        if let Err(failure) = left.unwrap_or_else(|_| Err(Failure::silence())) {
            // The lease runs out by itself.
            tracing::debug!(reason = failure.text(), "the lease was not given back");
        }
    }
}

impl Shared {
    /// What is read into memory from now on has all that is committed by now, and the lease was there
    /// for others to see before.
    async fn join(&self) -> Result<(), Failure> {
        let lent = self.pool.lend(&self.server).await?;
        let begun = Instant::now();
        follow::renew(self, &lent.link, begun).await?;
        let row = lent.link.one(&self.sql.revision, &[]).await?;
        let revision = unsigned(row.try_get(0)?);
        lent.give_back();
        self.standing.apply(revision);
        self.standing.renewed(revision, begun + self.standing.bound);
        self.standing.join();
        Ok(())
    }

    async fn settled(&self, revision: u64) -> Result<(), StorageError> {
        let mut tries = Tries::new();
        let mut has_asked = false;
        loop {
            let heard = self.standing.heard.notified();
            match self.behind(revision, !has_asked).await {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    has_asked = true;
                    let _either = timeout(LOOK, heard).await;
                }
                Err(failure) => {
                    has_asked = false;
                    tries.again(failure).await?;
                }
            }
        }
    }

    /// How many others have a lease and have not heard of a commit; those are asked to tell.
    async fn behind(&self, revision: u64, asks: bool) -> Result<i64, Failure> {
        let lent = self.pool.lend(&self.server).await?;
        let row_revision = signed(revision);
        let begun = Instant::now();
        let row = lent
            .link
            .one(&self.sql.behind, &[&self.id, &row_revision])
            .await?;
        let (behind, reading): (i64, f64) = (row.try_get(0)?, row.try_get(1)?);
        self.clock(|clock| clock.read(reading, begun, Instant::now()));
        if behind > 0 && asks {
            let notify = "SELECT pg_notify($1::text, $2::text)";
            let payload = follow::ask(revision);
            lent.link.query(notify, &[&self.channel, &payload]).await?;
        }
        lent.give_back();
        let doubt = self.clock(|clock| clock.doubt());
        if let Some(until) = doubt.filter(|_| behind == 0) {
            // Leases may seem over that are not. None of before runs for longer than this.
            sleep(until.saturating_duration_since(Instant::now())).await;
        }
        Ok(behind)
    }

    async fn members(&self) -> Result<Vec<Member>, Failure> {
        let lent = self.pool.lend(&self.server).await?;
        let rows = lent.link.query(&self.sql.members, &[]).await?;
        lent.give_back();
        let mut members = Vec::with_capacity(rows.len());
        for row in &rows {
            let id: String = row.try_get(0)?;
            members.push(Member {
                own: id == self.id,
                id,
                host: row.try_get(1)?,
                address: row.try_get(2)?,
                version: row.try_get(3)?,
                alive: row.try_get(4)?,
                applied: Revision(unsigned(row.try_get(5)?)),
            });
        }
        Ok(members)
    }

    async fn leave(&self) -> Result<(), Failure> {
        let lent = self.pool.lend(&self.server).await?;
        lent.link.execute(&self.sql.leave, &[&self.id]).await?;
        lent.give_back();
        Ok(())
    }
}
