//! [`TransitKeys`]: the envelope's [`KeyService`] on the transit engine of a server.

mod offline_slots;
mod wire;

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use keyfold_api::base64;
use keyfold_envelope::cache::Partition;
use keyfold_envelope::{
    Aad, KeyService, KeyVersions, Locator, RewrapItem, RewrapOutcome, ServiceError, WrappedDek,
    wrap_opened,
};
use keyfold_secret::{Protected, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::blocking::Blocking;
use crate::{Client, ClientError, Request, Response};

use wire::{
    BatchBody, BatchResults, Ciphertext, CiphertextBody, Data, EncryptBody, Key, MoveBody,
    Plaintext, Server, UnwrapResult, WrapResult,
};

/// Items of a call to a Keyfold server: more make none faster.
const BATCH: usize = 2048;
/// Items of a call to another server, which refuses a body of more than 1,000 texts.
const STOCK_BATCH: usize = 256;

/// Wraps DEKs with transit keys. Rewrapping calls `transit/rewrap` only, so it needs no right to
/// decrypt. Its calls block, from any thread.
///
/// Works on Keyfold, OpenBao and Vault. Only Keyfold takes `associated_data` on rewrap; it says who
/// it is in `sys/seal-status`, which is asked once.
pub struct TransitKeys {
    client: Client,
    blocking: Blocking,
    server: OnceLock<Server>,
    /// Keys that were seen to exist: see [`TransitKeys::check_exists`].
    known: Mutex<HashSet<Locator>>,
}

impl TransitKeys {
    /// Keys on the server of `client`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Where the system gives no thread.
    pub fn new(client: Client) -> io::Result<Self> {
        Ok(Self {
            client,
            blocking: Blocking::new()?,
            server: OnceLock::new(),
            known: Mutex::new(HashSet::new()),
        })
    }

    /// Who asks, for caches that several identities may share.
    pub fn partition(&self) -> Partition {
        self.client.partition()
    }

    fn server(&self) -> Result<&Server, ServiceError> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let found: Server = json(&good(self.send(Request::read("sys/seal-status"))?)?)?;
        if found.sealed {
            return Err(ServiceError::Sealed);
        }
        Ok(self.server.get_or_init(|| found))
    }

    /// Transit makes a missing key on encrypt, where the token may: a misspelt name would become a
    /// key of its own. A token that may not read the key is believed.
    fn check_exists(&self, locator: &Locator) -> Result<(), ServiceError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(locator) {
            return Ok(());
        }
        self.versions(locator)?;
        known().insert(locator.clone());
        Ok(())
    }

    fn call(
        &self,
        locator: &Locator,
        operation: &str,
        body: &impl Serialize,
    ) -> Result<Response, ServiceError> {
        let path = format!("{}/{operation}/{}", locator.mount(), locator.key());
        let request = Request::write(&path, body).map_err(|error| service_error(&error))?;
        self.send(request)
    }

    /// One call for many items: a result for each.
    fn batch_call<T: DeserializeOwned>(
        &self,
        locator: &Locator,
        operation: &str,
        batch_input: Vec<impl Serialize>,
    ) -> Result<Vec<T>, ServiceError> {
        if batch_input.is_empty() {
            return Ok(Vec::new());
        }
        let sent = batch_input.len();
        let answer = self.call(locator, operation, &BatchBody { batch_input })?;
        // Some bad items make the whole status 400, with a result for each all the same.
        let Ok(results) = answer.json::<Data<BatchResults<T>>>() else {
            let refused = good(answer).err().unwrap_or_else(malformed);
            return Err(refused);
        };
        let results = results.data.batch_results;
        if results.len() != sent {
            return Err(malformed());
        }
        Ok(results)
    }

    fn send(&self, request: Request) -> Result<Response, ServiceError> {
        let client = self.client.clone();
        self.blocking
            .wait(async move { client.send(&request).await })
            .ok_or_else(|| ServiceError::Other("the request was not finished".to_owned()))?
            .map_err(|error| service_error(&error))
    }
}

impl KeyService for TransitKeys {
    fn wrap(
        &self,
        locator: &Locator,
        dek: &Protected<32>,
        aad: Option<&Aad>,
    ) -> Result<WrappedDek, ServiceError> {
        self.check_exists(locator)?;
        let plaintext = Secret::new(base64::encode(dek.expose()));
        let body = EncryptBody {
            plaintext: plaintext.expose(),
            associated_data: aad.map(base64_of),
        };
        let answer: Data<Ciphertext> = json(&good(self.call(locator, "encrypt", &body)?)?)?;
        parse_ciphertext(&answer.data.ciphertext)
    }

    fn unwrap(
        &self,
        locator: &Locator,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Protected<32>, ServiceError> {
        let body = CiphertextBody::new(wrapped, aad);
        let answer: Data<Plaintext> = json(&good(self.call(locator, "decrypt", &body)?)?)?;
        dek_of(answer.data.plaintext.expose())
    }

    fn rewrap(
        &self,
        locator: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        let results = self.batch_call::<WrapResult>(locator, "rewrap", bodies(items))?;
        Ok(results.into_iter().map(WrapResult::outcome).collect())
    }

    fn rewrap_to(
        &self,
        from: &Locator,
        to: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        // Only Keyfold does that, and only within a mount.
        if from.mount() != to.mount() || !self.binds_aad() {
            let deks = self.unwrap_many(from, items)?;
            let wrap = |deks: &[_]| self.wrap_many(to, deks);
            return wrap_opened(wrap, deks, items.iter().map(|item| item.aad));
        }
        let moved = bodies(items).into_iter().map(|item| MoveBody {
            item,
            to_key: to.key(),
        });
        let results = self.batch_call::<WrapResult>(from, "rewrap", moved.collect())?;
        Ok(results.into_iter().map(WrapResult::outcome).collect())
    }

    fn wrap_many(
        &self,
        locator: &Locator,
        items: &[(Protected<32>, Option<Aad>)],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        self.check_exists(locator)?;
        let plaintexts: Vec<_> = items
            .iter()
            .map(|(dek, _)| Secret::new(base64::encode(dek.expose())))
            .collect();
        let bodies = items.iter().zip(&plaintexts);
        let bodies = bodies.map(|((_, aad), plaintext)| EncryptBody {
            plaintext: plaintext.expose(),
            associated_data: aad.as_ref().map(base64_of),
        });
        let results = self.batch_call::<WrapResult>(locator, "encrypt", bodies.collect())?;
        Ok(results.into_iter().map(WrapResult::outcome).collect())
    }

    fn unwrap_many(
        &self,
        locator: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<Result<Protected<32>, ServiceError>>, ServiceError> {
        let results = self.batch_call::<UnwrapResult>(locator, "decrypt", bodies(items))?;
        Ok(results.into_iter().map(UnwrapResult::outcome).collect())
    }

    fn batch(&self) -> usize {
        match self.binds_aad() {
            true => BATCH,
            false => STOCK_BATCH,
        }
    }

    fn versions(&self, locator: &Locator) -> Result<Option<KeyVersions>, ServiceError> {
        let path = format!("{}/keys/{}", locator.mount(), locator.key());
        match good(self.send(Request::read(&path))?) {
            Ok(answer) => {
                let key: Data<Key> = json(&answer)?;
                Ok(Some(KeyVersions {
                    latest: key.data.latest_version,
                    min_decryption: key.data.min_decryption_version,
                }))
            }
            Err(ServiceError::Denied) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn binds_aad(&self) -> bool {
        // A server that can't be asked now can't wrap either; that call will say why.
        self.server()
            .is_ok_and(|server| server.server.as_deref() == Some("keyfold"))
    }

    fn cluster_id(&self) -> Result<String, ServiceError> {
        self.server()?
            .cluster_id
            .clone()
            .ok_or_else(|| ServiceError::Other("it tells no cluster id".to_owned()))
    }
}

fn bodies(items: &[RewrapItem]) -> Vec<CiphertextBody> {
    let body = |item: &RewrapItem| CiphertextBody::new(&item.wrapped, item.aad.as_ref());
    items.iter().map(body).collect()
}

/// A DEK in base64.
fn dek_of(text: &str) -> Result<Protected<32>, ServiceError> {
    let bytes = base64::decode(text)
        .map(Secret::new)
        .map_err(|_| malformed())?;
    let bytes: &[u8; 32] = bytes
        .expose()
        .as_slice()
        .try_into()
        .map_err(|_| malformed())?;
    Ok(Protected::init_with(|dek| dek.copy_from_slice(bytes)))
}

fn base64_of(aad: &Aad) -> String {
    base64::encode(aad)
}

/// Reads `vault:v<version>:<base64>`.
fn parse_ciphertext(text: &str) -> Result<WrappedDek, ServiceError> {
    let parts = text
        .strip_prefix("vault:v")
        .and_then(|rest| rest.split_once(':'));
    let (version, blob) = parts.ok_or_else(malformed)?;
    Ok(WrappedDek {
        version: version.parse().map_err(|_| malformed())?,
        blob: base64::decode(blob).map_err(|_| malformed())?,
    })
}

fn good(response: Response) -> Result<Response, ServiceError> {
    response.success().map_err(|error| service_error(&error))
}

fn json<T: DeserializeOwned>(response: &Response) -> Result<T, ServiceError> {
    response.json().map_err(|error| service_error(&error))
}

fn malformed() -> ServiceError {
    ServiceError::Other("the answer is not that of a transit engine".to_owned())
}

/// What the envelope wants to tell apart. Transit says most of it in words only.
pub(crate) fn service_error(error: &ClientError) -> ServiceError {
    match error {
        ClientError::Unreachable { reason, .. } => ServiceError::Unreachable(reason.clone()),
        _ if error.is_sealed() => ServiceError::Sealed,
        // What stands before the server says that it does not reach it.
        _ if matches!(error.status(), Some(502..=504)) => {
            ServiceError::Unreachable(error.to_string())
        }
        _ if error.status() == Some(403) => ServiceError::Denied,
        _ if error.status() == Some(404) || error.says("key not found") => ServiceError::NotFound,
        _ if error.says("too old") => ServiceError::BelowMinimum,
        _ if [
            "authentication failed",
            "invalid ciphertext",
            "version is too new",
        ]
        .iter()
        .any(|words| error.says(words)) =>
        {
            ServiceError::WrongKey
        }
        _ => ServiceError::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
