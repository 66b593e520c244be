//! How a hash is written before RSA's private operation makes a signature of it (RFC 8017, 9):
//! EMSA-PSS with salts of any length, and EMSA-PKCS1-v1_5.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::der::{self, tag};
use crate::digest::Digest;
use crate::rng;

/// Bytes of zeros that stand before the hash where it is hashed with the salt.
const PADDING: [u8; 8] = [0; 8];
/// The last byte of EMSA-PSS.
const TRAILER: u8 = 0xbc;

/// EMSA-PSS of a hash, `len` bytes; `None` where the salt has no room. The modulus has whole bytes,
/// so the first bit is the one that stays clear.
pub(super) fn pss(hash: Digest, hashed: &[u8], salt_len: usize, len: usize) -> Option<Vec<u8>> {
    let zeros = pss_room(hash, len)?.checked_sub(salt_len)?;
    let mut salt = vec![0; salt_len];
    rng::fill(&mut salt);
    let sum = hash.of(&[&PADDING, hashed, &salt].concat());
    let mut block = [&vec![0; zeros][..], &[1], &salt].concat();
    mask(hash, &sum, &mut block);
    *block.first_mut()? &= 0x7f;
    block.extend_from_slice(&sum);
    block.push(TRAILER);
    Some(block)
}

/// The longest salt.
pub(super) fn pss_room(hash: Digest, len: usize) -> Option<usize> {
    len.checked_sub(hash.size() + 2)
}

/// Whether a block is an EMSA-PSS of a hash, with a salt of this length, or of any.
pub(super) fn is_pss(hash: Digest, hashed: &[u8], salt_len: Option<usize>, block: &[u8]) -> bool {
    let split = || {
        let (trailer, rest) = block.split_last()?;
        let (masked, sum) = rest.split_at_checked(rest.len().checked_sub(hash.size())?)?;
        (*trailer == TRAILER && *masked.first()? < 0x80).then_some((masked, sum))
    };
    let Some((masked, sum)) = split() else {
        return false;
    };
    let mut block = masked.to_vec();
    mask(hash, sum, &mut block);
    if let Some(first) = block.first_mut() {
        *first &= 0x7f;
    }
    let zeros = block.iter().take_while(|byte| **byte == 0).count();
    let Some([1, salt @ ..]) = block.get(zeros..) else {
        return false;
    };
    salt_len.is_none_or(|len| len == salt.len())
        && hash.of(&[&PADDING, hashed, salt].concat()) == sum
}

/// EMSA-PKCS1-v1_5 of a hash, `len` bytes; without a hash function, of bytes as they are. `None`
/// where they have no room.
pub(super) fn pkcs1(hash: Option<Digest>, hashed: &[u8], len: usize) -> Option<Vec<u8>> {
    let info = digest_info(hash, hashed);
    // Eight bytes of padding at least.
    let padding = len
        .checked_sub(info.len() + 3)
        .filter(|count| *count >= 8)?;
    Some([&[0, 1][..], &vec![0xff; padding], &[0], &info].concat())
}

/// What EMSA-PKCS1-v1_5 pads: a `DigestInfo`; without a hash function, bytes as they are.
pub(in crate::transit) fn digest_info(hash: Option<Digest>, hashed: &[u8]) -> Vec<u8> {
    let Some(hash) = hash else {
        return hashed.to_vec();
    };
    let name = der::sequence(&[
        &der::element(tag::OID, oid(hash)),
        &der::element(tag::NULL, &[]),
    ]);
    der::sequence(&[&name, &der::element(tag::OCTETS, hashed)])
}

/// The same, looked at.
pub(super) fn is_pkcs1(hash: Option<Digest>, hashed: &[u8], block: &[u8]) -> bool {
    pkcs1(hash, hashed, block.len())
        .is_some_and(|expected| verify_slices_are_equal(&expected, block).is_ok())
}

/// MGF1 over a block.
fn mask(hash: Digest, seed: &[u8], block: &mut [u8]) {
    for (counter, part) in (0_u32..).zip(block.chunks_mut(hash.size())) {
        let pad = hash.of(&[seed, &counter.to_be_bytes()].concat());
        for (byte, pad) in part.iter_mut().zip(pad) {
            *byte ^= pad;
        }
    }
}

/// The object identifier of a hash function.
fn oid(hash: Digest) -> &'static [u8] {
    const fn nist(last: u8) -> [u8; 9] {
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last]
    }
    match hash {
        Digest::Sha1 => &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
        Digest::Sha2_256 => const { &nist(1) },
        Digest::Sha2_384 => const { &nist(2) },
        Digest::Sha2_512 => const { &nist(3) },
        Digest::Sha2_224 => const { &nist(4) },
        Digest::Sha3_224 => const { &nist(7) },
        Digest::Sha3_256 => const { &nist(8) },
        Digest::Sha3_384 => const { &nist(9) },
        Digest::Sha3_512 => const { &nist(10) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pss_round_trip() {
        let hash = Digest::Sha2_256;
        let hashed = hash.of(b"message");
        for salt in [0, 1, 32, 222] {
            let block = pss(hash, &hashed, salt, 256).unwrap();
            assert_eq!(block.len(), 256);
            assert!(
                is_pss(hash, &hashed, None, &block) && is_pss(hash, &hashed, Some(salt), &block)
            );
            assert!(!is_pss(hash, &hashed, Some(salt + 1), &block));
            assert!(!is_pss(hash, &hash.of(b"massage"), None, &block));
            for at in [0, 100, 255] {
                let mut changed = block.clone();
                changed[at] ^= 0x81;
                assert!(!is_pss(hash, &hashed, None, &changed), "{at}");
            }
        }
        assert!(pss(hash, &hashed, 223, 256).is_none());
        assert!(!is_pss(hash, &hashed, None, &[]) && !is_pss(hash, &hashed, None, &[0xbc; 20]));
    }

    #[test]
    fn pkcs1_of_any_length() {
        let block = pkcs1(None, b"hello", 256).unwrap();
        assert!(is_pkcs1(None, b"hello", &block) && !is_pkcs1(None, b"hallo", &block));
        assert!(!is_pkcs1(Some(Digest::Sha1), b"hello", &block));
        assert!(pkcs1(None, &[1; 245], 256).is_some() && pkcs1(None, &[1; 246], 256).is_none());
    }
}
