//! The port to the server that holds the KEKs.

use keyfold_secret::Protected;

use crate::locator::Locator;

/// Additional data of a wrap: SHA-256 of the envelope's prelude.
pub type Aad = [u8; 32];

/// A DEK wrapped by one version of a KEK.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WrappedDek {
    /// Version of the KEK, from 1.
    pub version: u32,
    /// The wrap: the decoded base64 part of `vault:v<version>:<base64>`.
    pub blob: Vec<u8>,
}

/// One wrap to move to the newest version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RewrapItem {
    /// The wrap as it stands.
    pub wrapped: WrappedDek,
    /// What it was bound to, where it was.
    pub aad: Option<Aad>,
}

/// What became of one [`RewrapItem`].
pub type RewrapOutcome = Result<WrappedDek, ServiceError>;

/// Which versions of a KEK are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyVersions {
    /// The newest version: what a wrap is made with.
    pub latest: u32,
    /// The lowest version that still unwraps.
    pub min_decryption: u32,
}

/// Wraps and unwraps DEKs. Implemented on a Vault-compatible HTTP server by the `client` crate.
///
/// Calls block. One value may be used by several threads at once.
pub trait KeyService: Send + Sync {
    /// Wraps `dek` by the newest version of the key at `locator`.
    fn wrap(
        &self,
        locator: &Locator,
        dek: &Protected<32>,
        aad: Option<&Aad>,
    ) -> Result<WrappedDek, ServiceError>;

    /// Unwraps a DEK. `aad` must be what it was wrapped with.
    fn unwrap(
        &self,
        locator: &Locator,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Protected<32>, ServiceError>;

    /// Moves many wraps under the newest version of one key, without this side seeing a DEK:
    /// `transit/rewrap` only. One outcome an item, in order; `Err` when the call as a whole failed.
    fn rewrap(
        &self,
        locator: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError>;

    /// Unwraps many DEKs. One outcome an item, in order; `Err` when the call as a whole failed.
    fn unwrap_many(
        &self,
        locator: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<Result<Protected<32>, ServiceError>>, ServiceError> {
        let mut outcomes = Vec::with_capacity(items.len());
        for item in items {
            let outcome = self.unwrap(locator, &item.wrapped, item.aad.as_ref());
            if let Err(error @ (ServiceError::Unreachable(_) | ServiceError::Sealed)) = outcome {
                return Err(error);
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Wraps many DEKs by the newest version of the key. One outcome an item, in order; `Err` when
    /// the call as a whole failed.
    fn wrap_many(
        &self,
        locator: &Locator,
        items: &[(Protected<32>, Option<Aad>)],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        let mut outcomes = Vec::with_capacity(items.len());
        for (dek, aad) in items {
            let outcome = self.wrap(locator, dek, aad.as_ref());
            if let Err(error @ (ServiceError::Unreachable(_) | ServiceError::Sealed)) = outcome {
                return Err(error);
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Moves many wraps to another key of the same server, bound to what they were bound to. As it
    /// stands here the DEKs come through this side; a server that can do it alone is asked to.
    fn rewrap_to(
        &self,
        from: &Locator,
        to: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        let deks = self.unwrap_many(from, items)?;
        let wrap = |deks: &[_]| self.wrap_many(to, deks);
        wrap_opened(wrap, deks, items.iter().map(|item| item.aad))
    }

    /// How many items a call takes best. A stock server refuses bodies of more than 1,000 texts.
    fn batch(&self) -> usize {
        256
    }

    /// The versions of the key, or `None` where the token may not read them.
    fn versions(&self, locator: &Locator) -> Result<Option<KeyVersions>, ServiceError>;

    /// True where the server takes `associated_data` on rewrap (Keyfold does; Vault and OpenBao do
    /// not). Decides whether new slots are bound to their file by the wrap.
    fn binds_aad(&self) -> bool;

    /// The server's cluster id, part of a slot's `kek_id`.
    fn cluster_id(&self) -> Result<String, ServiceError>;
}

/// Wraps what could be unwrapped, by `wrap`; an item that could not keeps its error.
pub fn wrap_opened(
    wrap: impl FnOnce(&[(Protected<32>, Option<Aad>)]) -> Result<Vec<RewrapOutcome>, ServiceError>,
    deks: Vec<Result<Protected<32>, ServiceError>>,
    aads: impl Iterator<Item = Option<Aad>>,
) -> Result<Vec<RewrapOutcome>, ServiceError> {
    let mut opened = Vec::with_capacity(deks.len());
    let mut errors = Vec::with_capacity(deks.len());
    for (dek, aad) in deks.into_iter().zip(aads) {
        match dek {
            Ok(dek) => {
                opened.push((dek, aad));
                errors.push(None);
            }
            Err(error) => errors.push(Some(error)),
        }
    }
    let mut wrapped = match opened.is_empty() {
        true => Vec::new(),
        false => wrap(&opened)?,
    }
    .into_iter();
    let missing = || Err(ServiceError::Other("no answer for an item".to_owned()));
    let outcomes = errors.into_iter().map(|error| match error {
        Some(error) => Err(error),
        None => wrapped.next().unwrap_or_else(missing),
    });
    Ok(outcomes.collect())
}

/// Why the key service gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The token's policies do not allow it (403).
    #[error("the server denies this token the use of the key")]
    Denied,
    /// There is no such key, or no engine at its mount (404).
    #[error("the server has no such key")]
    NotFound,
    /// The wrap's version is below `min_decryption_version`.
    #[error("the wrap's key version is below the lowest one the server still opens")]
    BelowMinimum,
    /// The key did not wrap this blob, or not with this additional data.
    #[error("the server's key does not open this wrap")]
    WrongKey,
    /// No connection, or none that lasted until the answer.
    #[error("the server is unreachable: {0}")]
    Unreachable(String),
    /// The server is sealed.
    #[error("the server is sealed")]
    Sealed,
    /// Any other answer. The text is the server's own and holds no request value.
    #[error("the server answered: {0}")]
    Other(String),
}
