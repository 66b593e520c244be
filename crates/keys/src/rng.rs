//! The one source of randomness: the generator of AWS-LC, seeded by the operating system.

use std::num::NonZeroU8;

use aws_lc_rs::rand;
use rand_core::{CryptoRng, RngCore};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Overwrites `out` with random bytes.
pub fn fill(out: &mut [u8]) {
    #[expect(
        clippy::expect_used,
        reason = "AWS-LC ends the process when it has no randomness; it never returns failure"
    )]
    rand::fill(out).expect("AWS-LC always gives randomness");
}

/// `N` random bytes that need no protection: nonces, salts, identifiers. For keys use [`fill`] on
/// protected memory.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill(&mut out);
    out
}

/// `length` characters of `0-9A-Za-z`, each equally likely.
pub fn base62(length: usize) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // 248 = 4 · 62: what lies above would favour the first characters.
        let fair = bytes::<32>().into_iter().filter(|b| *b < 248);
        let wanted = length - text.len();
        text.extend(
            fair.filter_map(|b| BASE62.get(usize::from(b % 62)))
                .take(wanted)
                .map(|b| char::from(*b)),
        );
    }
    text
}

/// A random number less than `limit`, each as likely as the others.
pub fn below(limit: NonZeroU8) -> u8 {
    let limit = limit.get();
    // Values of an incomplete last round would favour the small numbers: draw again.
    let uneven = (u8::MAX % limit).wrapping_add(1) % limit;
    loop {
        let [draw] = bytes::<1>();
        if draw <= u8::MAX - uneven {
            return draw % limit;
        }
    }
}

/// The same, as crates ask for it that bring a trait of their own.
pub struct Chance;

impl RngCore for Chance {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(bytes())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(bytes())
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        fill(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core::Error> {
        fill(out);
        Ok(())
    }
}

impl CryptoRng for Chance {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base62_has_its_length_and_alphabet() {
        for length in [0, 1, 24, 95] {
            let text = base62(length);
            assert_eq!(text.len(), length);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>(), bytes::<32>());
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        for limit in [1, 2, 62, 128, 255] {
            let mut seen = [0_u32; 256];
            for _ in 0..limit as u32 * 60 {
                seen[below(NonZeroU8::new(limit).unwrap()) as usize] += 1;
            }
            // One number is missed with a chance of e^-60.
            assert!(
                seen[..limit as usize].iter().all(|&count| count > 0),
                "{limit}"
            );
            assert!(
                seen[limit as usize..].iter().all(|&count| count == 0),
                "{limit}"
            );
        }
    }

    /// The remainder of a byte by 200 would be less than 56 in 112 of 256 cases.
    #[test]
    fn below_favours_no_number() {
        let limit = NonZeroU8::new(200).unwrap();
        let low = (0..20_000).filter(|_| below(limit) < 56).count();
        // 5,600 are expected, with a deviation of 64; the remainder would give 8,750.
        assert!((5000..6200).contains(&low), "{low}");
    }
}
