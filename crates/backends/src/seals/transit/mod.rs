//! `seal "transit"`: a key of the transit engine of another server: Keyfold, OpenBao or Vault.
//!
//! What it wraps is that server's ciphertext, `vault:v3:…`; the key's id is the version in it. The
//! other server need not be there when this one starts, its token may die, and neither ends anything
//! but the use of this seal.

mod renewal;
mod server;
mod terms;

use std::sync::{Arc, Once};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_core::ports::seal::{Blob, Seal, SealError, SealKind, Setting, SettingError, Settings};
use keyfold_keys::Share;
use keyfold_secret::Secret;
use serde_json::{Value, json};

use self::server::{Answer, Server};
use self::terms::Terms;

/// The kind, for the wiring.
pub const KIND: SealKind = SealKind {
    name: "transit",
    settings: &[
        Setting::new(
            "address",
            &["VAULT_TRANSIT_SEAL_ADDR", "BAO_ADDR", "VAULT_ADDR"],
        ),
        Setting::new(
            "token",
            &["VAULT_TRANSIT_SEAL_TOKEN", "BAO_TOKEN", "VAULT_TOKEN"],
        ),
        Setting::new(
            "key_name",
            &["BAO_TRANSIT_SEAL_KEY_NAME", "VAULT_TRANSIT_SEAL_KEY_NAME"],
        ),
        Setting::new(
            "mount_path",
            &[
                "BAO_TRANSIT_SEAL_MOUNT_PATH",
                "VAULT_TRANSIT_SEAL_MOUNT_PATH",
            ],
        ),
        Setting::new("namespace", &["BAO_NAMESPACE", "VAULT_NAMESPACE"]),
        Setting::new(
            "disable_renewal",
            &[
                "BAO_TRANSIT_SEAL_DISABLE_RENEWAL",
                "VAULT_TRANSIT_SEAL_DISABLE_RENEWAL",
            ],
        ),
        Setting::new("key_id_prefix", &[]),
        Setting::new("tls_ca_cert", &["BAO_CACERT", "VAULT_CACERT"]),
        Setting::new("tls_client_cert", &["BAO_CLIENT_CERT", "VAULT_CLIENT_CERT"]),
        Setting::new("tls_client_key", &["BAO_CLIENT_KEY", "VAULT_CLIENT_KEY"]),
        Setting::new(
            "tls_server_name",
            &["BAO_TLS_SERVER_NAME", "VAULT_TLS_SERVER_NAME"],
        ),
        Setting::new("tls_skip_verify", &["BAO_SKIP_VERIFY", "VAULT_SKIP_VERIFY"]),
    ],
    idle: &[],
    make,
};

/// A key of another server.
struct Transit {
    server: Arc<Server>,
    terms: Terms,
    /// Once the seal is used, somebody keeps its token alive.
    renewing: Once,
}

fn make(settings: &Settings) -> Result<Arc<dyn Seal>, SettingError> {
    let terms = Terms::read(settings)?;
    Ok(Arc::new(Transit {
        server: Arc::new(Server::new(settings)?),
        terms,
        renewing: Once::new(),
    }))
}

impl Transit {
    async fn ask(&self, what: &str, body: &Value) -> Result<Answer, SealError> {
        if self.terms.renew {
            self.renewing.call_once(|| renewal::start(&self.server));
        }
        let Terms { mount, key, .. } = &self.terms;
        let path = format!("{mount}/{what}/{key}");
        self.server.post(&path, body).await
    }
}

#[async_trait]
impl Seal for Transit {
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError> {
        // The allocator wipes the texts of both sides when they go.
        let body = json!({"plaintext": STANDARD.encode(share.as_bytes())});
        let answer = self.ask("encrypt", &body).await?.granted()?;
        let ciphertext = text(&answer, "ciphertext")?;
        let version = ciphertext.split(':').nth(1).filter(|v| v.starts_with('v'));
        let version = version.ok_or_else(odd)?;
        Ok(Blob {
            key_id: format!("{}{version}", self.terms.prefix),
            bytes: ciphertext.as_bytes().to_vec(),
        })
    }

    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError> {
        let none = || SealError::Foreign("the wrap is no ciphertext of a transit key".into());
        let ciphertext = std::str::from_utf8(&blob.bytes).map_err(|_| none())?;
        let answer = self
            .ask("decrypt", &json!({"ciphertext": ciphertext}))
            .await?;
        let answer = answer.opened()?;
        let plaintext = text(&answer, "plaintext")?;
        let bytes = Secret::new(STANDARD.decode(plaintext).map_err(|_| odd())?);
        Share::from_bytes(bytes.expose()).map_err(|_| none())
    }
}

fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str, SealError> {
    let member = answer.get("data").and_then(|data| data.get(name));
    member.and_then(Value::as_str).ok_or_else(odd)
}

fn odd() -> SealError {
    SealError::Refused("the other server's answer is not that of a transit engine".into())
}
