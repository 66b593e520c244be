//! One transaction of the writer: what it reads first, what it writes, and how it ended.

use futures_util::future::{join, join4};
use keyfold_core::ports::storage::{Batch, Change, Revision, StorageError};
use keyfold_keys::rng;
use tokio::time::timeout;

use super::failure::{ATTEMPT, Failure};
use super::feed::Origin;
use super::group::{self, Facts, Weighed};
use super::key::Columns;
use super::pool::{Link, Parameter};
use super::sql::KEPT;
use super::{Shared, signed, unsigned};

/// Revisions between two clearings of what is not kept.
const TRIM_EVERY: u64 = 1024;

/// What is answered to who asks for a commit.
pub(super) type Answer = Result<Revision, StorageError>;

/// What one transaction is for.
pub(super) enum Work<'g> {
    Group(Vec<&'g Batch>),
    Adopt(u64),
}

/// How a transaction ended that was not acknowledged.
pub(super) enum Ended {
    Undone(Failure),
    Unheard(Failure),
}

impl From<tokio_postgres::Error> for Ended {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Undone(error.into())
    }
}

/// A transaction whose COMMIT was sent.
pub(super) struct Sent {
    /// The store's revision before it.
    pub before: u64,
    pub origin: Origin,
    pub answers: Vec<Answer>,
    pub changes: Vec<Change>,
}

impl Sent {
    pub fn group(before: u64, weighed: &mut Weighed<'_>) -> Self {
        Self {
            before,
            origin: rng::bytes(),
            answers: std::mem::take(&mut weighed.verdicts),
            changes: std::mem::take(&mut weighed.changes),
        }
    }

    pub fn adopted(before: u64) -> Self {
        let revision = Revision(before.saturating_add(1));
        Self {
            before,
            origin: rng::bytes(),
            answers: vec![Ok(revision)],
            changes: vec![Change {
                revision,
                keys: Vec::new(),
                replaced: true,
            }],
        }
    }

    pub fn last(&self) -> u64 {
        let last = self.changes.last();
        last.map_or(self.before, |change| change.revision.0)
    }
}

/// Begins a transaction that nobody else commits beside; the store's revision and stage, and what
/// the checks ask for.
pub(super) async fn begin<'g>(
    shared: &Shared,
    link: &Link,
    work: &Work<'g>,
) -> Result<(u64, u64, Facts<'g>), Failure> {
    let (keys, locks) = match work {
        Work::Group(batches) => (group::keys(batches), group::locks(batches)),
        Work::Adopt(_) => Default::default(),
    };
    let begun = timeout(ATTEMPT, read(shared, link, keys, &locks)).await;
    begun.unwrap_or_else(|_| Err(Failure::silence()))
}

async fn read<'g>(
    shared: &Shared,
    link: &Link,
    keys: Vec<&'g str>,
    locks: &[&str],
) -> Result<(u64, u64, Facts<'g>), Failure> {
    let row = link.statement(&shared.sql.begin).await?;
    let found = link.statement(&shared.sql.found).await?;
    let fences = link.statement(&shared.sql.fences).await?;
    let columns: Columns<'_> = keys.iter().copied().collect();
    let client = &link.client;
    // Sent at once, in this order: each statement sees what is committed when it begins, and that
    // is all, once the row is locked.
    let (begun, row, found, fences) = join4(
        client.batch_execute("BEGIN"),
        client.query_one(&row, &[]),
        async {
            match columns.is_empty() {
                true => Ok(Vec::new()),
                false => {
                    client
                        .query(&found, &[&columns.heads, &columns.digests])
                        .await
                }
            }
        },
        async {
            match locks.is_empty() {
                true => Ok(Vec::new()),
                false => client.query(&fences, &[&locks]).await,
            }
        },
    )
    .await;
    begun?;
    let row = row?;
    let mut facts = Facts::default();
    for found in &found? {
        let (number, revision): (i64, i64) = (found.try_get(0)?, found.try_get(1)?);
        let number = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let Some(key) = number.and_then(|number| keys.get(number)) else {
            return Err(Failure::strange("a row that was not asked for"));
        };
        facts.entries.insert(key, unsigned(revision));
    }
    for held in &fences? {
        facts
            .locks
            .insert(held.try_get(0)?, unsigned(held.try_get(1)?));
    }
    Ok((unsigned(row.try_get(0)?), unsigned(row.try_get(1)?), facts))
}

/// Writes what was weighed, and commits.
pub(super) async fn write(
    shared: &Shared,
    link: &Link,
    sent: &Sent,
    weighed: &Weighed<'_>,
) -> Result<(), Ended> {
    let writes = weighed.writes();
    let revisions = sent.changes.iter().map(|change| signed(change.revision.0));
    let revisions: Vec<i64> = revisions.collect();
    // No key has a control character.
    let keys: Vec<String> = sent
        .changes
        .iter()
        .map(|change| change.keys.join("\n"))
        .collect();
    let (last, origin) = (signed(sent.last()), sent.origin.as_slice());
    if sent.before / TRIM_EVERY != sent.last() / TRIM_EVERY {
        let trimmed = signed(sent.last().saturating_sub(KEPT));
        link.execute(&shared.sql.trim, &[&trimmed]).await?;
    }
    let statement = link.statement(&shared.sql.write).await?;
    let parameters: [Parameter<'_>; 12] = [
        &writes.gone.heads,
        &writes.gone.digests,
        &writes.put.heads,
        &writes.put.digests,
        &writes.put.rests,
        &writes.values,
        &writes.revisions,
        &revisions,
        &keys,
        &origin,
        &last,
        &shared.channel,
    ];
    finish(link, link.client.execute(&statement, &parameters)).await
}

/// Puts a stage in the place of everything, and commits.
pub(super) async fn adopt(
    shared: &Shared,
    link: &Link,
    sent: &Sent,
    stage: u64,
) -> Result<(), Ended> {
    let (last, origin) = (signed(sent.last()), sent.origin.as_slice());
    let stage = signed(stage);
    let Shared { sql, channel, .. } = shared;
    // It reads and writes everything: along no index, and for as long as it takes.
    let settings = "SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on; \
        SET LOCAL plan_cache_mode = force_custom_plan";
    link.client.batch_execute(settings).await?;
    link.execute(&sql.clear, &[]).await?;
    link.execute(&sql.adopt, &[&last, &stage]).await?;
    link.execute(&sql.unstage, &[]).await?;
    let statement = link.statement(&sql.adopted).await?;
    let parameters: [Parameter<'_>; 3] = [&last, &origin, channel];
    finish(link, link.client.execute(&statement, &parameters)).await
}

/// The last statement and COMMIT, sent at once. Only where both are answered well it is committed: a
/// statement that failed turns COMMIT into its opposite, and that is answered well, too.
async fn finish(
    link: &Link,
    statement: impl Future<Output = Result<u64, tokio_postgres::Error>>,
) -> Result<(), Ended> {
    let (done, committed) = join(statement, link.client.batch_execute("COMMIT")).await;
    match (done, committed) {
        (Ok(1), Ok(())) => Ok(()),
        // Whoever removed the store's row has removed the store.
        (Ok(_), Ok(())) => Err(Ended::Undone(Failure::strange(
            "no row about the store any more",
        ))),
        (Err(error), _) if error.as_db_error().is_some() => Err(error.into()),
        (Err(error), _) | (_, Err(error)) => Err(Ended::Unheard(error.into())),
    }
}

pub(super) async fn rollback(link: &Link) -> Result<(), Failure> {
    Ok(link.client.batch_execute("ROLLBACK").await?)
}
