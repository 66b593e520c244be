//! What is done for a request: JSON in, JSON out, and between them the cryptography alone.

use aws_lc_rs::error::Unspecified;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::cipher::Cipher;
use crate::signer::{Kind, Signer};

const PREFIX: &str = "vault:v1:";

/// The keys of all work.
pub struct Keys {
    cipher: Cipher,
    signer: Signer,
}

#[derive(Deserialize)]
struct Encrypt<'a> {
    #[serde(borrow)]
    plaintext: &'a str,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch_input: Vec<Encrypt<'a>>,
}

#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow)]
    ciphertext: &'a str,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    input: &'a str,
    #[serde(borrow, default)]
    signature: &'a str,
}

impl Keys {
    /// Draws them.
    pub fn new() -> Result<Self, Unspecified> {
        Ok(Self {
            cipher: Cipher::new()?,
            signer: Signer::new()?,
        })
    }

    /// The answer to a POST; nothing where the body is not what the path takes.
    pub fn answer(&self, path: &str, body: &[u8]) -> Option<String> {
        let call = path.rsplit('/').nth(1).unwrap_or_default();
        let kind = match path.ends_with("ed25519") {
            true => Kind::Ed25519,
            false => Kind::P256,
        };
        match call {
            "decrypt" => self.decrypt(body),
            "rewrap" => self.rewrap(body),
            "plaintext" => self.data_key(),
            "hmac" => self.tag(body),
            "sign" => self.sign(kind, body),
            "verify" => self.verify(kind, body),
            _ if body.starts_with(b"{\"batch_input\"") => self.batch(body),
            _ => self.encrypt(body),
        }
    }

    fn encrypt(&self, body: &[u8]) -> Option<String> {
        let request: Encrypt<'_> = serde_json::from_slice(body).ok()?;
        let mut text = String::with_capacity(request.plaintext.len() + 128);
        text.push_str(r#"{"data":{"ciphertext":""#);
        self.cipher.seal_into(request.plaintext, &mut text)?;
        text.push_str(r#"","key_version":1}}"#);
        Some(text)
    }

    fn batch(&self, body: &[u8]) -> Option<String> {
        let request: Batch<'_> = serde_json::from_slice(body).ok()?;
        let mut text = String::with_capacity(2 * body.len());
        text.push_str(r#"{"data":{"batch_results":["#);
        for (at, item) in request.batch_input.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "," });
            text.push_str(r#"{"ciphertext":""#);
            self.cipher.seal_into(item.plaintext, &mut text)?;
            text.push_str(r#"","key_version":1}"#);
        }
        text.push_str("]}}");
        Some(text)
    }

    fn decrypt(&self, body: &[u8]) -> Option<String> {
        let request: Sealed<'_> = serde_json::from_slice(body).ok()?;
        let mut text = String::with_capacity(request.ciphertext.len() + 64);
        text.push_str(r#"{"data":{"plaintext":""#);
        self.cipher.open_into(request.ciphertext, &mut text)?;
        text.push_str(r#""}}"#);
        Some(text)
    }

    fn rewrap(&self, body: &[u8]) -> Option<String> {
        let request: Sealed<'_> = serde_json::from_slice(body).ok()?;
        let mut plaintext = String::new();
        self.cipher.open_into(request.ciphertext, &mut plaintext)?;
        let mut text = String::with_capacity(request.ciphertext.len() + 64);
        text.push_str(r#"{"data":{"ciphertext":""#);
        self.cipher.seal_into(&plaintext, &mut text)?;
        text.push_str(r#"","key_version":1}}"#);
        Some(text)
    }

    fn data_key(&self) -> Option<String> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).ok()?;
        let key = STANDARD.encode(key);
        let mut text = String::with_capacity(256);
        text.push_str(r#"{"data":{"ciphertext":""#);
        self.cipher.seal_into(&key, &mut text)?;
        text.push_str(r#"","key_version":1,"plaintext":""#);
        text.push_str(&key);
        text.push_str(r#""}}"#);
        Some(text)
    }

    fn tag(&self, body: &[u8]) -> Option<String> {
        let request: Input<'_> = serde_json::from_slice(body).ok()?;
        let tag = self.signer.tag(&STANDARD.decode(request.input).ok()?);
        Some(format!(
            r#"{{"data":{{"hmac":"{PREFIX}{}"}}}}"#,
            STANDARD.encode(tag)
        ))
    }

    fn sign(&self, kind: Kind, body: &[u8]) -> Option<String> {
        let request: Input<'_> = serde_json::from_slice(body).ok()?;
        let message = STANDARD.decode(request.input).ok()?;
        let signature = STANDARD.encode(self.signer.sign(kind, &message)?);
        Some(format!(
            r#"{{"data":{{"key_version":1,"signature":"{PREFIX}{signature}"}}}}"#
        ))
    }

    fn verify(&self, kind: Kind, body: &[u8]) -> Option<String> {
        let request: Input<'_> = serde_json::from_slice(body).ok()?;
        let message = STANDARD.decode(request.input).ok()?;
        let signature = request.signature.strip_prefix(PREFIX)?;
        let valid = self
            .signer
            .verify(kind, &message, &STANDARD.decode(signature).ok()?);
        Some(format!(r#"{{"data":{{"valid":{valid}}}}}"#))
    }

    /// Nanoseconds that one item of 32 bytes costs without JSON and HTTP: base64, AES-256-GCM, base64.
    pub fn bare_item(&self) -> Option<f64> {
        const ITEMS: u32 = 200_000;
        let plaintext = STANDARD.encode([7; 32]);
        let mut text = String::with_capacity(256);
        let start = std::time::Instant::now();
        for _ in 0..ITEMS {
            text.clear();
            self.cipher.seal_into(&plaintext, &mut text)?;
            std::hint::black_box(&text);
        }
        Some(start.elapsed().as_secs_f64() * 1e9 / f64::from(ITEMS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(keys: &Keys, path: &str, body: &str) -> serde_json::Value {
        let text = keys.answer(path, body.as_bytes());
        serde_json::from_str(&text.unwrap()).unwrap()
    }

    #[test]
    fn what_was_encrypted_decrypts_and_is_rewrapped() {
        let keys = Keys::new().unwrap();
        let mut sealed = asked(
            &keys,
            "/v1/transit/encrypt/k",
            r#"{"plaintext":"aGVsbG8="}"#,
        );
        for call in ["rewrap", "decrypt"] {
            let ciphertext = sealed["data"]["ciphertext"].as_str().unwrap().to_owned();
            assert!(ciphertext.starts_with(PREFIX));
            let body = format!(r#"{{"ciphertext":"{ciphertext}"}}"#);
            sealed = asked(&keys, &format!("/v1/transit/{call}/k"), &body);
        }
        assert_eq!(sealed["data"]["plaintext"], "aGVsbG8=");
        let body = r#"{"batch_input":[{"plaintext":"aGVsbG8="},{"plaintext":""}]}"#;
        let batch = asked(&keys, "/v1/transit/encrypt/k", body);
        assert_eq!(batch["data"]["batch_results"].as_array().unwrap().len(), 2);
        let key = asked(&keys, "/v1/transit/datakey/plaintext/k", "{}");
        let body = format!(r#"{{"ciphertext":{}}}"#, key["data"]["ciphertext"]);
        let opened = asked(&keys, "/v1/transit/decrypt/k", &body);
        assert_eq!(opened["data"]["plaintext"], key["data"]["plaintext"]);
    }

    #[test]
    fn what_was_signed_is_valid() {
        let keys = Keys::new().unwrap();
        for name in ["ed25519", "p256"] {
            let signed = asked(
                &keys,
                &format!("/v1/transit/sign/{name}"),
                r#"{"input":"aGk="}"#,
            );
            for (input, valid) in [("aGk=", true), ("aG8=", false)] {
                let signature = &signed["data"]["signature"];
                let body = format!(r#"{{"input":"{input}","signature":{signature}}}"#);
                let verified = asked(&keys, &format!("/v1/transit/verify/{name}"), &body);
                assert_eq!(verified["data"]["valid"], valid);
            }
        }
        let tag = asked(&keys, "/v1/transit/hmac/k", r#"{"input":"aGk="}"#);
        assert!(tag["data"]["hmac"].as_str().unwrap().starts_with(PREFIX));
    }

    #[test]
    fn bad_bodies_and_foreign_ciphertexts_are_refused() {
        let keys = Keys::new().unwrap();
        for body in [&b"{"[..], b"{}", br#"{"plaintext":"!"}"#] {
            assert!(keys.answer("/v1/transit/encrypt/k", body).is_none());
        }
        for text in ["", "vault:v1:", "vault:v1:AAAA", "vault:v2:aGVsbG8="] {
            let body = format!(r#"{{"ciphertext":"{text}"}}"#);
            let answer = keys.answer("/v1/transit/decrypt/k", body.as_bytes());
            assert!(answer.is_none(), "{text}");
        }
    }
}
