//! [`CachingKeyService`]: a key service that remembers what it unwrapped.

use std::sync::Arc;

use keyfold_secret::Protected;

use super::counters::CacheCounters;
use super::dek_cache::DekCache;
use super::id::{CacheId, Partition, Purpose};
use super::limits::CacheLimits;
use super::table::Load;
use crate::key_service::{
    Aad, KeyService, KeyVersions, RewrapItem, RewrapOutcome, ServiceError, WrappedDek,
};
use crate::locator::Locator;
use crate::slot::kek_id;

/// Answers [`KeyService::unwrap`] out of a [`DekCache`] where it may, and passes everything else on,
/// also what is asked for in bulk: a run over many wraps meets each of them once.
///
/// A wrap is never answered from memory: it is of a DEK that the server has not seen.
pub struct CachingKeyService {
    keys: Arc<dyn KeyService>,
    cache: Arc<DekCache<Protected<32>>>,
    partition: Partition,
}

impl CachingKeyService {
    /// A cache of its own over `keys`, which act for the identity `partition`.
    #[must_use]
    pub fn new(keys: Arc<dyn KeyService>, partition: Partition, limits: CacheLimits) -> Self {
        Self::with_cache(keys, partition, DekCache::new(limits))
    }

    /// Over `keys`, with a cache that other identities may share.
    #[must_use]
    pub fn with_cache(
        keys: Arc<dyn KeyService>,
        partition: Partition,
        cache: Arc<DekCache<Protected<32>>>,
    ) -> Self {
        Self {
            keys,
            cache,
            partition,
        }
    }

    /// What the cache did so far.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        self.cache.counters()
    }
}

impl KeyService for CachingKeyService {
    fn wrap(
        &self,
        locator: &Locator,
        dek: &Protected<32>,
        aad: Option<&Aad>,
    ) -> Result<WrappedDek, ServiceError> {
        self.keys.wrap(locator, dek, aad)
    }

    fn unwrap(
        &self,
        locator: &Locator,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Protected<32>, ServiceError> {
        let kek_id = kek_id(&self.keys.cluster_id()?, locator);
        let partition = &self.partition;
        let id = CacheId::new(Purpose::Decrypt, partition, &kek_id, wrapped, aad, &[]);
        let dek = self.cache.fetch(id, Load::default(), || {
            let (keys, locator) = (Arc::clone(&self.keys), locator.clone());
            let (wrapped, aad) = (wrapped.clone(), aad.copied());
            Box::new(move || keys.unwrap(&locator, &wrapped, aad.as_ref()))
        })?;
        Ok(Protected::init_with(|copy| {
            copy.copy_from_slice(dek.expose());
        }))
    }

    fn rewrap(
        &self,
        locator: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        self.keys.rewrap(locator, items)
    }

    fn unwrap_many(
        &self,
        locator: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<Result<Protected<32>, ServiceError>>, ServiceError> {
        self.keys.unwrap_many(locator, items)
    }

    fn wrap_many(
        &self,
        locator: &Locator,
        items: &[(Protected<32>, Option<Aad>)],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        self.keys.wrap_many(locator, items)
    }

    fn rewrap_to(
        &self,
        from: &Locator,
        to: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        self.keys.rewrap_to(from, to, items)
    }

    fn batch(&self) -> usize {
        self.keys.batch()
    }

    fn versions(&self, locator: &Locator) -> Result<Option<KeyVersions>, ServiceError> {
        self.keys.versions(locator)
    }

    fn binds_aad(&self) -> bool {
        self.keys.binds_aad()
    }

    fn cluster_id(&self) -> Result<String, ServiceError> {
        self.keys.cluster_id()
    }
}
