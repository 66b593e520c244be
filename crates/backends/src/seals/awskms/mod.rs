//! `seal "awskms"`: a key of AWS KMS, or of a server that speaks its API.
//!
//! What it wraps is the KMS's ciphertext; the key's id is the ARN that the KMS names. Credentials are
//! those that are configured, else those that the SDK finds: the environment, a profile, a web
//! identity, the instance's role.

mod fault;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::meta::region::RegionProviderChain;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::primitives::Blob as Bytes;
use keyfold_core::ports::seal::{Blob, Seal, SealError, SealKind, Setting, SettingError, Settings};
use keyfold_keys::Share;
use tokio::sync::OnceCell;

use self::fault::DENIED;
use super::settings::{needed, secret, text};

/// How long one call may take, all its attempts together.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Where the key is, when nothing says it.
const REGION: &str = "us-east-1";

/// The kind, for the wiring.
pub const KIND: SealKind = SealKind {
    name: "awskms",
    settings: &[
        Setting::new("region", &["AWS_REGION", "AWS_DEFAULT_REGION"]),
        Setting::new("access_key", &["AWS_ACCESS_KEY_ID"]),
        Setting::new("secret_key", &["AWS_SECRET_ACCESS_KEY"]),
        Setting::new("session_token", &["AWS_SESSION_TOKEN"]),
        Setting::new(
            "kms_key_id",
            &["BAO_AWSKMS_SEAL_KEY_ID", "VAULT_AWSKMS_SEAL_KEY_ID"],
        ),
        Setting::new("endpoint", &["AWS_KMS_ENDPOINT"]),
    ],
    idle: &[],
    make,
};

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
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
        loader = match &self.region {
            Some(region) => loader.region(Region::new(region.clone())),
            None => loader.region(RegionProviderChain::default_provider().or_else(REGION)),
        };
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        Client::new(&loader.load().await)
    }

    /// An alias may have moved on to another key since.
    fn is_alias(&self) -> bool {
        self.key.starts_with("alias/") || self.key.contains(":alias/")
    }

    /// A KMS that knows the wrap's key may say no more than that it is not this seal's business.
    fn unopened(&self, error: &SdkError<DecryptError>, wrapped_by: &str) -> SealError {
        let denied = error.as_service_error().and_then(fault::code) == Some(DENIED);
        if denied && !self.is_alias() && id(wrapped_by) != id(&self.key) {
            return SealError::Foreign("the wrap is of another key of the KMS".into());
        }
        fault::of(error)
    }
}

/// A key's id, of the id itself or of an ARN; replicas of a key in other regions share it.
fn id(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, id)| id)
}

#[async_trait]
impl Seal for AwsKms {
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError> {
        let call = self.client().await.encrypt().key_id(&self.key);
        let answer = call.plaintext(Bytes::new(share.as_bytes())).send().await;
        let answer = answer.map_err(|error| fault::of(&error))?;
        let bytes = answer.ciphertext_blob().ok_or_else(odd)?;
        Ok(Blob {
            key_id: answer.key_id().unwrap_or(&self.key).to_owned(),
            bytes: bytes.as_ref().to_vec(),
        })
    }

    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError> {
        // With the key's name, so that a ciphertext of another key opens nothing. Of an alias the
        // KMS looks which key it was.
        let key = (!self.is_alias()).then(|| self.key.clone());
        let call = self.client().await.decrypt().set_key_id(key);
        let answer = call
            .ciphertext_blob(Bytes::new(blob.bytes.as_slice()))
            .send()
            .await;
        let answer = answer.map_err(|error| self.unopened(&error, &blob.key_id))?;
        let share = answer.plaintext().ok_or_else(odd)?;
        let none = |_| SealError::Foreign("what the KMS opened is no share".into());
        Share::from_bytes(share.as_ref()).map_err(none)
    }
}

fn odd() -> SealError {
    SealError::Refused("the KMS's answer is none to the question".into())
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
