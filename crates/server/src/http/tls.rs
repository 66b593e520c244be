//! TLS for a listener: from PEM files to what rustls needs, and again when they have changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use crate::config::Tls;
use crate::config::listener::TlsVersion;

/// Files that make no TLS. The operator's mistake.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No such file, or not PEM.
    #[error("{what} {}: {why}", file.display())]
    File {
        /// `certificate`, `private key`, `client CA`.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// They do not go together.
    #[error("certificate {} with private key {}: {source}", cert.display(), key.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Nothing of TLS is left to speak.
    #[error("no TLS with these versions and cipher suites: {0}")]
    Nothing(rustls::Error),
    /// No client could agree on a suite.
    #[error(
        "none of the suites in \"tls_cipher_suites\" goes with the kind of key in {}, and \
         \"tls_max_version\" allows TLS 1.2 alone",
        key.display()
    )]
    Suites {
        /// The key.
        key: PathBuf,
    },
}

/// The TLS side of a listener. Every handshake takes what was loaded last.
pub struct Terms {
    settings: Tls,
    current: ArcSwap<ServerConfig>,
}

impl Terms {
    /// Reads the files.
    pub fn load(settings: Tls) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(read(&settings)?);
        Ok(Self { settings, current })
    }

    /// Reads the files again. Where that fails, what was there before stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.settings)?));
        Ok(())
    }

    /// For the next handshake.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

fn read(settings: &Tls) -> Result<ServerConfig, TlsError> {
    let chain = certificates("certificate", &settings.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key_file)
        .map_err(|e| unreadable("private key", &settings.key_file, &e))?;
    let mut provider = aws_lc_rs::default_provider();
    let spoken = |suite: &SupportedCipherSuite| {
        suite.tls13().is_some() || settings.suites.contains(&suite.suite())
    };
    provider.cipher_suites.retain(spoken);
    check_suites(settings, &provider, &key)?;
    let provider = Arc::new(provider);
    let mismatch = |source| TlsError::Mismatch {
        cert: settings.cert_file.clone(),
        key: settings.key_file.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings))
        .map_err(TlsError::Nothing)?;
    let builder = match &settings.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(file)?, provider);
            let verifier = match settings.client_cert_required {
                true => verifier,
                false => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|e| unreadable("client CA", file, &e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A suite of TLS 1.2 is for one kind of key. Where none is for this one, a client of TLS 1.2 can't be
/// served: an error where nobody else is, else a warning.
fn check_suites(
    settings: &Tls,
    provider: &CryptoProvider,
    key: &PrivateKeyDer<'static>,
) -> Result<(), TlsError> {
    // A key that can't be read is refused with the certificate.
    let Ok(key) = provider.key_provider.load_private_key(key.clone_key()) else {
        return Ok(());
    };
    let fits = |suite: &SupportedCipherSuite| {
        suite.tls13().is_none() && suite.usable_for_signature_algorithm(key.algorithm())
    };
    if settings.min > TlsVersion::Tls12 || provider.cipher_suites.iter().any(fits) {
        return Ok(());
    }
    let key = settings.key_file.clone();
    if settings.max == TlsVersion::Tls12 {
        return Err(TlsError::Suites { key });
    }
    tracing::warn!(key = %key.display(), "no suite in tls_cipher_suites goes with this kind of key: \
        clients of TLS 1.2 can't be served");
    Ok(())
}

fn versions(settings: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ]
    .into_iter()
    .filter(|(version, _)| (settings.min..=settings.max).contains(version))
    .map(|(_, version)| version)
    .collect()
}

fn roots(file: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client CA", file)? {
        roots
            .add(certificate)
            .map_err(|e| unreadable("client CA", file, &e))?;
    }
    Ok(Arc::new(roots))
}

fn certificates(what: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(chain) if chain.is_empty() => Err(unreadable(what, file, &"no certificate in it")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(unreadable(what, file, &error)),
    }
}

fn unreadable(what: &'static str, file: &Path, why: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        what,
        file: file.to_owned(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rustls::CipherSuite;

    use super::*;

    struct Files {
        _folder: tempfile::TempDir,
        tls: Tls,
    }

    fn files() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let tls = Tls {
            cert_file: folder.path().join("cert.pem"),
            key_file: folder.path().join("key.pem"),
            min: TlsVersion::Tls12,
            max: TlsVersion::Tls13,
            suites: Tls::all_suites(),
            client_ca_file: None,
            client_cert_required: false,
        };
        std::fs::write(&tls.cert_file, made.cert.pem()).unwrap();
        std::fs::write(&tls.key_file, made.signing_key.serialize_pem()).unwrap();
        Files {
            _folder: folder,
            tls,
        }
    }

    fn error(tls: Tls) -> String {
        Terms::load(tls).err().unwrap().to_string()
    }

    #[test]
    fn good_files_load_and_both_protocols_are_offered() {
        let files = files();
        let terms = Terms::load(files.tls.clone()).unwrap();
        assert_eq!(terms.current().alpn_protocols, [&b"h2"[..], b"http/1.1"]);
        let ca = files.tls.cert_file.clone();
        let mutual = Tls {
            client_ca_file: Some(ca),
            client_cert_required: true,
            ..files.tls
        };
        assert!(Terms::load(mutual).is_ok());
    }

    #[test]
    fn bad_files_are_named() {
        let files = files();
        let missing = Tls {
            cert_file: "missing.pem".into(),
            ..files.tls.clone()
        };
        assert!(error(missing).starts_with("certificate missing.pem: "));
        let swapped = Tls {
            cert_file: files.tls.key_file.clone(),
            ..files.tls.clone()
        };
        assert!(error(swapped).ends_with("no certificate in it"));
        let keyless = Tls {
            key_file: files.tls.cert_file.clone(),
            ..files.tls.clone()
        };
        assert!(error(keyless).starts_with("private key "));
        let other = self::files();
        let foreign = Tls {
            key_file: other.tls.key_file.clone(),
            ..files.tls.clone()
        };
        assert!(error(foreign).contains(" with private key "));
        let caless = Tls {
            client_ca_file: Some("missing.pem".into()),
            ..files.tls.clone()
        };
        assert!(error(caless).starts_with("client CA missing.pem: "));
    }

    #[test]
    fn suites_for_another_kind_of_key_serve_nobody() {
        // The key is for ECDSA.
        let limited = |suites: &[CipherSuite], max| {
            let files = files();
            let tls = Tls {
                suites: suites.to_vec(),
                max,
                ..files.tls.clone()
            };
            Terms::load(tls).err().map(|error| error.to_string())
        };
        let rsa = CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
        let ecdsa = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
        let error = limited(&[rsa], TlsVersion::Tls12).unwrap();
        assert!(error.contains("goes with the kind of key in "), "{error}");
        assert_eq!(limited(&[rsa], TlsVersion::Tls13), None);
        assert_eq!(limited(&[rsa, ecdsa], TlsVersion::Tls12), None);
    }

    #[test]
    fn a_failed_reload_keeps_what_was_there() {
        let files = files();
        let terms = Terms::load(files.tls.clone()).unwrap();
        let before = terms.current();
        std::fs::write(&files.tls.cert_file, "nonsense").unwrap();
        assert!(terms.reload().is_err());
        assert!(Arc::ptr_eq(&before, &terms.current()));
        let other = self::files();
        std::fs::copy(&other.tls.cert_file, &files.tls.cert_file).unwrap();
        std::fs::copy(&other.tls.key_file, &files.tls.key_file).unwrap();
        terms.reload().unwrap();
        assert!(!Arc::ptr_eq(&before, &terms.current()));
    }
}
