//! AES-256-GCM under one key that lives as long as the program, from base64 to base64.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use base64::{Engine as _, engine::general_purpose::STANDARD};

const PREFIX: &str = "vault:v1:";

/// One key. Ciphertexts look like those of a transit key at version 1.
pub struct Cipher {
    key: LessSafeKey,
}

impl Cipher {
    /// Draws the key.
    pub fn new() -> Result<Self, Unspecified> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes)?;
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes)?),
        })
    }

    /// Seals base64 text under a random nonce and appends the ciphertext's text to `out`.
    pub fn seal_into(&self, plaintext: &str, out: &mut String) -> Option<()> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + 16);
        sealed.extend_from_slice(&nonce);
        STANDARD.decode_vec(plaintext, &mut sealed).ok()?;
        let (_, message) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), message)
            .ok()?;
        sealed.extend_from_slice(tag.as_ref());
        out.push_str(PREFIX);
        STANDARD.encode_string(&sealed, out);
        Some(())
    }

    /// Opens a ciphertext's text and appends the plaintext in base64 to `out`.
    pub fn open_into(&self, ciphertext: &str, out: &mut String) -> Option<()> {
        let mut sealed = STANDARD.decode(ciphertext.strip_prefix(PREFIX)?).ok()?;
        let (nonce, message) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plaintext = self.key.open_in_place(nonce, Aad::empty(), message).ok()?;
        STANDARD.encode_string(plaintext, out);
        Some(())
    }
}
