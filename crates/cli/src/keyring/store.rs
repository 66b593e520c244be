//! Where a keyring is kept, as an argument: a file, `kv:MOUNT/PATH`, or the address of a table.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use keyfold_client::KvKeyring;
use keyfold_envelope::cache::{CacheLimits, DekCache};
use keyfold_envelope::keyring::{DekOptions, FileStore, KeyringError, KeyringStore, ServiceDeks};
use keyfold_stores::{Postgres, PostgresKeyring};

use crate::envelope::register::root_of;
use crate::error::CliError;
use crate::session::Session;
use crate::variable;

/// How the place of a keyring is written, for the help of commands that take one.
pub(crate) const PLACES: &str = "\
A keyring is kept in
  FILE               a file of this machine
  kv:MOUNT/PATH      a secret of the server's, in a KV mount of version 2
  pg://USER@HOST/DATABASE?table=TABLE&service=SERVICE
                     rows of a table of PostgreSQL, which `keyfold keyring create` makes where it is
                     missing; password, TLS and the rest as for `keyfold rewrap`";

/// The place of a keyring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreName {
    /// A file of this machine.
    File(PathBuf),
    /// A secret of the server's.
    Kv(String),
    /// Rows of a table of PostgreSQL, by their address.
    Table(String),
}

impl StoreName {
    /// The store. Of one on the server, the mount is looked for.
    pub(crate) fn store(&self, session: &Session) -> Result<Box<dyn KeyringStore>, CliError> {
        Ok(match self {
            Self::File(path) => Box::new(FileStore::new(path)),
            Self::Kv(path) => {
                let opened = KvKeyring::open(session.client()?, path);
                Box::new(opened.map_err(self.failed())?)
            }
            Self::Table(address) => Box::new(PostgresKeyring::open(address, &variable::plain)?),
        })
    }

    /// The keyring in use, with the keys of the server.
    pub(crate) fn deks(
        &self,
        session: &Session,
        options: DekOptions,
        limits: CacheLimits,
    ) -> Result<ServiceDeks, CliError> {
        let keys = session.keys()?;
        let partition = keys.partition();
        let (store, cache) = (self.store(session)?, DekCache::new(limits));
        let opened = ServiceDeks::open(store, Arc::new(keys), partition, cache, options);
        opened.map_err(self.failed())
    }

    /// What a catalog calls it: a file the same from each folder, a table by what it was found to be.
    pub(super) fn root(&self, opened: &dyn KeyringStore) -> String {
        match self {
            Self::File(path) => format!("keyring {}", root_of(path)),
            Self::Table(_) => format!("keyring {}", root_of(Path::new(opened.place()))),
            Self::Kv(_) => format!("keyring {self}"),
        }
    }

    /// For `map_err`: an error about this keyring.
    pub(crate) fn failed(&self) -> impl FnOnce(KeyringError) -> CliError {
        let keyring = self.to_string();
        move |source| CliError::Keyring { keyring, source }
    }
}

impl FromStr for StoreName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            // What is wrong with it is told when it is opened: not all of it may be repeated.
            Some(_) if Postgres::is_address(text) => Ok(Self::Table(text.to_owned())),
            Some(("kv", path)) if path.trim_matches('/').contains('/') => {
                Ok(Self::Kv(path.trim_matches('/').to_owned()))
            }
            Some(("kv", _)) => Err("a secret is named kv:MOUNT/PATH".to_owned()),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            _ if text.is_empty() => Err("a keyring has a name".to_owned()),
            _ => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Kv(path) => write!(f, "kv:{path}"),
            Self::Table(address) => f.write_str(&PostgresKeyring::name_of(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_s_unless_it_says_kv_or_is_an_address() {
        let file = |path: &str| Ok(StoreName::File(PathBuf::from(path)));
        assert_eq!("a/b".parse(), file("a/b"));
        assert_eq!("file:kv:a".parse(), file("kv:a"));
        assert_eq!("c:d".parse(), file("c:d"));
        assert_eq!(
            "kv:/secret/a/b/".parse(),
            Ok(StoreName::Kv("secret/a/b".to_owned()))
        );
        for bad in ["", "kv:", "kv:secret", "kv:secret/"] {
            assert!(bad.parse::<StoreName>().is_err(), "{bad}");
        }
        let shown: StoreName = "kv:secret/a".parse().unwrap();
        assert_eq!(shown.to_string(), "kv:secret/a");
        let address = "pg://ann:hunter2@db/shop?table=rings&service=pay";
        let shown: StoreName = address.parse().unwrap();
        assert_eq!(shown, StoreName::Table(address.to_owned()));
        assert_eq!(shown.to_string(), "pg://db/shop/rings/pay");
    }
}
