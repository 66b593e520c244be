//! What a cache did since it was made.

/// Counts of a [`DekCache`](super::DekCache), each since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Calls answered from the cache.
    pub hits: u64,
    /// Calls that asked the server, or waited for one that did.
    pub misses: u64,
    /// DEKs asked for again before their age ended, with success.
    pub refreshes: u64,
    /// The same without an answer; the DEK stays until its age ends.
    pub failed_refreshes: u64,
    /// DEKs dropped for want of room.
    pub evictions: u64,
    /// DEKs dropped because the server no longer gives them.
    pub refusals: u64,
    /// Calls answered, within `offline_ttl`, by a DEK whose age had ended.
    pub offline_uses: u64,
    /// DEKs in the cache now.
    pub entries: u64,
}
