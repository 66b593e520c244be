//! Many values at once: their nonces are drawn together, which takes less than half of the time that sealing one by one does.

use keyfold_keys::rng;

use super::key::NONCE_LEN;
use super::{Place, ValueError, ValueKey};

/// Nonces drawn at once.
const DRAWN: usize = 32;

impl ValueKey {
    /// Seals each of `values` and hands them to `take`, in order. It stops at the first error, which may be the caller's.
    pub fn seal_each<'a, E: From<ValueError>>(
        &self,
        values: impl IntoIterator<Item = (Place<'a>, &'a [u8])>,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut nonces, mut sealed) = (Nonces::none(), Vec::new());
        for (place, plaintext) in values {
            self.seal_with(&nonces.draw(), &place, plaintext, &mut sealed)?;
            take(&sealed)?;
        }
        Ok(())
    }
}

/// Random nonces, each of which is given out once. They do not outlive the call that drew them: kept for later ones, they
/// would be there twice after a fork, or in two copies of a virtual machine.
struct Nonces {
    drawn: [[u8; NONCE_LEN]; DRAWN],
    left: usize,
}

impl Nonces {
    fn none() -> Self {
        Self {
            drawn: [[0; NONCE_LEN]; DRAWN],
            left: 0,
        }
    }

    fn draw(&mut self) -> [u8; NONCE_LEN] {
        if self.left == 0 {
            rng::fill(self.drawn.as_flattened_mut());
            self.left = DRAWN;
        }
        self.left = self.left.saturating_sub(1);
        // There are as many as `left` says, so none is missing; one that was would be drawn by itself.
        let nonce = self.drawn.get(self.left).copied();
        nonce.unwrap_or_else(rng::bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::open_value;
    use keyfold_secret::Protected;
    use std::collections::HashSet;
    use std::sync::Arc;

    fn place(key: &[u8]) -> Place<'_> {
        Place {
            table: "customers",
            column: "iban",
            key,
        }
    }

    #[test]
    fn each_value_has_its_place_and_a_nonce_of_its_own() {
        let key = Arc::new(ValueKey::new(1, &Protected::init_with(|dek| dek.fill(7))));
        let rows: Vec<[u8; 4]> = (0..200u32).map(u32::to_be_bytes).collect();
        let values = rows.iter().map(|row| (place(row), &row[..]));
        let mut sealed = Vec::new();
        let done = key.seal_each(values, |value| {
            sealed.push(value.to_vec());
            Ok::<_, ValueError>(())
        });
        done.unwrap();
        assert_eq!(sealed.len(), rows.len());
        for (row, value) in rows.iter().zip(&sealed) {
            assert!(open_value(&key, &place(row), value).unwrap().ct_eq(row));
        }
        let nonces: HashSet<_> = sealed.iter().map(|value| &value[5..29]).collect();
        assert_eq!(nonces.len(), rows.len());
    }

    #[test]
    fn the_caller_s_error_ends_it() {
        #[derive(Debug, PartialEq)]
        struct Full;
        impl From<ValueError> for Full {
            fn from(_: ValueError) -> Self {
                Self
            }
        }
        let key = ValueKey::new(1, &Protected::init_with(|dek| dek.fill(7)));
        let values = (0..10).map(|_| (place(b"1"), &b"x"[..]));
        let mut taken = 0;
        let done = key.seal_each(values, |_| {
            taken += 1;
            if taken == 3 { Err(Full) } else { Ok(()) }
        });
        assert_eq!((done, taken), (Err(Full), 3));
    }
}
