//! Names made by chance: UUIDs, accessors, tokens.

use keyfold_keys::rng;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A version 4 UUID as text.
pub fn uuid() -> String {
    let mut bytes = rng::bytes::<16>();
    let [.., v, _, n, _, _, _, _, _, _, _] = &mut bytes;
    *v = (*v & 0x0f) | 0x40;
    *n = (*n & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// `length` characters of `0-9A-Za-z`, each equally likely.
pub fn base62(length: usize) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // 248 = 4 · 62: what lies above would favour the first characters.
        let fair = rng::bytes::<32>().into_iter().filter(|b| *b < 248);
        let wanted = length - text.len();
        text.extend(
            fair.filter_map(|b| BASE62.get(usize::from(b % 62)))
                .take(wanted)
                .map(|b| char::from(*b)),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_has_version_and_variant() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]));
        assert_ne!(id, uuid());
    }

    #[test]
    fn base62_has_its_length_and_alphabet() {
        for length in [0, 1, 24, 95] {
            let text = base62(length);
            assert_eq!(text.len(), length);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }
}
