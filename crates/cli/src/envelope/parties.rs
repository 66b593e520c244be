//! Whom an envelope is for, and with what it is opened without the server, as the command line
//! names them.

use std::path::{Path, PathBuf};

use clap::Args;
use keyfold_client::TransitKeys;
use keyfold_envelope::cache::CacheLimits;
use keyfold_envelope::keyring::{DekLimits, DekOptions, KeyringRecipient, ServiceDeks};
use keyfold_envelope::{
    Identity, Locator, Passphrase, Recipient, TransitKey, XWingRecipient, identities_of,
    recipients_of,
};
use keyfold_secret::Secret;

use super::secret_file;
use crate::error::CliError;
use crate::keyring::StoreName;
use crate::prompt;
use crate::session::Session;

/// What a recipient's text starts with.
const RECIPIENT: &str = "keyfold-recipient-";

/// Whom an envelope is for.
#[derive(Args)]
pub(super) struct For {
    /// The key of the server's that wraps the file's own: transit/payments
    #[arg(long, value_name = "MOUNT/NAME")]
    pub(super) key: Option<Locator>,
    /// A keyring whose data key wraps the file's own: a file, kv:MOUNT/PATH, or pg://…
    #[arg(long, value_name = "STORE")]
    pub(super) keyring: Option<StoreName>,
    /// An offline key that opens it without the server: what `keyfold keygen` printed, or a file with
    /// that; may be given several times
    #[arg(long, value_name = "RECIPIENT|FILE")]
    recipient: Vec<String>,
    /// A passphrase that opens it without the server; it is asked for
    #[arg(long, conflicts_with = "passphrase_file")]
    passphrase: bool,
    /// The same, from the first line of a file that is its owner's alone; `-` is standard input
    #[arg(long, value_name = "FILE|-")]
    passphrase_file: Option<PathBuf>,
}

/// With what an envelope is opened without the server.
#[derive(Args, Default)]
pub(super) struct With {
    /// A file with offline keys or exported keys, its owner's alone: no server is asked; may be given
    /// several times
    #[arg(long, visible_alias = "kek-file", value_name = "FILE")]
    pub(super) identity: Vec<PathBuf>,
    /// A passphrase, which is asked for: no server is asked
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(super) passphrase: bool,
    /// The same, from the first line of a file that is its owner's alone; `-` is standard input
    #[arg(long, value_name = "FILE|-")]
    pub(super) passphrase_file: Option<PathBuf>,
}

impl For {
    /// The keyring, for one object, and the key that wraps its data keys.
    pub(super) fn deks(
        &self,
        session: &Session,
    ) -> Result<Option<(ServiceDeks, Locator)>, CliError> {
        let Some(store) = &self.keyring else {
            return Ok(None);
        };
        let options = DekOptions {
            limits: DekLimits::default().one_object(),
            key: None,
        };
        let deks = store.deks(session, options, CacheLimits::default())?;
        let keyring = deks.keyring().map_err(store.failed())?;
        Ok(Some((deks, keyring.key().clone())))
    }

    /// Those that need no server.
    pub(super) fn offline(&self) -> Result<Vec<Box<dyn Recipient>>, CliError> {
        let mut parties: Vec<Box<dyn Recipient>> = Vec::new();
        for named in &self.recipient {
            let recipients = recipients(named)?.into_iter();
            parties.extend(recipients.map(|one| Box::new(one) as Box<dyn Recipient>));
        }
        let file = self.passphrase_file.as_deref();
        if let Some(passphrase) = passphrase(self.passphrase, file, Asked::Twice)? {
            parties.push(Box::new(passphrase));
        }
        Ok(parties)
    }
}

impl With {
    /// Whether anything is given; else the server is asked.
    pub(super) fn is_some(&self) -> bool {
        !self.identity.is_empty() || self.passphrase || self.passphrase_file.is_some()
    }

    /// The keys and the passphrase.
    pub(super) fn offline(&self) -> Result<Vec<Box<dyn Identity>>, CliError> {
        let mut identities = Vec::new();
        for path in &self.identity {
            let text = secret_file::read(path)?;
            let found = identities_of(text.expose());
            identities.extend(found.map_err(|error| {
                CliError::Usage(format!("{} is no identity file: {error}", path.display()))
            })?);
        }
        let file = self.passphrase_file.as_deref();
        if let Some(passphrase) = passphrase(self.passphrase, file, Asked::Once)? {
            identities.push(Box::new(passphrase));
        }
        Ok(identities)
    }
}

/// What opens envelopes: what is named, and the server where nothing is.
pub(super) struct Opener {
    offline: Vec<Box<dyn Identity>>,
    keyring: Option<ServiceDeks>,
    server: Option<TransitKeys>,
}

impl Opener {
    pub(super) fn new(
        session: &Session,
        with: &With,
        keyring: Option<&StoreName>,
    ) -> Result<Self, CliError> {
        let named = with.is_some() || keyring.is_some();
        let (options, limits) = (DekOptions::default(), CacheLimits::default());
        let keyring = keyring.map(|store| store.deks(session, options, limits));
        Ok(Self {
            offline: with.offline()?,
            keyring: keyring.transpose()?,
            server: if named { None } else { Some(session.keys()?) },
        })
    }

    pub(super) fn identities(&self) -> Vec<&dyn Identity> {
        let offline = self.offline.iter().map(AsRef::as_ref);
        let keyring = self.keyring.iter().map(|deks| deks as &dyn Identity);
        let server = self.server.iter().map(|keys| keys as &dyn Identity);
        offline.chain(keyring).chain(server).collect()
    }
}

/// Fails where a key does not allow that others than the server open what it protects.
pub(crate) fn check_offline_allowed(keys: &TransitKeys, key: &Locator) -> Result<(), CliError> {
    match keys.offline_slots_allowed(key) {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) => Err(CliError::Refused(format!(
            "the key {key} forbids offline slots: its setting offline_slots_allowed is false"
        ))),
        Ok(None) => Err(CliError::Refused(format!(
            "the token can't read the key {key}, so it is not known whether that allows offline \
             slots: it needs `read` on {}/keys/{}",
            key.mount(),
            key.key()
        ))),
        Err(error) => Err(CliError::Envelope {
            subject: PathBuf::from(key.as_str()),
            source: error.into(),
        }),
    }
}

/// All recipients in their order: the server's key first, then the keyring.
pub(super) fn all<'a>(
    key: Option<&'a TransitKey<'a>>,
    keyring: Option<&'a KeyringRecipient<'a>>,
    offline: &'a [Box<dyn Recipient>],
) -> Vec<&'a dyn Recipient> {
    let key = key.map(|key| key as &dyn Recipient);
    let keyring = keyring.map(|keyring| keyring as &dyn Recipient);
    key.into_iter()
        .chain(keyring)
        .chain(offline.iter().map(AsRef::as_ref))
        .collect()
}

fn recipients(named: &str) -> Result<Vec<XWingRecipient>, CliError> {
    if named.starts_with(RECIPIENT) {
        let found = recipients_of(named);
        return found.map_err(|failed| CliError::Usage(format!("--recipient: {}", failed.error)));
    }
    let path = Path::new(named);
    let text = std::fs::read_to_string(path)
        .map_err(CliError::io(format!("can't read {}", path.display())))?;
    recipients_of(&text).map_err(|error| {
        CliError::Usage(format!("{} is no recipient file: {error}", path.display()))
    })
}

/// How often a new passphrase is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Once,
    Twice,
}

fn passphrase(
    asked: bool,
    file: Option<&Path>,
    times: Asked,
) -> Result<Option<Passphrase>, CliError> {
    let text = match file {
        Some(path) if super::is_dash(path) => prompt::secret(Some("-".to_owned()), "passphrase")?,
        Some(path) => first_line(&secret_file::read(path)?),
        None if asked => prompt::secret(None, "passphrase")?,
        None => return Ok(None),
    };
    if file.is_none() && times == Asked::Twice {
        let again = prompt::secret(None, "passphrase again")?;
        if !text.ct_eq(again.expose().as_bytes()) {
            return Err(CliError::Usage("the passphrases differ".to_owned()));
        }
    }
    let empty = || CliError::Usage("the passphrase is empty".to_owned());
    Passphrase::new(text).ok_or_else(empty).map(Some)
}

/// White space around a passphrase is not part of it, wherever it comes from.
fn first_line(text: &Secret<String>) -> Secret<String> {
    let line = text.expose().lines().next().unwrap_or_default();
    Secret::new(line.trim().to_owned())
}
