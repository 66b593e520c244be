//! `tls_cipher_suites`: which suites of TLS 1.2 are spoken. Those of 1.3 are few and all sound, and
//! stay whatever is said, as in existing servers.

use rustls::CipherSuite;
use rustls::crypto::aws_lc_rs;

use super::place::{ConfigError, Placed};

/// What two suites are called besides.
const SHORT: [&str; 2] = [
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
];
/// Names of TLS 1.3.
const ALWAYS: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// The suites of TLS 1.2 that are named; where nothing is said, all that there are.
pub fn resolve(named: Option<&Placed<Vec<String>>>) -> Result<Vec<CipherSuite>, ConfigError> {
    let Some(named) = named.filter(|named| !named.value.is_empty()) else {
        return Ok(all());
    };
    let mut suites = Vec::new();
    for name in &named.value {
        if ALWAYS.contains(&name.as_str()) {
            continue;
        }
        let full = match SHORT.contains(&name.as_str()) {
            true => format!("{name}_SHA256"),
            false => name.clone(),
        };
        let found = offered().find(|(offered, _)| *offered == full);
        let (_, suite) = found.ok_or_else(|| {
            let known: Vec<_> = offered().map(|(name, _)| name).collect();
            named.wrong(format!(
                "\"tls_cipher_suites\": {name:?} is not offered; there are {}",
                known.join(", ")
            ))
        })?;
        suites.push(suite);
    }
    Ok(suites)
}

/// All that there are.
pub fn all() -> Vec<CipherSuite> {
    offered().map(|(_, suite)| suite).collect()
}

/// Those of TLS 1.2.
fn offered() -> impl Iterator<Item = (&'static str, CipherSuite)> {
    let suites = aws_lc_rs::ALL_CIPHER_SUITES.iter();
    suites
        .filter(|suite| suite.tls13().is_none())
        .filter_map(|suite| Some((suite.suite().as_str()?, suite.suite())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str]) -> Result<Vec<CipherSuite>, String> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        resolve(Some(&Placed::given(names))).map_err(|error| error.to_string())
    }

    #[test]
    fn named_suites_are_those_of_tls_1_2() {
        assert_eq!(resolve(None).unwrap().len(), 6);
        assert_eq!(
            read(&[
                "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                "TLS_AES_128_GCM_SHA256"
            ]),
            Ok(vec![CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384])
        );
        assert_eq!(
            read(&["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"]),
            Ok(vec![
                CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
            ])
        );
        assert_eq!(read(&["TLS_AES_128_GCM_SHA256"]), Ok(Vec::new()));
        for name in [
            "TLS_RSA_WITH_AES_128_CBC_SHA",
            "tls_aes",
            "TLS13_AES_128_GCM_SHA256",
        ] {
            let error = read(&[name]).unwrap_err();
            assert!(
                error.contains(&format!("{name:?} is not offered")),
                "{error}"
            );
        }
    }
}
