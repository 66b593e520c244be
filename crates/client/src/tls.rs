//! Certificates of both sides, read from files.

use std::fs;
use std::path::{Path, PathBuf};

use keyfold_secret::Secret;
use reqwest::{Certificate, ClientBuilder, Identity};

use crate::{Address, ClientConfig, ConfigError};

/// `builder` with the TLS settings of `config`.
pub(crate) fn configure(
    builder: ClientBuilder,
    config: &ClientConfig,
    address: &Address,
) -> Result<ClientBuilder, ConfigError> {
    if !address.is_tls() {
        // No TLS on this address: the system's certificates need not be there, nor be parsed.
        return Ok(builder.tls_certs_only([]));
    }
    let mut builder = builder.tls_danger_accept_invalid_certs(config.skip_verify);
    let authorities = authorities(config)?;
    if config.skip_verify {
        builder = builder.tls_certs_only([]);
    } else if !authorities.is_empty() {
        builder = builder.tls_certs_only(authorities);
    }
    match (&config.client_cert, &config.client_key) {
        (Some(certificate), Some(key)) => Ok(builder.identity(identity(certificate, key)?)),
        (None, None) => Ok(builder),
        _ => Err(ConfigError::HalfIdentity),
    }
}

fn authorities(config: &ClientConfig) -> Result<Vec<Certificate>, ConfigError> {
    if let Some(text) = &config.ca_cert_bytes {
        let found = Certificate::from_pem_bundle(text).ok();
        return found
            .filter(|found| !found.is_empty())
            .ok_or(ConfigError::PemText);
    }
    let mut files = Vec::new();
    if let Some(file) = &config.ca_cert {
        files.push(file.clone());
    } else if let Some(folder) = &config.ca_path {
        files = files_in(folder)?;
    }
    let mut all = Vec::new();
    for file in files {
        let found = Certificate::from_pem_bundle(&read(&file)?)
            .ok()
            .filter(|found| !found.is_empty())
            .ok_or_else(|| ConfigError::Pem {
                path: file.clone(),
                wanted: "certificate",
            })?;
        all.extend(found);
    }
    Ok(all)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |source| ConfigError::File {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(ConfigError::Pem {
            path: folder.to_owned(),
            wanted: "certificate",
        });
    }
    Ok(files)
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, ConfigError> {
    let mut pem = Secret::new(read(key)?);
    pem.expose_mut().push(b'\n');
    pem.expose_mut().extend_from_slice(&read(certificate)?);
    Identity::from_pem(pem.expose()).map_err(|_| ConfigError::Pem {
        path: certificate.to_owned(),
        wanted: "certificate with a key that fits",
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|source| ConfigError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: &ClientConfig) -> String {
        let address = Address::parse(&config.address).unwrap();
        match configure(ClientBuilder::new(), config, &address) {
            Ok(_) => panic!("it passed"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let mut config = ClientConfig {
            ca_cert: Some(file.clone()),
            ..ClientConfig::default()
        };
        assert!(refused(&config).contains("ca.pem"), "missing");
        fs::write(&file, "not a certificate").unwrap();
        assert!(refused(&config).contains("ca.pem"), "not PEM");
        config.ca_cert_bytes = Some(b"no certificate".to_vec());
        assert!(refused(&config).contains("VAULT_CACERT_BYTES"));
        config.ca_cert_bytes = None;
        config.ca_cert = None;
        config.ca_path = Some(folder.path().to_owned());
        assert!(refused(&config).contains("ca.pem"), "in a folder");
        fs::remove_file(&file).unwrap();
        assert!(refused(&config).contains("certificate"), "an empty folder");
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let config = ClientConfig {
            client_cert: Some(PathBuf::from("c.pem")),
            skip_verify: true,
            ..ClientConfig::default()
        };
        assert!(refused(&config).contains("key"));
    }
}
