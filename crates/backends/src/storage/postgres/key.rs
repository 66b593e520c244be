//! Keys as rows have them.
//!
//! An index of PostgreSQL takes no entry above some 2,700 bytes, and a key may have 32 KiB. So a row
//! has the first [`HEAD`] characters of its key, which nearly always are all, then the rest, and a
//! digest of the rest, which stands for it in the index. Heads are cut by characters, so that their
//! order is that of the keys.

use aws_lc_rs::digest;

/// Characters of a key that are in the index; up to four bytes each.
pub(super) const HEAD: usize = 600;

/// A key, cut for its row.
pub(super) struct Parts<'k> {
    pub head: &'k str,
    pub rest: &'k str,
    /// SHA-256 of the rest; empty where it is.
    pub digest: Vec<u8>,
}

impl<'k> Parts<'k> {
    pub fn of(key: &'k str) -> Self {
        let cut = match key.len() <= HEAD {
            true => None,
            false => key.char_indices().nth(HEAD),
        };
        let (head, rest) = cut
            .and_then(|(at, _)| key.split_at_checked(at))
            .unwrap_or((key, ""));
        let digest = match rest {
            "" => Vec::new(),
            rest => digest::digest(&digest::SHA256, rest.as_bytes())
                .as_ref()
                .to_vec(),
        };
        Self { head, rest, digest }
    }
}

/// Many keys, column by column.
#[derive(Default)]
pub(super) struct Columns<'k> {
    pub heads: Vec<&'k str>,
    pub digests: Vec<Vec<u8>>,
    pub rests: Vec<&'k str>,
}

impl<'k> Columns<'k> {
    pub fn push(&mut self, key: &'k str) {
        let Parts { head, rest, digest } = Parts::of(key);
        self.heads.push(head);
        self.digests.push(digest);
        self.rests.push(rest);
    }

    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }
}

impl<'k> FromIterator<&'k str> for Columns<'k> {
    fn from_iter<I: IntoIterator<Item = &'k str>>(keys: I) -> Self {
        let mut columns = Self::default();
        keys.into_iter().for_each(|key| columns.push(key));
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_cut_between_characters_and_its_index_entry_stays_small() {
        for (key, head) in [
            ("a/b".to_owned(), 3),
            ("k".repeat(HEAD), HEAD),
            ("k".repeat(HEAD + 1), HEAD),
            ("\u{10ffff}".repeat(700), HEAD * 4),
            (format!("{}ä{}", "k".repeat(HEAD - 1), "z"), HEAD + 1),
        ] {
            let parts = Parts::of(&key);
            assert_eq!(parts.head.len(), head);
            assert_eq!([parts.head, parts.rest].concat(), key);
            assert_eq!(
                parts.digest.len(),
                if parts.rest.is_empty() { 0 } else { 32 }
            );
        }
    }

    #[test]
    fn heads_have_the_order_of_their_keys() {
        let stem = "k".repeat(HEAD - 1);
        let mut keys: Vec<String> = ["", "a", "ä", "aa", "z", "zä", "\u{10ffff}x", "日本"]
            .iter()
            .map(|end| format!("{stem}{end}"))
            .collect();
        keys.sort();
        let pairs: Vec<_> = keys.iter().map(|key| Parts::of(key)).collect();
        let cut: Vec<_> = pairs.iter().map(|p| (p.head, p.rest)).collect();
        assert!(cut.is_sorted());
    }
}
