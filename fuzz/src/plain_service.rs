//! A key service that protects nothing: the wrap of a DEK is the DEK. So a file can be made and changed at will.

use keyfold_envelope::{
    Aad, KeyService, KeyVersions, Locator, RewrapItem, RewrapOutcome, ServiceError, WrappedDek,
};
use keyfold_secret::Protected;

pub struct PlainService;

impl KeyService for PlainService {
    fn wrap(
        &self,
        _: &Locator,
        dek: &Protected<32>,
        _: Option<&Aad>,
    ) -> Result<WrappedDek, ServiceError> {
        Ok(WrappedDek {
            version: 1,
            blob: dek.expose().to_vec(),
        })
    }

    fn unwrap(
        &self,
        _: &Locator,
        wrapped: &WrappedDek,
        _: Option<&Aad>,
    ) -> Result<Protected<32>, ServiceError> {
        let dek: &[u8; 32] = wrapped
            .blob
            .as_slice()
            .try_into()
            .map_err(|_| ServiceError::WrongKey)?;
        Ok(Protected::init_with(|bytes| bytes.copy_from_slice(dek)))
    }

    fn rewrap(
        &self,
        _: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        Ok(items.iter().map(|item| Ok(item.wrapped.clone())).collect())
    }

    fn versions(&self, _: &Locator) -> Result<Option<KeyVersions>, ServiceError> {
        Ok(Some(KeyVersions {
            latest: 1,
            min_decryption: 1,
        }))
    }

    fn binds_aad(&self) -> bool {
        true
    }

    fn cluster_id(&self) -> Result<String, ServiceError> {
        Ok("cluster".to_owned())
    }
}
