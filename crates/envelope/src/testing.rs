//! A key service of this process, for the tests: transit as a server has it, and switches.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use aws_lc_rs::aead::{AES_256_GCM, Aad as AeadAad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use keyfold_secret::Protected;

use crate::context::Context;
use crate::encrypt::{EncryptOptions, encrypt_file};
use crate::header::Prelude;
use crate::key_service::{
    Aad, KeyService, KeyVersions, RewrapItem, RewrapOutcome, ServiceError, WrappedDek,
};
use crate::labels::Labels;
use crate::locator::Locator;
use crate::progress::NoProgress;
use crate::recipient::TransitKey;

/// How often each call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) unwrap: u64,
    pub(crate) rewrap: u64,
    pub(crate) rewrap_items: u64,
}

pub(crate) struct Service {
    binds_aad: bool,
    state: Mutex<State>,
}

struct State {
    versions: Vec<[u8; 32]>,
    min_decryption: u32,
    failure: Option<ServiceError>,
    hides_versions: bool,
    cluster: String,
    batch: usize,
    calls: Calls,
}

pub(crate) fn locator() -> Locator {
    "transit/payments".parse().unwrap()
}

/// Makes an envelope of `plaintext` in `dir`.
pub(crate) fn envelope(service: &Service, dir: &Path, name: &str, plaintext: &[u8]) -> PathBuf {
    let (input, output) = (dir.join(".plain"), dir.join(name));
    std::fs::write(&input, plaintext).unwrap();
    let options = EncryptOptions::default();
    let context = Context::new();
    encrypt_file(
        &[&TransitKey::new(service, &locator())],
        &context,
        &input,
        &output,
        &options,
        &NoProgress,
    )
    .unwrap();
    std::fs::remove_file(&input).unwrap();
    output
}

/// The prelude of the envelope with this object id.
pub(crate) fn prelude(object: u8) -> Prelude {
    Prelude::new([object; 16], &Context::new(), &Labels::default()).unwrap()
}

impl Service {
    /// A Keyfold server with one version of one key.
    pub(crate) fn new() -> Self {
        let state = State {
            versions: Vec::new(),
            min_decryption: 1,
            failure: None,
            hides_versions: false,
            cluster: "cluster".to_owned(),
            batch: 256,
            calls: Calls::default(),
        };
        let service = Self {
            binds_aad: true,
            state: Mutex::new(state),
        };
        service.rotate();
        service
    }

    /// A stock Vault or OpenBao: no additional data.
    pub(crate) fn unbound() -> Self {
        Self {
            binds_aad: false,
            ..Self::new()
        }
    }

    /// A server whose key is the same in each process.
    pub(crate) fn fixed() -> Self {
        let service = Self::new();
        service.state().versions = vec![[7; 32]];
        service
    }

    pub(crate) fn rotate(&self) {
        let mut key = [0u8; 32];
        rand::fill(&mut key).unwrap();
        self.state().versions.push(key);
    }

    /// A version as an exportable key gives it.
    pub(crate) fn export(&self, version: usize) -> [u8; 32] {
        self.state().versions[version - 1]
    }

    pub(crate) fn retire_below(&self, version: u32) {
        self.state().min_decryption = version;
    }

    pub(crate) fn fail_with(&self, failure: Option<ServiceError>) {
        self.state().failure = failure;
    }

    pub(crate) fn hide_versions(&self) {
        self.state().hides_versions = true;
    }

    pub(crate) fn move_to_cluster(&self, cluster: &str) {
        self.state().cluster = cluster.to_owned();
    }

    /// The server refuses calls of more items.
    pub(crate) fn takes(&self, items: usize) {
        self.state().batch = items;
    }

    pub(crate) fn calls(&self) -> Calls {
        self.state().calls
    }

    pub(crate) fn reset_calls(&self) {
        self.state().calls = Calls::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn key(&self, locator: &Locator, version: u32) -> Result<LessSafeKey, ServiceError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if *locator != self::locator() {
            return Err(ServiceError::NotFound);
        }
        if version < self.min_decryption {
            return Err(ServiceError::BelowMinimum);
        }
        let key = self
            .versions
            .get(version as usize - 1)
            .ok_or(ServiceError::WrongKey)?;
        Ok(LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, key).unwrap(),
        ))
    }

    fn seal(&self, locator: &Locator, dek: &[u8], aad: Option<&Aad>) -> RewrapOutcome {
        let version = self.versions.len() as u32;
        let key = self.key(locator, version)?;
        let mut nonce = [0u8; 12];
        rand::fill(&mut nonce).unwrap();
        let mut body = dek.to_vec();
        let aad = AeadAad::from(aad.map_or(&[][..], |aad| &aad[..]));
        let nonce_value = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce_value, aad, &mut body)
            .unwrap();
        Ok(WrappedDek {
            version,
            blob: [&nonce[..], &body].concat(),
        })
    }

    fn open(
        &self,
        locator: &Locator,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Vec<u8>, ServiceError> {
        let key = self.key(locator, wrapped.version)?;
        let (nonce, body) = wrapped
            .blob
            .split_first_chunk()
            .ok_or(ServiceError::WrongKey)?;
        let mut body = body.to_vec();
        let aad = AeadAad::from(aad.map_or(&[][..], |aad| &aad[..]));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.open_in_place(nonce, aad, &mut body);
        Ok(plain.map_err(|_| ServiceError::WrongKey)?.to_vec())
    }
}

impl KeyService for Service {
    fn wrap(
        &self,
        locator: &Locator,
        dek: &Protected<32>,
        aad: Option<&Aad>,
    ) -> Result<WrappedDek, ServiceError> {
        self.state().seal(locator, dek.expose(), aad)
    }

    fn unwrap(
        &self,
        locator: &Locator,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Protected<32>, ServiceError> {
        let mut state = self.state();
        state.calls.unwrap += 1;
        let dek = state.open(locator, wrapped, aad)?;
        Ok(Protected::init_with(|bytes| bytes.copy_from_slice(&dek)))
    }

    fn rewrap(
        &self,
        locator: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        let mut state = self.state();
        state.calls.rewrap += 1;
        state.calls.rewrap_items += items.len() as u64;
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if items.len() > state.batch {
            return Err(ServiceError::Other("too many items".to_owned()));
        }
        let latest = state.versions.len() as u32;
        let rewrap = |item: &RewrapItem| {
            let dek = state.open(locator, &item.wrapped, item.aad.as_ref())?;
            if item.wrapped.version == latest {
                return Ok(item.wrapped.clone());
            }
            state.seal(locator, &dek, item.aad.as_ref())
        };
        Ok(items.iter().map(rewrap).collect())
    }

    fn versions(&self, locator: &Locator) -> Result<Option<KeyVersions>, ServiceError> {
        let state = self.state();
        let latest = state.versions.len() as u32;
        match state.key(locator, latest) {
            Err(error) => Err(error),
            Ok(_) if state.hides_versions => Ok(None),
            Ok(_) => Ok(Some(KeyVersions {
                latest,
                min_decryption: state.min_decryption,
            })),
        }
    }

    fn batch(&self) -> usize {
        self.state().batch
    }

    fn binds_aad(&self) -> bool {
        self.binds_aad
    }

    fn cluster_id(&self) -> Result<String, ServiceError> {
        Ok(self.state().cluster.clone())
    }
}
