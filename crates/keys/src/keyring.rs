//! [`Keyring`]: the KEKs by term. One is active; older ones are retiring until nothing is under them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_secret::{Protected, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::kek::Kek;
use crate::xaes;

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

    /// The JSON that the root key wraps.
    pub(crate) fn to_json(&self) -> Secret<Vec<u8>> {
        let keys: Vec<Option<Zeroizing<String>>> = self
            .older
            .iter()
            .map(|older| older.kek.as_deref().map(encode))
            .chain([Some(encode(&self.active.kek))])
            .collect();
        let terms: Vec<TermJson<'_>> = self
            .terms()
            .zip(&keys)
            .map(|(info, key)| TermJson {
                term: info.term,
                key: key.as_ref().map(|key| key.as_str()),
                created: info.created.into(),
                state: info.state,
            })
            .collect();
        // All the capacity at the start: a buffer that grows leaves copies behind. JSON makes six
        // bytes of one at most.
        let len = terms.iter().map(|term| 160 + 6 * term.created.len()).sum();
        let mut json = Secret::new(Vec::with_capacity(len));
        #[expect(clippy::expect_used, reason = "numbers and strings, written to memory")]
        serde_json::to_writer(json.expose_mut(), &terms).expect("a keyring is plain data");
        json
    }

    pub(crate) fn from_json(json: &[u8]) -> Result<Self, Error> {
        let malformed = Error::Malformed("keyring");
        let mut terms: Vec<TermJson<'_>> = serde_json::from_slice(json).map_err(|_| malformed)?;
        let rising = terms
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.term < b.term));
        let active = terms
            .pop()
            .filter(|term| rising && term.state == State::Active);
        let active = active.ok_or(malformed)?;
        Ok(Self {
            active: Term {
                term: active.term,
                kek: Arc::new(active.kek()?.ok_or(malformed)?),
                created: active.created.into_owned(),
            },
            older: terms
                .into_iter()
                .map(OlderTerm::try_from)
                .collect::<Result<_, _>>()?,
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

/// A term as it stands in the JSON: `{"term":1,"key":"…base64…","created":"…","state":"active"}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TermJson<'a> {
    term: u32,
    /// Borrowed from the JSON, so that there is no copy to wipe.
    #[serde(borrow)]
    key: Option<&'a str>,
    created: std::borrow::Cow<'a, str>,
    state: State,
}

impl TermJson<'_> {
    fn kek(&self) -> Result<Option<Kek>, Error> {
        let malformed = Error::Malformed("keyring");
        let Some(key) = self.key else { return Ok(None) };
        let bytes = Protected::<{ xaes::KEY_LEN }>::try_init_with(|bytes| {
            let len = STANDARD.decode_slice(key, bytes).map_err(|_| malformed)?;
            if len == xaes::KEY_LEN {
                Ok(())
            } else {
                Err(malformed)
            }
        })?;
        Ok(Some(Kek::from_bytes(self.term, bytes)))
    }
}

impl TryFrom<TermJson<'_>> for OlderTerm {
    type Error = Error;

    fn try_from(json: TermJson<'_>) -> Result<Self, Error> {
        let kek = json.kek()?.map(Arc::new);
        let older = Self {
            term: json.term,
            kek,
            created: json.created.into_owned(),
        };
        if older.state() == json.state {
            Ok(older)
        } else {
            Err(Error::Malformed("keyring"))
        }
    }
}

fn encode(kek: &Kek) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(kek.as_bytes()))
}
