//! `seal "awskms"`: a key of AWS KMS, or of a server that speaks its API.
//!
//! What it wraps is the KMS's ciphertext; the key's id is the ARN that the KMS names. Credentials are
//! those that are configured, else those that the SDK finds: the environment, a profile, a web
//! identity, the instance's role.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob as Bytes;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use keyfold_core::ports::seal::{Blob, Seal, SealError, SealKind, Setting, SettingError, Settings};
use keyfold_keys::Share;
use tokio::sync::OnceCell;

use super::settings::{needed, secret, text};

/// How long one call may take, all its attempts together.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The kind, for the wiring.
pub const KIND: SealKind = SealKind {
    name: "awskms",
    settings: &[
        setting("region", &["AWS_REGION", "AWS_DEFAULT_REGION"]),
        setting("access_key", &["AWS_ACCESS_KEY_ID"]),
        setting("secret_key", &["AWS_SECRET_ACCESS_KEY"]),
        setting("session_token", &["AWS_SESSION_TOKEN"]),
        setting(
            "kms_key_id",
            &["BAO_AWSKMS_SEAL_KEY_ID", "VAULT_AWSKMS_SEAL_KEY_ID"],
        ),
        setting("endpoint", &["AWS_KMS_ENDPOINT"]),
    ],
    idle: &[],
    make,
};

const fn setting(name: &'static str, variables: &'static [&'static str]) -> Setting {
    Setting { name, variables }
}

struct AwsKms {
    key: String,
    region: Option<String>,
    endpoint: Option<String>,
    credentials: Option<Credentials>,
    /// Made when the seal is used first: to find credentials may ask the network.
    client: OnceCell<Client>,
}

fn make(settings: &Settings) -> Result<Arc<dyn Seal>, SettingError> {
    let endpoint = text(settings, "endpoint");
    if endpoint.is_some_and(|e| !e.starts_with("http://") && !e.starts_with("https://")) {
        return Err(SettingError::new(
            "endpoint",
            "has to begin with http:// or https://",
        ));
    }
    Ok(Arc::new(AwsKms {
        key: needed(settings, "kms_key_id")?.to_owned(),
        region: text(settings, "region").map(str::to_owned),
        endpoint: endpoint.map(str::to_owned),
        credentials: credentials(settings)?,
        client: OnceCell::new(),
    }))
}

/// Those of the configuration: both halves or none.
fn credentials(settings: &Settings) -> Result<Option<Credentials>, SettingError> {
    let found = |name: &'static str| {
        let value = text(settings, name)
            .map(|value| secret(name, value))
            .transpose()?;
        let Some(value) = value else { return Ok(None) };
        let wrong = |_| SettingError::new(name, "has to be text");
        let text = std::str::from_utf8(value.bytes.expose().trim_ascii()).map_err(wrong)?;
        Ok(Some(text.to_owned()))
    };
    match (found("access_key")?, found("secret_key")?) {
        (None, None) => Ok(None),
        (Some(id), Some(key)) => {
            let token = found("session_token")?;
            Ok(Some(Credentials::new(
                id,
                key,
                token,
                None,
                "configuration",
            )))
        }
        _ => Err(SettingError::new(
            "access_key",
            "and \"secret_key\" go together",
        )),
    }
}

impl AwsKms {
    async fn client(&self) -> &Client {
        self.client.get_or_init(|| self.connect()).await
    }

    async fn connect(&self) -> Client {
        let provider = Provider::Rustls(CryptoMode::AwsLc);
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(provider)
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts);
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        Client::new(&loader.load().await)
    }
}

#[async_trait]
impl Seal for AwsKms {
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError> {
        let call = self.client().await.encrypt().key_id(&self.key);
        let answer = call.plaintext(Bytes::new(share.as_bytes())).send().await;
        let answer = answer.map_err(|error| fault(&error))?;
        let bytes = answer.ciphertext_blob().ok_or_else(odd)?;
        Ok(Blob {
            key_id: answer.key_id().unwrap_or(&self.key).to_owned(),
            bytes: bytes.as_ref().to_vec(),
        })
    }

    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError> {
        // With the key's name, so that a ciphertext of another key of the account opens nothing.
        let call = self.client().await.decrypt().key_id(&self.key);
        let answer = call
            .ciphertext_blob(Bytes::new(blob.bytes.as_slice()))
            .send()
            .await;
        let answer = answer.map_err(|error| fault(&error))?;
        let share = answer.plaintext().ok_or_else(odd)?;
        Share::from_bytes(share.as_ref()).map_err(|_| odd())
    }
}

fn odd() -> SealError {
    SealError::Refused("the KMS's answer has no data".into())
}

/// By the code that the KMS answers; its texts may name accounts.
fn fault<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> SealError {
    let SdkError::ServiceError(service) = error else {
        return match error {
            SdkError::ConstructionFailure(_) => {
                SealError::Refused("no credentials or no region for the KMS were found".into())
            }
            SdkError::TimeoutError(_) => SealError::Down("the KMS takes too long".into()),
            _ => SealError::Down("the KMS can't be reached".into()),
        };
    };
    let code = service.err().code().unwrap_or("no code");
    match code {
        "InvalidCiphertextException" | "IncorrectKeyException" => {
            SealError::Foreign(format!("the KMS does not open the wrap: {code}"))
        }
        "NotFoundException" => SealError::Refused("the KMS has no such key".into()),
        "DisabledException"
        | "KMSInvalidStateException"
        | "InvalidKeyUsageException"
        | "InvalidGrantTokenException"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "ValidationException" => SealError::Refused(format!("the KMS refuses: {code}")),
        _ => SealError::Down(format!("the KMS fails: {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_wrong_are_named() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            make(&pairs.collect()).err().map(|error| error.to_string())
        };
        assert_eq!(of(&[]).unwrap(), "\"kms_key_id\" is needed");
        let half = [("kms_key_id", "k"), ("access_key", "a")];
        assert!(
            of(&half)
                .unwrap()
                .starts_with("\"access_key\" and \"secret_key\"")
        );
        let bare = [("kms_key_id", "k"), ("endpoint", "localhost:1")];
        assert!(of(&bare).unwrap().starts_with("\"endpoint\" has to begin"));
        assert_eq!(
            of(&[
                ("kms_key_id", "alias/k"),
                ("endpoint", "http://localhost:1")
            ]),
            None
        );
    }
}
