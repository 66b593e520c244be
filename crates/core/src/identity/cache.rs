//! What was read of late, so that a request of an entity's token reads no store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use super::record::Group;
use super::standing::Standing;
use crate::error::Error;

/// Entities that are kept; about a KiB each.
const ENTITIES: usize = 50_000;
/// Groups that are kept.
const GROUPS: usize = 10_000;

/// How often an entity is looked at. What is worked out when the first look ends was begun after it.
const ROUNDS: usize = 4;

pub(super) struct Caches {
    standings: Cache<String, Arc<Standing>>,
    groups: Cache<String, Arc<Group>>,
    /// Ids of entities by an alias that they had when it was looked for.
    bearers: Cache<String, Arc<str>>,
    /// Grows with every change of a group: what was worked out from groups before is void.
    generation: AtomicU64,
}

impl Caches {
    pub fn new() -> Self {
        Self {
            standings: Cache::new(ENTITIES),
            groups: Cache::new(GROUPS),
            bearers: Cache::new(ENTITIES),
            generation: AtomicU64::new(1),
        }
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What stands for an entity, worked out once for all that ask at the same time. It is not older
    /// than the question: who asks after a change does not get what others were working out before.
    pub async fn standing<F>(
        &self,
        id: &str,
        read: impl Fn() -> F,
    ) -> Result<Option<Arc<Standing>>, Error>
    where
        F: Future<Output = Result<Option<Standing>, Error>>,
    {
        let asked = self.generation();
        for _ in 0..ROUNDS {
            if let Some(standing) = self.standings.get(id) {
                if standing.generation() == self.generation() {
                    return Ok(Some(standing));
                }
                self.standings.remove(id);
            }
            match once(&self.standings, id, &read).await? {
                Some(standing) if standing.generation() < asked => {}
                answer => return Ok(answer),
            }
        }
        Err(Error::Contended)
    }

    pub async fn group<F>(
        &self,
        id: &str,
        read: impl FnOnce() -> F,
    ) -> Result<Option<Arc<Group>>, Error>
    where
        F: Future<Output = Result<Option<Group>, Error>>,
    {
        if let Some(group) = self.groups.get(id) {
            return Ok(Some(group));
        }
        once(&self.groups, id, read).await
    }

    /// Which entity had an alias of late; whether it still has it is for the caller to see.
    pub fn bearer(&self, alias: &str) -> Option<Arc<str>> {
        self.bearers.get(alias)
    }

    pub fn note_bearer(&self, alias: String, id: String) {
        self.bearers.insert(alias, id.into());
    }

    pub fn forget_entity(&self, id: &str) {
        self.standings.remove(id);
    }

    /// First the group goes, then the generation: what is worked out from now on does not see the
    /// old one, and what was worked out before does not count.
    pub fn forget_group(&self, id: &str) {
        self.groups.remove(id);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub fn clear(&self) {
        self.standings.clear();
        self.groups.clear();
        self.bearers.clear();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// One caller reads, the others wait for it. What was removed meanwhile is answered and not kept.
async fn once<T, F>(
    cache: &Cache<String, Arc<T>>,
    id: &str,
    read: impl FnOnce() -> F,
) -> Result<Option<Arc<T>>, Error>
where
    F: Future<Output = Result<Option<T>, Error>>,
{
    let place = match cache.get_value_or_guard_async(id).await {
        Ok(value) => return Ok(Some(value)),
        Err(place) => place,
    };
    let Some(value) = read().await? else {
        return Ok(None);
    };
    let value = Arc::new(value);
    let _ = place.insert(value.clone());
    Ok(Some(value))
}
