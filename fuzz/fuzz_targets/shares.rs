//! Shares: the first byte says how many there are, the rest is cut into so many.
#![no_main]

use keyfold_keys::{Share, UnsealKey, shamir};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&count, rest)) = bytes.split_first() else {
        return;
    };
    let len = (rest.len() / usize::from(count.max(1))).max(1);
    let pieces: Vec<&[u8]> = rest.chunks(len).collect();
    let combined = shamir::combine(&pieces);
    if let Ok(secret) = &combined {
        assert_eq!(
            secret.expose().len() + 1,
            len,
            "a share is a byte longer than the secret"
        );
    }
    let shares: Vec<Share> = pieces
        .iter()
        .filter_map(|piece| Share::from_bytes(piece).ok())
        .collect();
    if shares.len() == pieces.len() && UnsealKey::from_shares(&shares).is_ok() {
        assert!(combined.is_ok());
    }
    if let Some(share) = shares.first() {
        let _ = UnsealKey::from_share_of_one(share);
    }
});
