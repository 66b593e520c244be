//! Where things stand in etcd. All keys begin with the store's prefix.
//!
//! ```text
//!   m                 what the store is: format, mark, cluster
//!   r                 the generation that counts; a restore puts another in its place
//!   s                 the generation that is being staged
//!   l/NAME            who holds a lock: the revision that created it is the fencing token
//!   f/c               the last commit: which keys it touched           ┐
//!   f/n/ID            a node: where it is, how far it is               │ what nodes follow
//!   f/w/ID            that node's turn: its commits demand it          ┘
//!   g/GENERATION/e/KEY                     an entry
//!   g/GENERATION/p/SHA-256(KEY) ID N       a part of a value that is too large for an entry
//! ```

use aws_lc_rs::digest;

/// Bytes of the name of a value that is stored in parts.
pub(super) const ID: usize = 16;

/// The keys of one store.
pub(super) struct Keys {
    /// Ends with a slash.
    prefix: String,
}

/// From a key on to one that it does not have any more.
pub(super) type Span = (Vec<u8>, Vec<u8>);

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: format!("{}/", prefix.trim_end_matches('/')),
        }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn all(&self) -> Span {
        span(self.at(""))
    }

    pub fn meta(&self) -> Vec<u8> {
        self.at("m")
    }

    pub fn root(&self) -> Vec<u8> {
        self.at("r")
    }

    pub fn stage(&self) -> Vec<u8> {
        self.at("s")
    }

    pub fn lock(&self, name: &str) -> Vec<u8> {
        self.at(&format!("l/{name}"))
    }

    /// What nodes follow.
    pub fn feed(&self) -> Span {
        span(self.at("f/"))
    }

    pub fn commit(&self) -> Vec<u8> {
        self.at("f/c")
    }

    pub fn node(&self, id: &str) -> Vec<u8> {
        self.at(&format!("f/n/{id}"))
    }

    pub fn turn(&self, id: &str) -> Vec<u8> {
        self.at(&format!("f/w/{id}"))
    }

    /// What is below `f/`, by its key.
    pub fn followed<'k>(&self, key: &'k [u8]) -> Option<Followed<'k>> {
        let key = std::str::from_utf8(key).ok()?;
        let name = key.strip_prefix(&self.prefix)?.strip_prefix("f/")?;
        match name.split_once('/') {
            None if name == "c" => Some(Followed::Commit),
            Some(("n", id)) => Some(Followed::Node(id)),
            Some(("w", id)) => Some(Followed::Turn(id)),
            _ => None,
        }
    }

    pub fn generations(&self) -> Span {
        span(self.at("g/"))
    }

    pub fn generation(&self, generation: &str) -> Span {
        span(self.at(&format!("g/{generation}/")))
    }

    /// The generation that a key belongs to.
    pub fn generation_of<'k>(&self, key: &'k [u8]) -> Option<&'k str> {
        let rest = key.strip_prefix(self.at("g/").as_slice())?;
        let end = rest.iter().position(|byte| *byte == b'/')?;
        std::str::from_utf8(rest.get(..end)?).ok()
    }

    pub fn entry(&self, generation: &str, key: &str) -> Vec<u8> {
        self.at(&format!("g/{generation}/e/{key}"))
    }

    /// The entries below a prefix of their keys.
    pub fn below(&self, generation: &str, prefix: &str) -> Span {
        span(self.entry(generation, prefix))
    }

    /// The key of an entry.
    pub fn entry_of<'k>(&self, key: &'k [u8]) -> Option<&'k str> {
        let rest = key.strip_prefix(self.at("g/").as_slice())?;
        let rest = std::str::from_utf8(rest).ok()?;
        let (_, within) = rest.split_once('/')?;
        within.strip_prefix("e/")
    }

    /// All parts of what stands or stood at a key.
    pub fn parts(&self, generation: &str, key: &str) -> Span {
        let mut name = self.at(&format!("g/{generation}/p/"));
        let digest = digest::digest(&digest::SHA256, key.as_bytes());
        name.extend_from_slice(digest.as_ref());
        span(name)
    }

    /// The parts of one value at a key.
    pub fn parts_of(&self, generation: &str, key: &str, id: &[u8; ID]) -> Span {
        let (mut name, _) = self.parts(generation, key);
        name.extend_from_slice(id);
        span(name)
    }

    pub fn part(&self, generation: &str, key: &str, id: &[u8; ID], number: u32) -> Vec<u8> {
        let (mut name, _) = self.parts_of(generation, key, id);
        name.extend_from_slice(&number.to_be_bytes());
        name
    }

    fn at(&self, name: &str) -> Vec<u8> {
        format!("{}{name}", self.prefix).into_bytes()
    }
}

/// What nodes follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed<'k> {
    Commit,
    Node(&'k str),
    Turn(&'k str),
}

/// All that begins so.
fn span(prefix: Vec<u8>) -> Span {
    let mut end = prefix.clone();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return (prefix, end);
        }
    }
    // Nothing is behind it: to the last key.
    (prefix, vec![0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_what_begins_so_and_nothing_else() {
        assert_eq!(span(b"ab".to_vec()).1, b"ac");
        assert_eq!(span(vec![b'a', 0xff, 0xff]).1, b"b");
        assert_eq!(span(vec![0xff]).1, [0]);
    }

    #[test]
    fn keys_are_found_again() {
        let keys = Keys::new("apps/keyfold//");
        assert_eq!(keys.prefix(), "apps/keyfold/");
        assert_eq!(keys.followed(&keys.commit()), Some(Followed::Commit));
        assert_eq!(keys.followed(&keys.node("a")), Some(Followed::Node("a")));
        assert_eq!(keys.followed(&keys.turn("a")), Some(Followed::Turn("a")));
        assert_eq!(keys.followed(&keys.meta()), None);
        assert_eq!(keys.followed(&[0xff]), None);
        for key in [
            keys.entry("7a", "x/y"),
            keys.part("7a", "x/y", &[0xff; ID], 3),
        ] {
            assert_eq!(keys.generation_of(&key), Some("7a"));
        }
        assert_eq!(keys.generation_of(&keys.root()), None);
        assert_eq!(keys.entry_of(&keys.entry("7a", "x/y")), Some("x/y"));
        let part = keys.part("7a", "x/y", &[b'a'; ID], 3);
        assert_eq!(keys.entry_of(&part), None);
        let (from, to) = keys.parts_of("7a", "k", &[0xff; ID]);
        let (all, end) = keys.parts("7a", "k");
        assert!(all < from && from < to && to <= end);
    }
}
