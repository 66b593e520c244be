//! Follows the store for this node: hears of commits, renews the lease, tells others how far it is.

use std::sync::Weak;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::failure::{ATTEMPT, Failure};
use super::pool::{Link, Parameter};
use super::{Shared, signed};

/// What nodes tell each other; a plain number is a commit, which the database tells of.
const ASK: &str = "ask ";
const DID: &str = "did";
/// A beat is given so much time at least, however short leases are.
const LEAST: Duration = Duration::from_secs(1);

/// Ends with the store.
pub(super) async fn follow(shared: Weak<Shared>) {
    let mut follower = Follower::default();
    loop {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let standing = shared.standing.clone();
        let beat = standing.beat();
        // To connect may take longer than a lease runs, since there may be several hosts.
        let turn = timeout(ATTEMPT, follower.turn(&shared)).await;
        drop(shared);
        match turn.unwrap_or_else(|_| Err(Failure::silence())) {
            Ok(()) => {
                follower.found();
                let _either = timeout(beat, standing.wake.notified()).await;
            }
            Err(failure) => {
                follower.lost(failure);
                tokio::time::sleep(beat).await;
            }
        }
    }
}

/// The payload that asks other nodes to tell when they have heard of a commit.
pub(super) fn ask(revision: u64) -> String {
    format!("{ASK}{revision}")
}

#[derive(Default)]
struct Follower {
    link: Option<Link>,
    /// When the lease was renewed last.
    renewed: Option<Instant>,
    is_lost: bool,
}

impl Follower {
    async fn turn(&mut self, shared: &Shared) -> Result<(), Failure> {
        // Taken out, so that a turn which fails or is given up closes it.
        let link = match self.link.take().filter(|link| !link.client.is_closed()) {
            Some(link) => link,
            None => listen(shared).await?,
        };
        let standing = &shared.standing;
        let patience = standing.bound.max(LEAST);
        let beaten = timeout(patience, self.beat(shared, link)).await;
        self.link = Some(beaten.unwrap_or_else(|_| Err(Failure::silence()))?);
        Ok(())
    }

    /// A few round trips, which are of no use when they take longer than a lease runs.
    async fn beat(&mut self, shared: &Shared, link: Link) -> Result<Link, Failure> {
        let standing = &shared.standing;
        let begun = Instant::now();
        let due = |last: Instant| begun.saturating_duration_since(last) >= standing.beat();
        let renews = standing.may_renew() && self.renewed.is_none_or(due);
        if renews {
            renew(shared, &link, begun).await?;
        }
        let last = shared.feed.catch_up(&link, &shared.sql).await?;
        if renews {
            // What the store held after the renewal was there for others to see. Who asked for the
            // leases before that has committed before that, and it is among what was read.
            standing.renewed(last, begun + standing.bound);
            self.renewed = Some(begun);
        }
        if let Some(at) = standing.to_tell() {
            let (id, at_row) = (&shared.id, signed(at));
            let told: [Parameter<'_>; 4] = [id, &at_row, &shared.channel, &DID];
            link.query(&shared.sql.acknowledge, &told).await?;
            standing.has_told(at);
        }
        Ok(link)
    }

    fn found(&mut self) {
        if std::mem::take(&mut self.is_lost) {
            tracing::info!("the store's changes are followed again");
        }
    }

    fn lost(&mut self, failure: Failure) {
        let reason = failure.text();
        match std::mem::replace(&mut self.is_lost, true) {
            false => tracing::warn!(
                reason,
                "the store's changes can't be followed: answers from memory end with the lease"
            ),
            true => tracing::debug!(reason, "the store's changes can't be followed yet"),
        }
    }
}

async fn listen(shared: &Shared) -> Result<Link, Failure> {
    let weak = shared.own.clone();
    let heard = move |payload: &str| {
        if let Some(shared) = weak.upgrade() {
            hear(&shared, payload);
        }
    };
    let link = Link::listening(&shared.server, heard).await?;
    let listen = format!("LISTEN \"{}\"", shared.channel);
    link.client.batch_execute(&listen).await?;
    shared.feed.verify(&link, &shared.sql).await?;
    link.execute(&shared.sql.forget_nodes, &[]).await?;
    Ok(link)
}

fn hear(shared: &Shared, payload: &str) {
    let standing = &shared.standing;
    if let Some(revision) = payload.strip_prefix(ASK) {
        if let Ok(revision) = revision.parse() {
            standing.ask(revision);
        }
    } else if payload == DID {
        standing.heard.notify_waiters();
    } else if payload
        .parse()
        .is_ok_and(|revision: u64| revision > shared.feed.at())
    {
        standing.wake.notify_one();
    }
}

/// Holds a lease by the database's word.
pub(super) async fn renew(shared: &Shared, link: &Link, begun: Instant) -> Result<(), Failure> {
    let Shared {
        id,
        host,
        address,
        version,
        ..
    } = shared;
    let seconds = shared.standing.bound.as_secs_f64();
    let applied = signed(shared.standing.applied());
    let lease: [Parameter<'_>; 6] = [id, host, address, version, &seconds, &applied];
    let row = link.one(&shared.sql.renew, &lease).await?;
    let reading = row.try_get(0)?;
    shared.clock(|clock| clock.read(reading, begun, Instant::now()));
    Ok(())
}
