//! Sets of keys: JWK (RFC 7517) from an issuer, PEM from the configuration.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::signature::{Algorithm, PublicKey};

/// Keys of a set that are looked at; no issuer has so many.
const MAX_KEYS: usize = 256;

/// A key, and what the set says of it.
#[derive(Clone)]
pub(super) struct Key {
    /// How tokens name it.
    pub(super) kid: Option<String>,
    /// What it is for; anything that fits where absent.
    pub(super) algorithm: Option<Algorithm>,
    /// The key.
    pub(super) public: PublicKey,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a set that can sign tokens; those of other kinds are passed over. None where the
/// bytes are no set.
pub(super) fn parse_set(bytes: &[u8]) -> Option<Vec<Key>> {
    let set: Set = serde_json::from_slice(bytes).ok()?;
    let jwks = set.keys.into_iter().take(MAX_KEYS);
    let jwks = jwks.filter_map(|jwk| serde_json::from_value::<Jwk>(jwk).ok());
    Some(jwks.filter_map(Jwk::key).collect())
}

impl Jwk {
    fn key(self) -> Option<Key> {
        if self
            .purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "sig")
        {
            return None;
        }
        let algorithm = match self.alg.as_deref() {
            None => None,
            // A key for an algorithm that we do not have is none.
            Some(name) => Some(Algorithm::parse(name)?),
        };
        let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let public = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let [n, e] = [part(&self.n)?, part(&self.e)?].map(|mut number| {
                    let zeros = number.iter().take_while(|byte| **byte == 0).count();
                    number.drain(..zeros);
                    number
                });
                PublicKey::Rsa { n, e }
            }
            ("EC", Some("P-256")) => PublicKey::P256(point(&part(&self.x)?, &part(&self.y)?)),
            ("EC", Some("P-384")) => PublicKey::P384(point(&part(&self.x)?, &part(&self.y)?)),
            ("EC", Some("P-521")) => PublicKey::P521(point(&part(&self.x)?, &part(&self.y)?)),
            ("OKP", Some("Ed25519")) => PublicKey::Ed25519(part(&self.x)?),
            _ => return None,
        };
        Some(Key {
            kid: self.kid,
            algorithm,
            public,
        })
    }
}

/// Uncompressed, as SEC 1 has it.
fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

/// The key in a PEM text: a public key, or the certificate of one. The error says what is wrong.
pub(super) fn parse_pem(text: &str) -> Result<Key, &'static str> {
    const NONE: &str = "data does not contain any valid public keys";
    let pem = Pem::iter_from_buffer(text.as_bytes()).next();
    let pem = pem.and_then(Result::ok).ok_or(NONE)?;
    let public = match pem.label.as_str() {
        "CERTIFICATE" => X509Certificate::from_der(&pem.contents)
            .ok()
            .and_then(|(_, certificate)| PublicKey::from_der(certificate.public_key().raw)),
        _ => PublicKey::from_der(&pem.contents),
    };
    let public =
        public.ok_or("neither a public key of RSA, EC or Ed25519 nor a certificate of one")?;
    Ok(Key {
        kid: None,
        algorithm: None,
        public,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_the_keys_that_can_sign() {
        let set = br#"{"keys":[
            {"kty":"EC","crv":"P-256","kid":"a","use":"sig","alg":"ES256","x":"AQ","y":"Ag"},
            {"kty":"RSA","kid":"b","n":"AAEC","e":"AQAB"},
            {"kty":"OKP","crv":"Ed25519","x":"AQ"},
            {"kty":"RSA","kid":"enc","use":"enc","n":"AQ","e":"AQAB"},
            {"kty":"oct","k":"AQ","alg":"HS256"},
            {"kty":"RSA","alg":"HS256","n":"AQ","e":"AQAB"},
            {"kty":"EC","crv":"secp256k1","x":"AQ","y":"Ag"},
            {"kty":"RSA","n":"!","e":"AQAB"},
            5]}"#;
        let keys = parse_set(set).unwrap();
        let kids: Vec<_> = keys.iter().map(|key| key.kid.as_deref()).collect();
        assert_eq!(kids, [Some("a"), Some("b"), None]);
        assert!(matches!(&keys[0].public, PublicKey::P256(point) if *point == [4, 1, 2]));
        assert!(matches!(&keys[1].public, PublicKey::Rsa { n, .. } if *n == [1, 2]));
        assert!(parse_set(b"{}").is_none() && parse_set(b"x").is_none());
    }

    #[test]
    fn pem_of_other_things_is_refused() {
        for text in [
            "",
            "x",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(parse_pem(text).is_err(), "{text}");
        }
    }
}
