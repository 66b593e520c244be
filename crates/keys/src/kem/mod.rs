//! Key encapsulation: a secret for the holder of a private key, which only he finds in what is sent.
//!
//! ```text
//!   public key ──→ encapsulate ──→ encapsulation ─────┐
//!                        └──→ secret 32 ┐             ▼
//!   seed ─────────────────────────────┐ │    decapsulate ──→ the same secret
//!                                     └─┼────────▲
//!                                       ▼
//!                          hpke: a key, a nonce, AES-256-GCM
//! ```
//!
//! A private key is its seed, from which the rest is made each time: 32 or 64 bytes have to be
//! protected in place of thousands, and a seed can't be a key that does not fit itself.
//!
//! | take | to |
//! |---|---|
//! | [`hpke::seal`], [`hpke::open`] | send something to the holder of a private key |
//! | [`Kem`] | have the shared secret itself |

pub mod hpke;
mod ml_kem;
mod x_wing;

use keyfold_secret::Secret;

pub(crate) use self::ml_kem::private as ml_kem_private;
use crate::error::Error;

/// Bytes of a shared secret.
pub const SECRET_LEN: usize = 32;

/// A mechanism to share a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kem {
    /// ML-KEM-768 (FIPS 203).
    MlKem768,
    /// X-Wing: ML-KEM-768 and X25519, of which either protects the secret
    /// (draft-connolly-cfrg-xwing-kem, also named MLKEM768-X25519).
    XWing,
}

impl Kem {
    /// Bytes of a seed: of ML-KEM `d` and `z`, of X-Wing what both are made from.
    pub const fn seed_len(self) -> usize {
        match self {
            Self::MlKem768 => ml_kem::SEED_LEN,
            Self::XWing => x_wing::SEED_LEN,
        }
    }

    /// Bytes of a public key.
    pub const fn public_len(self) -> usize {
        match self {
            Self::MlKem768 => ml_kem::PUBLIC_LEN,
            Self::XWing => x_wing::PUBLIC_LEN,
        }
    }

    /// Bytes of an encapsulation.
    pub const fn encapsulation_len(self) -> usize {
        match self {
            Self::MlKem768 => ml_kem::ENCAPSULATION_LEN,
            Self::XWing => x_wing::ENCAPSULATION_LEN,
        }
    }

    /// Its number in HPKE.
    const fn id(self) -> u16 {
        match self {
            Self::MlKem768 => 0x0041,
            Self::XWing => 0x647a,
        }
    }

    /// The public key of a seed.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is not [`Kem::seed_len`] bytes long.
    pub fn public(self, seed: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::MlKem768 => ml_kem::public(seed),
            Self::XWing => x_wing::public(seed),
        }
    }

    /// Whether these bytes are a public key.
    pub fn is_public(self, public: &[u8]) -> bool {
        // The library looks at a key when it is used.
        self.encapsulate(public).is_ok()
    }

    /// A new secret for the holder of the private key: what is sent to him, and the secret.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the public key is none.
    pub fn encapsulate(self, public: &[u8]) -> Result<(Vec<u8>, Secret<Vec<u8>>), Error> {
        match self {
            Self::MlKem768 => ml_kem::encapsulate(public),
            Self::XWing => x_wing::encapsulate(public),
        }
    }

    /// The secret in an encapsulation. One that was made for another key, or was changed, gives
    /// another secret and no error.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the seed or the encapsulation has not the length that it must have;
    /// [`Error::WrongKey`] when the encapsulation is one that nobody makes.
    pub fn decapsulate(self, seed: &[u8], encapsulation: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        match self {
            Self::MlKem768 => ml_kem::decapsulate(seed, encapsulation),
            Self::XWing => x_wing::decapsulate(seed, encapsulation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    #[test]
    fn two_sides_share_a_secret() {
        for kem in [Kem::MlKem768, Kem::XWing] {
            let mut seed = vec![0; kem.seed_len()];
            rng::fill(&mut seed);
            let public = kem.public(&seed).unwrap();
            assert_eq!(public.len(), kem.public_len());
            assert!(kem.is_public(&public) && !kem.is_public(&public[1..]));
            let (sent, secret) = kem.encapsulate(&public).unwrap();
            assert_eq!(sent.len(), kem.encapsulation_len());
            assert_eq!(secret.expose().len(), SECRET_LEN);
            let found = kem.decapsulate(&seed, &sent).unwrap();
            assert_eq!(found.expose(), secret.expose());
            let (again, _) = kem.encapsulate(&public).unwrap();
            assert_ne!(sent, again);
            for at in [0, sent.len() / 2, sent.len() - 2] {
                let mut changed = sent.clone();
                changed[at] ^= 1;
                let found = kem.decapsulate(&seed, &changed).unwrap();
                assert_ne!(found.expose(), secret.expose(), "byte {at}");
            }
            for wrong in [0, 1, sent.len() - 1] {
                assert!(kem.decapsulate(&seed, &sent[..wrong]).is_err());
            }
            assert!(kem.public(&seed[1..]).is_err());
            assert!(kem.decapsulate(&seed[1..], &sent).is_err());
        }
    }
}
