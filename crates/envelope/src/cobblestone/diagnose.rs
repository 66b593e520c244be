//! Why a chunk did not authenticate, found out by what does.
//!
//! Nothing extra is stored for this. A message's end is where a short chunk authenticates, so
//! "bytes follow the end" means: some beginning of these bytes is an authentic chunk of this place.
//! "Swapped" means: these bytes are an authentic chunk of another place. Both answers are proofs;
//! "corrupt" is what is left. The search runs on the failure path only, costs at most 16,384
//! beginnings and [`REACH`] places each way (some 100 ms), and releases nothing.

use zeroize::Zeroizing;

use super::{CHUNK_LEN, PayloadKey, SEALED_CHUNK_LEN, TAG_LEN};

/// How far to either side a misplaced chunk is searched for, in chunks.
const REACH: u64 = 16_384;

/// What a chunk that did not authenticate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The message ends inside these bytes, and more follow.
    EndsEarlier,
    /// It is the authentic chunk of this other place.
    Belongs(u64),
    /// Neither: it was changed or cut.
    Corrupt,
}

/// Examines the sealed bytes found at place `index`, which did not authenticate.
#[must_use]
pub fn diagnose(key: &PayloadKey, index: u64, sealed: &[u8]) -> Finding {
    let mut scratch = Zeroizing::new(vec![0u8; CHUNK_LEN]);
    let mut opens = |place: u64, bytes: &[u8]| key.open_chunk(place, bytes, &mut scratch).is_ok();

    // A last chunk is shorter than a full one by at least a byte.
    let longest = sealed.len().min(SEALED_CHUNK_LEN).saturating_sub(1);
    if (TAG_LEN..=longest).any(|len| sealed.get(..len).is_some_and(|bytes| opens(index, bytes))) {
        return Finding::EndsEarlier;
    }
    let places = index.saturating_sub(REACH)..=index.saturating_add(REACH);
    places
        .filter(|place| *place != index)
        .find(|place| opens(*place, sealed))
        .map_or(Finding::Corrupt, Finding::Belongs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_secret::Protected;

    #[test]
    fn tells_trailing_bytes_and_misplaced_chunks_from_damage() {
        let key = PayloadKey::derive(&Protected::init_with(|key| key.fill(7)), &[1; 24], b"");
        let mut sealed = vec![0u8; 116];
        key.seal_chunk(5, &[9; 100], &mut sealed).unwrap();
        assert_eq!(diagnose(&key, 4, &sealed), Finding::Belongs(5));
        assert_eq!(diagnose(&key, 6, &sealed), Finding::Belongs(5));
        sealed.push(0);
        assert_eq!(diagnose(&key, 5, &sealed), Finding::EndsEarlier);
        sealed.truncate(115);
        assert_eq!(diagnose(&key, 5, &sealed), Finding::Corrupt);
        assert_eq!(diagnose(&key, 5, &[]), Finding::Corrupt);
    }
}
