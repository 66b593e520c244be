//! [`Keyring`]: the KEKs by term. One is active; older ones are retiring until nothing is under them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::kek::Kek;

mod json;

/// How many retired terms the keyring remembers, so that it does not grow for ever.
const RETIRED_KEPT: usize = 64;

/// The KEKs of a server by term. A keyring does not change: rotating and retiring make a new one,
/// which shares the keys with the old one.
pub struct Keyring {
    active: Term,
    /// Oldest first; every term is lower than the active one.
    older: Vec<OlderTerm>,
}

/// The active term: what is wrapped now is wrapped by its key.
pub struct Term {
    /// Its number, from 1.
    pub term: u32,
    /// Its key.
    pub kek: Arc<Kek>,
    /// When it was made, RFC 3339.
    pub created: String,
}

struct OlderTerm {
    term: u32,
    /// Gone when the term is retired.
    kek: Option<Arc<Kek>>,
    created: String,
}

/// What can be told about a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermInfo<'a> {
    /// Its number.
    pub term: u32,
    /// When it was made, RFC 3339.
    pub created: &'a str,
    /// Where it stands in its life.
    pub state: State,
}

/// The life of a term, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It wraps.
    Active,
    /// It unwraps, until everything is wrapped by the active one.
    Retiring,
    /// Its key is gone.
    Retired,
}

impl Keyring {
    /// A keyring with a new key in term 1. `created` is the time now, RFC 3339.
    pub fn new(created: &str) -> Self {
        Self {
            active: Term::generate(1, created),
            older: Vec::new(),
        }
    }

    /// The active term.
    pub fn active(&self) -> &Term {
        &self.active
    }

    /// The key of a term that is active or retiring.
    pub fn kek(&self, term: u32) -> Option<&Kek> {
        if term == self.active.term {
            return Some(&self.active.kek);
        }
        self.older
            .iter()
            .find(|older| older.term == term)?
            .kek
            .as_deref()
    }

    /// All terms, oldest first.
    pub fn terms(&self) -> impl Iterator<Item = TermInfo<'_>> {
        let older = self.older.iter().map(|older| TermInfo {
            term: older.term,
            created: &older.created,
            state: older.state(),
        });
        let active = &self.active;
        older.chain([TermInfo {
            term: active.term,
            created: &active.created,
            state: State::Active,
        }])
    }

    /// A keyring with a new key in a new active term; the active one is retiring in it. `created` is
    /// the time now, RFC 3339.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when the active term has the last number there is.
    pub fn rotate(&self, created: &str) -> Result<Self, Error> {
        let term = self.active.term.checked_add(1).ok_or(Error::Exhausted)?;
        let mut older: Vec<OlderTerm> = self.older.iter().map(OlderTerm::share).collect();
        older.push(self.active.retiring());
        Ok(Self {
            active: Term::generate(term, created),
            older,
        })
    }

    /// A keyring without the key of `term`. The caller has made sure that nothing is under it.
    ///
    /// # Errors
    ///
    /// [`Error::ActiveTerm`] for the active term, [`Error::UnknownTerm`] for one that has no key.
    pub fn retire(&self, term: u32) -> Result<Self, Error> {
        if term == self.active.term {
            return Err(Error::ActiveTerm(term));
        }
        self.kek(term).ok_or(Error::UnknownTerm(term))?;
        let mut older: Vec<OlderTerm> = self.older.iter().map(OlderTerm::share).collect();
        for retired in older.iter_mut().filter(|older| older.term == term) {
            retired.kek = None;
        }
        forget_oldest_retired(&mut older);
        Ok(Self {
            active: self.active.share(),
            older,
        })
    }
}

impl Term {
    fn generate(term: u32, created: &str) -> Self {
        Self {
            term,
            kek: Arc::new(Kek::generate(term)),
            created: created.to_owned(),
        }
    }

    fn share(&self) -> Self {
        Self {
            term: self.term,
            kek: Arc::clone(&self.kek),
            created: self.created.clone(),
        }
    }

    fn retiring(&self) -> OlderTerm {
        let Self { term, kek, created } = self.share();
        OlderTerm {
            term,
            kek: Some(kek),
            created,
        }
    }
}

impl OlderTerm {
    fn state(&self) -> State {
        if self.kek.is_some() {
            State::Retiring
        } else {
            State::Retired
        }
    }

    fn share(&self) -> Self {
        Self {
            term: self.term,
            kek: self.kek.clone(),
            created: self.created.clone(),
        }
    }
}

fn forget_oldest_retired(older: &mut Vec<OlderTerm>) {
    let retired = older.iter().filter(|older| older.kek.is_none()).count();
    let mut surplus = retired.saturating_sub(RETIRED_KEPT);
    older.retain(|older| {
        let forget = older.kek.is_none() && surplus > 0;
        surplus -= usize::from(forget);
        !forget
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dek::Dek;
    use crate::hierarchy::{Wrapped, Wraps};
    use crate::root_key::RootKey;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const AT: &[u8] = b"core/keyring";
    const NOW: &str = "2030-01-01T00:00:00.123456789Z";

    fn states(keyring: &Keyring) -> Vec<(u32, State)> {
        keyring
            .terms()
            .map(|info| (info.term, info.state))
            .collect()
    }

    #[test]
    fn life_of_a_term() {
        let first = Keyring::new(NOW);
        assert_eq!(states(&first), [(1, State::Active)]);
        let second = first.rotate("2031-01-01T00:00:00Z").unwrap();
        assert_eq!(states(&second), [(1, State::Retiring), (2, State::Active)]);
        assert_eq!(second.active().term, 2);
        assert_eq!(second.active().kek.term(), 2);
        assert_eq!(second.active().created, "2031-01-01T00:00:00Z");
        assert_eq!(second.terms().next().unwrap().created, NOW);
        let third = second.retire(1).unwrap();
        assert_eq!(states(&third), [(1, State::Retired), (2, State::Active)]);
        assert!(third.kek(1).is_none());
        assert!(third.kek(2).is_some());
        assert!(third.kek(3).is_none());
    }

    #[test]
    fn what_can_not_be_retired() {
        let keyring = Keyring::new(NOW).rotate(NOW).unwrap();
        assert_eq!(keyring.retire(2).err(), Some(Error::ActiveTerm(2)));
        assert_eq!(keyring.retire(3).err(), Some(Error::UnknownTerm(3)));
        let retired = keyring.retire(1).unwrap();
        assert_eq!(retired.retire(1).err(), Some(Error::UnknownTerm(1)));
    }

    #[test]
    fn a_new_keyring_shares_the_keys_of_the_old() {
        let old = Keyring::new(NOW);
        let new = old.rotate(NOW).unwrap();
        assert!(std::ptr::eq(new.kek(1).unwrap(), old.kek(1).unwrap()));
        let bytes = new.active().kek.as_bytes();
        assert_ne!(
            bytes,
            old.active().kek.as_bytes(),
            "the new term has a key of its own"
        );
    }

    #[test]
    fn retired_terms_are_forgotten_in_the_end() {
        let mut keyring = Keyring::new(NOW).rotate(NOW).unwrap();
        for term in 2..100 {
            keyring = keyring.rotate(NOW).unwrap().retire(term).unwrap();
        }
        assert_eq!(keyring.active().term, 100);
        assert!(
            keyring.kek(1).is_some(),
            "a retiring term is never forgotten"
        );
        let retired = keyring.terms().filter(|info| info.state == State::Retired);
        let retired: Vec<u32> = retired.map(|info| info.term).collect();
        assert_eq!(retired, (36..100).collect::<Vec<u32>>());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let root = RootKey::generate();
        let wrapped = root.wrap(&Keyring::new(NOW), AT).unwrap().into_bytes();
        for bit in 0..wrapped.len() * 8 {
            let mut flipped = wrapped.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                root.unwrap(&Wrapped::from_bytes(flipped), AT).is_err(),
                "bit {bit}"
            );
        }
        for len in 0..wrapped.len() {
            let cut = Wrapped::from_bytes(wrapped[..len].to_vec());
            assert!(root.unwrap(&cut, AT).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_wrapped_keyring_opens_with_its_root_key_in_its_place_only() {
        let root = RootKey::generate();
        let wrapped = root.wrap(&Keyring::new(NOW), AT).unwrap();
        assert!(root.unwrap(&wrapped, AT).is_ok());
        assert_eq!(
            root.unwrap(&wrapped, b"core/other").err(),
            Some(Error::WrongKey)
        );
        assert_eq!(
            RootKey::generate().unwrap(&wrapped, AT).err(),
            Some(Error::WrongKey)
        );
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Rotate,
        Retire(u32),
        Rewrap,
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Rotate),
            3 => (0..12_u32).prop_map(Step::Retire),
            1 => Just(Step::Rewrap),
            2 => Just(Step::Restart),
        ]
    }

    proptest! {
        /// Beside the keyring goes a model: a DEK for each term, wrapped when the term was new. It
        /// opens as long as its term is not retired, whatever else happens.
        #[test]
        fn wrapped_deks_open_until_their_term_is_retired(
            steps in prop::collection::vec(step(), 0..30)
        ) {
            let root = RootKey::generate();
            let at = b"core/dek/x/1".as_slice();
            let new_dek = |keyring: &Keyring| {
                let dek = Dek::generate();
                let wrapped = keyring.active().kek.wrap(&dek, at).unwrap();
                (dek, wrapped)
            };
            let mut keyring = Keyring::new(NOW);
            let mut deks = BTreeMap::from([(1, new_dek(&keyring))]);
            for step in steps {
                match step {
                    Step::Rotate => {
                        keyring = keyring.rotate(NOW).unwrap();
                        prop_assert!(deks.insert(keyring.active().term, new_dek(&keyring)).is_none());
                    }
                    Step::Retire(term) => match keyring.retire(term) {
                        Ok(without) => {
                            prop_assert!(deks.remove(&term).is_some());
                            keyring = without;
                        }
                        Err(Error::ActiveTerm(active)) => {
                            prop_assert_eq!((term, active), (keyring.active().term, term));
                        }
                        Err(error) => {
                            prop_assert_eq!(error, Error::UnknownTerm(term));
                            prop_assert!(!deks.contains_key(&term));
                        }
                    },
                    Step::Rewrap => {
                        let (term, kek) = (keyring.active().term, &keyring.active().kek);
                        for (dek, wrapped) in deks.values_mut() {
                            let old = keyring.kek(wrapped.term().unwrap()).unwrap();
                            *dek = old.unwrap(wrapped, at).ok().unwrap();
                            *wrapped = kek.wrap(dek, at).unwrap();
                        }
                        let newest = deks.remove(&term).unwrap();
                        deks = BTreeMap::from([(term, newest)]);
                        for info in keyring.terms().map(|info| info.term).collect::<Vec<_>>() {
                            if let Ok(without) = keyring.retire(info) {
                                keyring = without;
                            }
                        }
                    }
                    Step::Restart => {
                        let before = states(&keyring);
                        let wrapped = root.wrap(&keyring, AT).unwrap();
                        keyring = root.unwrap(&wrapped, AT).ok().unwrap();
                        prop_assert_eq!(states(&keyring), before);
                    }
                }
                for (dek, wrapped) in deks.values() {
                    let kek = keyring.kek(wrapped.term().unwrap()).unwrap();
                    let again = kek.unwrap(wrapped, at).ok().unwrap();
                    prop_assert_eq!(again.as_bytes(), dek.as_bytes());
                }
                let usable = keyring.terms().filter(|info| info.state != State::Retired).count();
                prop_assert_eq!(usable, deks.len());
            }
        }

        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Keyring::from_json(&bytes).is_err());
            let root = RootKey::generate();
            let bytes = [[1].as_slice(), &bytes].concat();
            prop_assert!(root.unwrap(&Wrapped::from_bytes(bytes), AT).is_err());
        }
    }
}
