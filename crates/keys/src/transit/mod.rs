//! A service's own key, as the transit engine serves it: versions, each of which encrypts.
//!
//! ```text
//!   KeyType ─┐
//!   material ┴→ ServiceKey (one version) ─┬─ cipher() ──────┬→ ServiceCipher → nonce | ct | tag
//!                                         ├─ derive(context)┘                  └─ Ciphertext ──┐
//!                                         ├─ sign · verify · hmac · cmac (signature) ──────────┤
//!                                         │                       vault:v<version>:<base64> ◄──┘
//!                                         └─ form (PKCS#1, SEC 1, PKCS#8, PEM) · numbers · wrap
//! ```
//!
//! Byte formats are those of existing servers, so ciphertexts move between them and this one.

mod cipher;
mod ciphertext;
mod ecdsa;
mod ed25519;
mod fingerprint;
mod form;
#[cfg(test)]
mod golden;
mod hybrid;
mod kdf;
mod key_bytes;
mod key_type;
mod mac;
mod ml_dsa;
mod numbers;
mod outside;
mod pem;
mod pkcs8;
mod rsa;
mod service_key;
mod signature;
mod wrap;

pub use cipher::ServiceCipher;
pub use ciphertext::{Ciphertext, CiphertextError};
pub use ecdsa::Curve;
pub use form::Form;
pub use hybrid::CurveHalf;
pub use kdf::Kdf;
pub use key_type::{Family, KeyType, Nonces};
pub use ml_dsa::ParameterSet;
pub use numbers::{Numbers, RsaPrivate};
pub use outside::{Block, curve_of, signature_of};
pub use pem::{from_pem, to_pem};
pub use service_key::{HMAC_SIZES, ServiceKey};
pub use signature::{Padding, Salt, Scheme};
pub use wrap::{unwrap, wrap};
