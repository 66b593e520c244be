//! A service's own key, as the transit engine serves it: versions, each of which encrypts.
//!
//! ```text
//!   KeyType ─┐
//!   material ┴→ ServiceKey (one version) ─┬─ cipher() ──────┬→ ServiceCipher → nonce | ct | tag
//!                                         └─ derive(context)┘                  └─ Ciphertext ──┐
//!                                                                 vault:v<version>:<base64> ◄──┘
//! ```
//!
//! Byte formats are those of existing servers, so ciphertexts move between them and this one.

mod ciphertext;
#[cfg(test)]
mod golden;
mod key_type;
mod service_key;

pub use ciphertext::{Ciphertext, CiphertextError};
pub use key_type::KeyType;
pub use service_key::{ServiceCipher, ServiceKey};
