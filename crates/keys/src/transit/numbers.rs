//! [`Numbers`]: keys as the decimal numbers that backups of existing servers hold.

use keyfold_secret::Secret;

use super::key_type::Family;
use super::{KeyType, ServiceKey, rsa};
use crate::error::Error;

/// The numbers of a key, in decimal.
pub enum Numbers {
    /// Of ECDSA.
    Ec {
        /// The point.
        x: String,
        /// The point.
        y: String,
        /// The private key, if it is here.
        d: Option<Secret<String>>,
    },
    /// Of RSA.
    Rsa {
        /// The modulus.
        n: String,
        /// The public exponent.
        e: String,
        /// The private key, if it is here.
        private: Option<RsaPrivate>,
    },
}

/// The private numbers of an RSA key, in decimal.
pub struct RsaPrivate {
    /// The private exponent.
    pub d: Secret<String>,
    /// The two primes.
    pub primes: [Secret<String>; 2],
    /// The private exponent for each prime; may be empty when a key is read.
    pub exponents: [Secret<String>; 2],
    /// The inverse of the second prime; may be empty when a key is read.
    pub coefficient: Secret<String>,
}

impl ServiceKey {
    /// The numbers of the key; `None` for types that are bytes and no numbers.
    pub fn numbers(&self) -> Option<Numbers> {
        let secret = |number: &[u8]| Secret::new(rsa::to_decimal(number));
        match self.kind().family() {
            Family::Ecdsa(curve) => {
                let (_, point) = self.public().split_first()?;
                let (x, y) = point.split_at_checked(curve.scalar_len())?;
                Some(Numbers::Ec {
                    x: rsa::to_decimal(x),
                    y: rsa::to_decimal(y),
                    d: (!self.is_public_only()).then(|| secret(self.expose())),
                })
            }
            Family::Rsa(len) => {
                let (modulus, exponent) = rsa::split(self.public(), len).ok()?;
                let private = rsa::Numbers::of(self.expose()).ok();
                Some(Numbers::Rsa {
                    n: rsa::to_decimal(modulus),
                    e: rsa::to_decimal(exponent),
                    private: private.map(|numbers| RsaPrivate {
                        d: secret(numbers.private),
                        primes: numbers.primes.map(secret),
                        exponents: numbers.exponents.map(secret),
                        coefficient: secret(numbers.coefficient),
                    }),
                })
            }
            Family::Aead(_)
            | Family::Ed25519
            | Family::Hmac
            | Family::Cmac(_)
            | Family::MlDsa(_)
            | Family::Hybrid(..)
            | Family::Kem(_) => None,
        }
    }

    /// The key with these numbers and this key for HMAC.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when they are no numbers of the type, or do not belong together.
    pub fn from_numbers(kind: KeyType, numbers: &Numbers, hmac: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed("numbers of a key");
        match (kind.family(), numbers) {
            (Family::Ecdsa(curve), Numbers::Ec { x, y, d }) => {
                let bytes = |text| rsa::decimal_bytes(text, curve.scalar_len()).ok_or(MALFORMED);
                let point = [&[4][..], &bytes(x)?, &bytes(y)?].concat();
                let Some(d) = d else {
                    return Self::public_only(kind, &point);
                };
                let scalar = Secret::new(bytes(d.expose())?);
                let key = Self::new(kind, scalar.expose(), Some(hmac))?;
                match key.public() == point {
                    true => Ok(key),
                    false => Err(MALFORMED),
                }
            }
            (Family::Rsa(_), Numbers::Rsa { n, e, private }) => {
                let Some(RsaPrivate { d, primes, .. }) = private else {
                    return Self::public_only(kind, &rsa::public_from_decimals(n, e)?);
                };
                let primes = primes.each_ref().map(|prime| prime.expose().as_str());
                let key = rsa::from_decimals(n, e, d.expose(), primes)?;
                Self::new(kind, key.expose(), Some(hmac))
            }
            _ => Err(MALFORMED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back() {
        for kind in [
            KeyType::EcdsaP256,
            KeyType::EcdsaP384,
            KeyType::EcdsaP521,
            KeyType::Rsa2048,
        ] {
            let key = ServiceKey::generate(kind, 0).unwrap();
            let numbers = key.numbers().unwrap();
            let again = ServiceKey::from_numbers(kind, &numbers, key.hmac_key()).unwrap();
            assert_eq!(again.to_record().expose(), key.to_record().expose());
            let public = ServiceKey::public_only(kind, key.public()).unwrap();
            let numbers = public.numbers().unwrap();
            let again = ServiceKey::from_numbers(kind, &numbers, &[]).unwrap();
            assert!(again.is_public_only() && again.public() == key.public());
            let other = ServiceKey::generate(kind, 0).unwrap().numbers().unwrap();
            let mixed = match (numbers, other) {
                (Numbers::Ec { x, y, .. }, Numbers::Ec { d, .. }) => Numbers::Ec { x, y, d },
                (Numbers::Rsa { n, e, .. }, Numbers::Rsa { private, .. }) => {
                    Numbers::Rsa { n, e, private }
                }
                _ => panic!("numbers of two types"),
            };
            assert!(ServiceKey::from_numbers(kind, &mixed, &[1; 32]).is_err());
        }
        let key = ServiceKey::generate(KeyType::Ed25519, 0).unwrap();
        assert!(key.numbers().is_none());
    }
}
