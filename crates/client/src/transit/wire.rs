//! What transit is sent and answers, as far as it matters here.

use keyfold_api::base64;
use keyfold_envelope::{Aad, RewrapOutcome, ServiceError, WrappedDek};
use keyfold_secret::{Protected, Secret};
use serde::{Deserialize, Serialize};

use super::{base64_of, dek_of, malformed, parse_ciphertext, service_error};
use crate::ClientError;

/// `sys/seal-status`, as far as it matters here.
#[derive(Deserialize)]
pub(super) struct Server {
    #[serde(default)]
    pub(super) sealed: bool,
    /// Keyfold's own member; others have none.
    pub(super) server: Option<String>,
    pub(super) cluster_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

#[derive(Deserialize)]
pub(super) struct Key {
    pub(super) latest_version: u32,
    pub(super) min_decryption_version: u32,
}

#[derive(Deserialize)]
pub(super) struct Ciphertext {
    pub(super) ciphertext: String,
}

#[derive(Deserialize)]
pub(super) struct Plaintext {
    pub(super) plaintext: Secret<String>,
}

#[derive(Serialize)]
pub(super) struct EncryptBody<'a> {
    pub(super) plaintext: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) associated_data: Option<String>,
}

#[derive(Serialize)]
pub(super) struct BatchBody<T> {
    pub(super) batch_input: Vec<T>,
}

#[derive(Serialize)]
pub(super) struct CiphertextBody {
    pub(super) ciphertext: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) associated_data: Option<String>,
}

/// An item that goes to another key of the mount.
#[derive(Serialize)]
pub(super) struct MoveBody<'a> {
    #[serde(flatten)]
    pub(super) item: CiphertextBody,
    pub(super) to_key: &'a str,
}

impl CiphertextBody {
    pub(super) fn new(wrapped: &WrappedDek, aad: Option<&Aad>) -> Self {
        let blob = base64::encode(&wrapped.blob);
        Self {
            ciphertext: format!("vault:v{}:{blob}", wrapped.version),
            associated_data: aad.map(base64_of),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct BatchResults<T> {
    pub(super) batch_results: Vec<T>,
}

/// What became of an item that was wrapped.
#[derive(Deserialize)]
pub(super) struct WrapResult {
    #[serde(default)]
    ciphertext: String,
    #[serde(default)]
    error: String,
}

impl WrapResult {
    pub(super) fn outcome(self) -> RewrapOutcome {
        refused(self.error)?;
        parse_ciphertext(&self.ciphertext)
    }
}

/// What became of an item that was unwrapped.
#[derive(Deserialize)]
pub(super) struct UnwrapResult {
    plaintext: Option<Secret<String>>,
    #[serde(default)]
    error: String,
}

impl UnwrapResult {
    pub(super) fn outcome(self) -> Result<Protected<32>, ServiceError> {
        refused(self.error)?;
        let plaintext = self.plaintext.ok_or_else(malformed)?;
        dek_of(plaintext.expose())
    }
}

/// An item's own error.
fn refused(error: String) -> Result<(), ServiceError> {
    if error.is_empty() {
        return Ok(());
    }
    Err(service_error(&ClientError::Api {
        status: 400,
        errors: vec![error],
    }))
}
