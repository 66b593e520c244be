//! Where `rewrap --to` and `keyring rewrap --to` move wraps: a key of this server, or of another one.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use keyfold_client::{Client, ClientConfig, TransitKeys};
use keyfold_envelope::{KeyService, Locator, Target};
use keyfold_secret::Secret;

use crate::error::CliError;

/// The token of the other server, where no file names it.
const TOKEN: &str = "KEYFOLD_TO_TOKEN";

/// The flags of a move.
#[derive(Args)]
#[command(next_help_heading = "Move to another key")]
pub(crate) struct TargetArgs {
    /// Wrap each data key under this key. An envelope keeps the wrap that it has beside it: both open it; a row
    /// has room for one
    #[arg(long, value_name = "MOUNT/NAME")]
    to: Option<Locator>,
    /// Move away from this key only
    #[arg(long, value_name = "MOUNT/NAME", requires = "to")]
    from: Option<Locator>,
    /// The server that has the key of --to, where that is another one
    #[arg(long, value_name = "URL", requires = "to")]
    to_address: Option<String>,
    /// File with the token for it [env: KEYFOLD_TO_TOKEN]
    #[arg(long, value_name = "FILE", requires = "to_address")]
    to_token_file: Option<PathBuf>,
    /// Its namespace
    #[arg(long, value_name = "NAME", requires = "to_address")]
    to_namespace: Option<String>,
    /// PEM file with the authorities to trust for it
    #[arg(long, value_name = "FILE", requires = "to_address")]
    to_ca_cert: Option<PathBuf>,
}

/// A move that was asked for.
pub(crate) struct Move {
    to: Locator,
    from: Option<Locator>,
    keys: Option<TransitKeys>,
}

impl TargetArgs {
    /// The move, where one was asked for.
    pub(crate) fn wanted(&self) -> Result<Option<Move>, CliError> {
        let Some(to) = &self.to else {
            return Ok(None);
        };
        let keys = self.to_address.as_ref().map(|address| {
            let client = Client::new(self.config(address)?)?;
            TransitKeys::new(client).map_err(CliError::io("can't start a thread"))
        });
        Ok(Some(Move {
            to: to.clone(),
            from: self.from.clone(),
            keys: keys.transpose()?,
        }))
    }

    /// The other server's client: nothing that is set for the first server goes to it.
    fn config(&self, address: &str) -> Result<ClientConfig, CliError> {
        Ok(ClientConfig {
            address: address.to_owned(),
            address_from: Some("--to-address".to_owned()),
            token: self.token()?,
            namespace: self.to_namespace.clone(),
            ca_cert: self.to_ca_cert.clone(),
            ..ClientConfig::default()
        })
    }

    fn token(&self) -> Result<Option<Secret<String>>, CliError> {
        let text = match &self.to_token_file {
            Some(path) => Some(fs::read_to_string(path).map_err(CliError::io(format!(
                "can't read the token file {}",
                path.display()
            )))?),
            None => std::env::var(TOKEN).ok(),
        };
        let text = text.map(Secret::new);
        let trimmed = text.map(|text| Secret::new(text.expose().trim().to_owned()));
        Ok(trimmed.filter(|token| !token.expose().is_empty()))
    }
}

impl Move {
    /// The key.
    pub(super) fn key(&self) -> &Locator {
        &self.to
    }

    /// It is another server's.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.keys.is_some()
    }

    /// False where the key forbids that what it opens can be opened without it; `None` where that can't be told.
    pub(super) fn allows_offline(&self, own: &TransitKeys) -> Option<bool> {
        let keys = self.keys.as_ref().unwrap_or(own);
        keys.offline_slots_allowed(&self.to).ok().flatten()
    }

    /// The same for the job.
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            locator: self.to.clone(),
            service: self.keys.as_ref().map(|keys| keys as &dyn KeyService),
            from: self.from.clone(),
        }
    }
}
