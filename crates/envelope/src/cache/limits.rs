//! How long and how often a DEK is used before the server is asked again.

use std::time::Duration;

/// Limits of a [`DekCache`](super::DekCache). Ages count from the question that the server
/// answered, and no use makes them longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Age up to which a DEK encrypts.
    pub encrypt_age: Duration,
    /// Objects that a DEK encrypts between two answers of the server.
    pub encrypt_uses: u64,
    /// Bytes of these objects.
    pub encrypt_bytes: u64,
    /// Age up to which a DEK decrypts.
    pub decrypt_age: Duration,
    /// A DEK that decrypted nothing for so long is dropped.
    pub decrypt_idle: Duration,
    /// DEKs kept; one more drops the one that was not used for the longest time.
    pub entries: usize,
    /// For how long after its age has ended a DEK still decrypts, while the server is unreachable or
    /// sealed. Zero, the default, is never. The price: somebody who lost the right to decrypt keeps
    /// it for so long if he can keep his client from the server.
    pub offline_ttl: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            encrypt_age: Duration::from_secs(15 * 60),
            encrypt_uses: 1_000_000,
            encrypt_bytes: 1 << 40,
            decrypt_age: Duration::from_secs(5 * 60),
            decrypt_idle: Duration::from_secs(30),
            entries: 10_000,
            offline_ttl: Duration::ZERO,
        }
    }
}
