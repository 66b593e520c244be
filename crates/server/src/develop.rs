//! `keyfold server -dev`: a server to try things out, over TLS on request.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use keyfold_api::base64;
use keyfold_secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::config::listener::TlsVersion;
use crate::config::{Listener, Tcp, Tls};
use crate::folder::Folder;
use crate::server::{Server, StartError};

/// Where it listens when it is not told.
const ADDRESS: &str = "127.0.0.1:8200";

/// Keeps a token for the commands that follow; says where.
pub type KeepToken = fn(&Secret<String>) -> io::Result<PathBuf>;

/// `-dev`: in memory, initialised and unsealed.
#[derive(Default)]
pub struct Dev {
    /// `-dev-root-token-id`; made up where it is none.
    pub root_token: Option<String>,
    /// `-dev-listen-address`.
    pub address: Option<String>,
    /// `-dev-kv-v1`: what is mounted at `secret/` keeps no versions.
    pub kv_v1: bool,
    /// `-dev-tls`: with an authority and a certificate that are made for this run.
    pub tls: bool,
    /// `-dev-tls-cert-dir`: where their files stay; without it they go with the server.
    pub cert_dir: Option<PathBuf>,
    /// None: `-dev-no-store-token`.
    pub keep_token: Option<KeepToken>,
}

/// The files of a certificate that was made for one run.
pub(crate) struct DevTls {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    /// Goes with the server, where nobody named another one.
    _folder: Option<Folder>,
}

impl Dev {
    /// Where to listen.
    pub(crate) fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(ADDRESS)
    }

    /// Makes the files, where TLS is wished.
    pub(crate) fn certify(&self) -> Result<Option<DevTls>, StartError> {
        if !self.tls {
            return Ok(None);
        }
        let refused = |source| StartError::System {
            what: "can't make the certificate of -dev-tls".to_owned(),
            source,
        };
        DevTls::make(self.cert_dir.as_deref(), self.address())
            .map(Some)
            .map_err(refused)
    }

    /// Begins the vault, and tells what whoever started it needs.
    pub(crate) async fn begin(
        &self,
        server: &Server,
        tls: Option<&DevTls>,
    ) -> Result<String, StartError> {
        let token = self.root_token.clone().filter(|token| !token.is_empty());
        let version = if self.kv_v1 { 1 } else { 2 };
        let vault = server.core().develop(token.map(Secret::new), version);
        let vault = vault.await?;
        let address = server.addresses().first().map(ToString::to_string);
        let mut exports = format!(
            "    $ export VAULT_ADDR='{}'\n",
            address.unwrap_or_default()
        );
        if let Some(tls) = tls {
            let authority = tls.authority.display();
            exports.push_str(&format!("    $ export VAULT_CACERT='{authority}'\n"));
        }
        Ok(format!(
            "WARNING! This server keeps everything in memory and starts unsealed.\n\
             Use it to try things out, never for real secrets.\n\n\
             Set the environment of clients:\n\n{exports}\n{}\
             Unseal Key: {}\nRoot Token: {}\n\n",
            self.keep(&vault.root_token),
            base64::encode(vault.unseal_key.as_bytes()),
            vault.root_token.expose(),
        ))
    }

    /// Keeps the token, and says where. Who finds no place for it has it on the screen.
    fn keep(&self, token: &Secret<String>) -> String {
        let Some(keep) = self.keep_token else {
            return String::new();
        };
        match keep(token) {
            Ok(file) => format!(
                "The root token is kept in {} for the next commands.\n\n",
                file.display()
            ),
            Err(error) => {
                tracing::warn!(%error, "the root token is not kept for the next commands");
                String::new()
            }
        }
    }
}

impl DevTls {
    fn make(folder: Option<&Path>, address: &str) -> io::Result<Self> {
        let Some(named) = folder else {
            let own = Folder::make("keyfold-dev-tls")?;
            return Self::make_in(own.path().to_owned(), Some(own), address);
        };
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).recursive(true).create(named)?;
        // Commands run elsewhere than the server.
        Self::make_in(fs::canonicalize(named)?, None, address)
    }

    fn make_in(folder: PathBuf, own: Option<Folder>, address: &str) -> io::Result<Self> {
        let made = Self {
            authority: folder.join("keyfold-ca.pem"),
            certificate: folder.join("keyfold-cert.pem"),
            key: folder.join("keyfold-key.pem"),
            _folder: own,
        };
        made.write(address).map(|()| made)
    }

    /// The key of the authority is not kept: it signs this one certificate.
    fn write(&self, address: &str) -> io::Result<()> {
        let refused = |error: rcgen::Error| io::Error::other(error);
        let mut authority = CertificateParams::new(Vec::new()).map_err(refused)?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = &mut authority.distinguished_name;
        name.push(DnType::CommonName, "Keyfold development authority");
        let key = KeyPair::generate().map_err(refused)?;
        fs::write(
            &self.authority,
            authority.self_signed(&key).map_err(refused)?.pem(),
        )?;
        let issuer = Issuer::new(authority, key);

        let mut leaf = CertificateParams::new(names(address)).map_err(refused)?;
        leaf.use_authority_key_identifier_extension = true;
        let name = &mut leaf.distinguished_name;
        name.push(DnType::CommonName, "Keyfold development server");
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = leaf.signed_by(&key, &issuer).map_err(refused)?;
        fs::write(&self.certificate, certificate.pem())?;
        private(&self.key, &Secret::new(key.serialize_pem()))
    }

    /// The listener with this certificate.
    pub(crate) fn listener(&self, address: &str) -> Listener {
        Listener::Tcp(Tcp {
            tls: Some(Tls {
                cert_file: self.certificate.clone(),
                key_file: self.key.clone(),
                min: TlsVersion::Tls12,
                max: TlsVersion::Tls13,
                suites: Tls::all_suites(),
                client_ca_file: None,
                client_cert_required: false,
            }),
            ..Tcp::plain(address)
        })
    }
}

/// This machine by its usual names, and what `address` calls it.
fn names(address: &str) -> Vec<String> {
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if !host.is_empty() && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    names
}

/// Writes a file that its owner alone can read, in the place of one that may have been there.
fn private(file: &Path, text: &Secret<String>) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?
        .write_all(text.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::http::tls::Terms;

    #[test]
    fn the_files_make_a_listener_and_go_with_it() {
        let dev = Dev {
            tls: true,
            ..Dev::default()
        };
        let tls = dev.certify().unwrap().unwrap();
        let Listener::Tcp(tcp) = tls.listener("127.0.0.1:0") else {
            panic!("not tcp");
        };
        assert!(Terms::load(tcp.tls.unwrap()).is_ok());
        let key = tls.key.clone();
        let mode = fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(tls);
        assert!(!key.exists());
    }

    #[test]
    fn files_in_a_folder_that_was_named_stay_and_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev {
            tls: true,
            cert_dir: Some(folder.path().join("tls")),
            ..Dev::default()
        };
        let first = dev.certify().unwrap().unwrap();
        let read = |tls: &DevTls| fs::read_to_string(&tls.authority).unwrap();
        let before = read(&first);
        drop(first);
        let second = dev.certify().unwrap().unwrap();
        assert_ne!(read(&second), before);
    }

    #[test]
    fn the_certificate_names_the_address() {
        for (address, more) in [
            ("127.0.0.1:8200", None),
            ("[::1]:8200", None),
            (":8200", None),
            ("keys.example:8200", Some("keys.example")),
            ("10.0.0.1:1", Some("10.0.0.1")),
        ] {
            assert_eq!(names(address).get(3).map(String::as_str), more, "{address}");
        }
    }
}
