//! What opens a store without people: a key in a file, an HSM, a cloud's KMS, another server.
//!
//! A seal never sees the root key. It is handed the one [`Share`] of an unseal key, made for it
//! alone, which wraps the root key; so whatever the seal's cipher can bind or not, the wrapped root
//! key is bound to its place in the store.

use async_trait::async_trait;
use keyfold_keys::Share;

/// What a seal made of a share. Safe to store and to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Names the key, or the version of it, that the seal used.
    pub key_id: String,
    /// The ciphertext, in a form of the seal's own.
    pub bytes: Vec<u8>,
}

/// Wraps and unwraps shares with a key that lies elsewhere.
///
/// Both calls may take seconds; core gives up on them after a while. Neither may panic or end the
/// process whatever the other side answers.
#[async_trait]
pub trait Seal: Send + Sync + 'static {
    /// Wraps a share of 16 to 33 bytes under the newest key.
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError>;

    /// The share behind a blob of [`Seal::wrap`].
    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError>;
}

/// Why a seal did not do it. The texts are shown to operators, some of them without a token: they
/// name no address, no path and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not answer, or says that it can't just now: trying again helps.
    #[error("{0}")]
    Down(String),
    /// It answers and will not: a dead token, a wrong PIN, a key that is gone. Somebody has to do
    /// something.
    #[error("{0}")]
    Refused(String),
    /// It works, and the blob is none of its: another key made it, or it was changed.
    #[error("{0}")]
    Foreign(String),
}

impl SealError {
    /// `down`, `refused` or `foreign`.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Down(_) => "down",
            Self::Refused(_) => "refused",
            Self::Foreign(_) => "foreign",
        }
    }
}

/// A seal that is configured: `seal "kind" "name" { … }`.
pub struct SealSetup {
    /// Names its wrap in the store.
    pub name: String,
    /// `static`, `transit`, …
    pub kind: &'static str,
    /// Lower ones are asked first.
    pub priority: u32,
    /// Opens what it wrapped before, and is given nothing more: it is on its way out.
    pub disabled: bool,
    /// What does it.
    pub seal: std::sync::Arc<dyn Seal>,
}

/// Settings by name, as configured; values that lie elsewhere still say where.
pub type Settings = std::collections::BTreeMap<String, String>;

/// A setting of a kind of seal.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Variables of the environment that go before the configuration: the first that is set counts.
    pub variables: &'static [&'static str],
}

impl Setting {
    /// A setting and its variables.
    pub const fn new(name: &'static str, variables: &'static [&'static str]) -> Self {
        Self { name, variables }
    }
}

/// A kind of seal that can be configured.
pub struct SealKind {
    /// `static`, `transit`, …
    pub name: &'static str,
    /// All that it takes.
    pub settings: &'static [Setting],
    /// Taken and of no effect.
    pub idle: &'static [&'static str],
    /// Makes one. Nothing is asked of the other side yet: it may be down.
    pub make: fn(&Settings) -> Result<std::sync::Arc<dyn Seal>, SettingError>,
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" {what}")]
pub struct SettingError {
    /// The setting.
    pub name: &'static str,
    /// What, after its name. Never its value.
    pub what: String,
    /// It names a file that can't be read now: that may change without another configuration.
    pub awaited: bool,
}

impl SettingError {
    /// Something is wrong with a setting.
    pub fn new(name: &'static str, what: impl Into<String>) -> Self {
        Self {
            name,
            what: what.into(),
            awaited: false,
        }
    }

    /// The file that a setting names can't be read.
    pub fn unread(name: &'static str, error: &std::io::Error) -> Self {
        Self {
            awaited: true,
            ..Self::new(name, format!("names a file: {error}"))
        }
    }
}
