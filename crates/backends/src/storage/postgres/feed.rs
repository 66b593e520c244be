//! What was committed, told to the watchers of this node: each commit once, in order, whoever made
//! it.
//!
//! Two tell of commits. The writer tells of its own before it answers; the follower tells of what it
//! reads in the table of changes. Both pass here, where everything has its place behind what was
//! told before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyfold_core::ports::storage::{Change, Revision};
use tokio::sync::broadcast;
use tokio_postgres::Row;

use super::super::FEED;
use super::super::standing::Standing;
use super::failure::Failure;
use super::pool::Link;
use super::sql::{PAGE, Sql};
use super::{signed, unsigned};

/// A commit's own name, made by chance: a store that was set back and went on another way has others.
pub(super) type Origin = [u8; 16];

/// See the module.
pub(super) struct Feed {
    changes: broadcast::Sender<Change>,
    place: Mutex<Place>,
    standing: Arc<Standing>,
}

/// What was told last.
struct Place {
    revision: u64,
    /// Unknown before the first.
    origin: Option<Vec<u8>>,
}

/// A change as it was read.
struct News {
    change: Change,
    origin: Vec<u8>,
}

impl Feed {
    pub fn new(revision: u64, origin: Option<Vec<u8>>, standing: Arc<Standing>) -> Self {
        let (changes, _) = broadcast::channel(FEED);
        Self {
            changes,
            place: Mutex::new(Place { revision, origin }),
            standing,
        }
    }

    pub fn watch(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// The last commit that was told.
    pub fn at(&self) -> u64 {
        self.place().revision
    }

    /// Tells of commits that follow on `before`; false where others have to be read first.
    pub fn tell(&self, before: u64, changes: &[Change], origin: Origin) -> bool {
        let mut place = self.place();
        let Some(last) = changes.last().map(|change| change.revision.0) else {
            return true;
        };
        if place.revision != before {
            return place.revision >= last;
        }
        for change in changes {
            self.send(&mut place, change.clone(), origin.to_vec());
        }
        true
    }

    /// Reads what was committed since, and tells of it; the store's last commit.
    pub async fn catch_up(&self, link: &Link, sql: &Sql) -> Result<u64, Failure> {
        loop {
            let after = self.at();
            let rows = link.query(&sql.news, &[&signed(after)]).await?;
            let mut news = Vec::with_capacity(rows.len());
            let mut last = 0;
            for row in &rows {
                last = unsigned(row.try_get(0)?);
                news.extend(read(row)?);
            }
            let whole = news.len() < PAGE;
            self.take(after, last, news);
            if whole {
                return Ok(last);
            }
        }
    }

    /// A new connection: is this still the store that was followed? One that was set back (by a
    /// standby that had not heard everything, or from a backup) has gone on another way.
    pub async fn verify(&self, link: &Link, sql: &Sql) -> Result<(), Failure> {
        let (revision, known) = {
            let place = self.place();
            (place.revision, place.origin.clone())
        };
        let Some(known) = known else { return Ok(()) };
        let found = link.optional(&sql.origin, &[&signed(revision)]).await?;
        let found: Option<Vec<u8>> = found.map(|row| row.try_get(0)).transpose()?;
        if found.as_ref() != Some(&known) {
            let last = link.one(&sql.revision, &[]).await?;
            self.lose(unsigned(last.try_get(0)?));
        }
        Ok(())
    }

    /// It is not known what has changed: everything may have.
    pub fn lose(&self, revision: u64) {
        tracing::warn!(
            revision,
            "changes of the store were missed: nothing that is cached counts"
        );
        self.standing.reset(revision);
        let mut place = self.place();
        let change = Change {
            revision: Revision(revision),
            keys: Vec::new(),
            replaced: true,
        };
        self.send_as(&mut place, change, None);
    }

    /// Takes what was read after a commit, when the store's last one was `last`.
    fn take(&self, after: u64, last: u64, news: Vec<News>) {
        let mut place = self.place();
        let mut is_whole = true;
        for News { change, origin } in news {
            let revision = change.revision.0;
            if revision <= place.revision {
                continue;
            }
            is_whole = place.revision.checked_add(1) == Some(revision);
            if !is_whole {
                break;
            }
            self.send(&mut place, change, origin);
        }
        // Forgotten before they were read, or set back.
        let gap = !is_whole || (place.revision < last && place.revision == after);
        drop(place);
        if gap || last < after {
            self.lose(last);
        }
    }

    fn send(&self, place: &mut Place, change: Change, origin: Vec<u8>) {
        self.send_as(place, change, Some(origin));
    }

    fn send_as(&self, place: &mut Place, change: Change, origin: Option<Vec<u8>>) {
        let revision = change.revision.0;
        place.revision = revision;
        place.origin = origin;
        // No watcher is no error.
        let _ = self.changes.send(change);
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The change of a row; `None` where there is none.
fn read(row: &Row) -> Result<Option<News>, Failure> {
    let Some(revision) = row.try_get::<_, Option<i64>>(1)? else {
        return Ok(None);
    };
    Ok(Some(News {
        origin: row.try_get(2)?,
        change: Change {
            revision: Revision(unsigned(revision)),
            keys: row.try_get(3)?,
            replaced: row.try_get(4)?,
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn feed(at: u64) -> (Feed, broadcast::Receiver<Change>) {
        let standing = Arc::new(Standing::new(Duration::from_secs(1), at));
        let feed = Feed::new(at, Some(vec![at as u8]), standing);
        let watcher = feed.watch();
        (feed, watcher)
    }

    fn change(revision: u64) -> Change {
        Change {
            revision: Revision(revision),
            keys: vec![format!("k{revision}")],
            replaced: false,
        }
    }

    fn news(revisions: std::ops::RangeInclusive<u64>) -> Vec<News> {
        let read = |revision| News {
            change: change(revision),
            origin: vec![revision as u8],
        };
        revisions.map(read).collect()
    }

    fn heard(watcher: &mut broadcast::Receiver<Change>) -> Vec<(u64, bool)> {
        std::iter::from_fn(|| watcher.try_recv().ok())
            .map(|change| (change.revision.0, change.replaced))
            .collect()
    }

    #[test]
    fn each_commit_is_told_once_whoever_tells_first() {
        let (feed, mut watcher) = feed(3);
        assert!(feed.tell(3, &[change(4), change(5)], [1; 16]));
        feed.take(3, 7, news(4..=7));
        assert!(feed.tell(6, &[change(7)], [1; 16]));
        assert!(!feed.tell(8, &[change(9)], [1; 16]));
        feed.take(7, 9, news(8..=9));
        let told = [4, 5, 6, 7, 8, 9].map(|revision| (revision, false));
        assert_eq!(heard(&mut watcher), told);
    }

    #[test]
    fn what_was_forgotten_or_set_back_is_everything() {
        let (feed, mut watcher) = feed(3);
        feed.take(3, 9, news(6..=9));
        assert_eq!(heard(&mut watcher), [(9, true)]);
        feed.take(9, 20, Vec::new());
        assert_eq!(heard(&mut watcher), [(20, true)]);
        feed.take(20, 12, Vec::new());
        assert_eq!(heard(&mut watcher), [(12, true)]);
        feed.take(12, 13, news(13..=13));
        assert_eq!(heard(&mut watcher), [(13, false)]);
    }

    #[test]
    fn an_old_reading_takes_nothing_back() {
        let (feed, mut watcher) = feed(3);
        assert!(feed.tell(3, &[change(4), change(5)], [1; 16]));
        feed.take(3, 4, news(4..=4));
        feed.take(3, 3, Vec::new());
        assert_eq!(heard(&mut watcher), [(4, false), (5, false)]);
        assert_eq!(feed.at(), 5);
    }
}
