//! Names made by chance: UUIDs, accessors, tokens.

use std::cell::RefCell;

use keyfold_keys::rng;
pub use keyfold_keys::rng::base62;

/// Random bytes that are drawn at once for the ids of requests: the generator asks as much for 16.
const DRAWN: usize = 1024;

thread_local! {
    /// What is left of them, and how much. They are no secret: they stand in answers.
    static LEFT: RefCell<([u8; DRAWN], usize)> = const { RefCell::new(([0; DRAWN], 0)) };
}

/// A version 4 UUID as text.
pub fn uuid() -> String {
    uuid_of(rng::bytes())
}

/// A UUID for a request: no secret, and cheaper than others.
pub fn of_request() -> String {
    uuid_of(LEFT.with_borrow_mut(|(bytes, left)| {
        if *left == 0 {
            rng::fill(bytes);
            *left = DRAWN;
        }
        *left -= 16;
        let drawn = bytes.get(*left..).and_then(<[u8]>::first_chunk);
        drawn.copied().unwrap_or_else(rng::bytes)
    }))
}

fn uuid_of(mut bytes: [u8; 16]) -> String {
    let [.., v, _, n, _, _, _, _, _, _, _] = &mut bytes;
    *v = (*v & 0x0f) | 0x40;
    *n = (*n & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0x0f] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn uuid_has_version_and_variant() {
        let bytes = std::array::from_fn(|n| n as u8 * 17);
        assert_eq!(uuid_of(bytes), "00112233-4455-4677-8899-aabbccddeeff");
        assert_ne!(uuid(), uuid());
    }

    #[test]
    fn ids_of_requests_do_not_come_twice() {
        let ids: HashSet<String> = (0..1000).map(|_| of_request()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
