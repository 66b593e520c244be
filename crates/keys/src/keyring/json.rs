//! The JSON form of a keyring, which the root key wraps.
//!
//! ```text
//!   [{"term":1,"key":null,"created":"…","state":"retired"},
//!    {"term":2,"key":"…base64…","created":"…","state":"retiring"},
//!    {"term":3,"key":"…base64…","created":"…","state":"active"}]
//! ```
//!
//! Terms rise, and the last one alone is active.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_secret::{Protected, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Keyring, OlderTerm, State, Term};
use crate::error::Error;
use crate::kek::Kek;
use crate::xaes;

const MALFORMED: Error = Error::Malformed("keyring");

impl Keyring {
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
        let mut terms: Vec<TermJson<'_>> = serde_json::from_slice(json).map_err(|_| MALFORMED)?;
        let rising = terms
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.term < b.term));
        let active = terms
            .pop()
            .filter(|term| rising && term.state == State::Active);
        let active = active.ok_or(MALFORMED)?;
        Ok(Self {
            active: Term {
                term: active.term,
                kek: Arc::new(active.kek()?.ok_or(MALFORMED)?),
                created: active.created.into_owned(),
            },
            older: terms
                .into_iter()
                .map(OlderTerm::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A term as it stands in the JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TermJson<'a> {
    term: u32,
    /// Borrowed from the JSON, so that there is no copy to wipe.
    #[serde(borrow)]
    key: Option<&'a str>,
    created: Cow<'a, str>,
    state: State,
}

impl TermJson<'_> {
    fn kek(&self) -> Result<Option<Kek>, Error> {
        let Some(key) = self.key else { return Ok(None) };
        let bytes = Protected::<{ xaes::KEY_LEN }>::try_init_with(|bytes| {
            let len = STANDARD.decode_slice(key, bytes).map_err(|_| MALFORMED)?;
            if len == xaes::KEY_LEN {
                Ok(())
            } else {
                Err(MALFORMED)
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
            Err(MALFORMED)
        }
    }
}

fn encode(kek: &Kek) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(kek.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2030-01-01T00:00:00.123456789Z";

    fn parsed(json: &str) -> Result<Keyring, Error> {
        Keyring::from_json(json.as_bytes())
    }

    #[test]
    fn the_last_term() {
        let json = |term: u32| {
            let key = STANDARD.encode([1; 32]);
            format!(r#"[{{"term":{term},"key":"{key}","created":"","state":"active"}}]"#)
        };
        assert!(
            parsed(&json(u32::MAX - 1))
                .ok()
                .unwrap()
                .rotate(NOW)
                .is_ok()
        );
        let last = parsed(&json(u32::MAX)).ok().unwrap();
        assert_eq!(last.rotate(NOW).err(), Some(Error::Exhausted));
    }

    #[test]
    fn malformed_json() {
        let key = STANDARD.encode([1; 32]);
        let term = |term: u32, key: &str, state: &str| {
            format!(r#"{{"term":{term},"key":{key},"created":"c","state":"{state}"}}"#)
        };
        let key = &format!("\"{key}\"");
        let active = term(2, key, "active");
        assert!(parsed(&format!("[{},{active}]", term(1, key, "retiring"))).is_ok());
        assert!(parsed(&format!("[{},{active}]", term(1, "null", "retired"))).is_ok());
        for json in [
            String::new(),
            "[]".to_owned(),
            "{}".to_owned(),
            format!("[{active}"),
            format!("[{active}]x"),
            format!("[{active},{active}]"),
            format!("[{},{active}]", term(1, key, "active")),
            format!("[{},{active}]", term(3, key, "retiring")),
            format!("[{},{active}]", term(1, key, "retired")),
            format!("[{},{active}]", term(1, "null", "retiring")),
            format!("[{active},{}]", term(3, key, "retiring")),
            format!("[{}]", term(1, "null", "active")),
            format!("[{}]", term(1, "\"AAAA\"", "active")),
            format!(
                "[{}]",
                term(1, &format!("\"{}\"", STANDARD.encode([1; 33])), "active")
            ),
            format!("[{}]", term(1, &key.replace('=', ""), "active")),
            format!("[{}]", term(1, key, "else")),
            active.replace('{', r#"[{"more":1,"#) + "]",
        ] {
            assert_eq!(
                parsed(&json).err(),
                Some(Error::Malformed("keyring")),
                "{json}"
            );
        }
    }

    #[test]
    fn json_never_outgrows_its_buffer() {
        let mut keyring = Keyring::new(&"\u{1}".repeat(50));
        for _ in 0..20 {
            keyring = keyring.rotate(&"\"".repeat(40)).unwrap();
        }
        let json = keyring.to_json();
        let terms: usize = keyring
            .terms()
            .map(|info| 160 + 6 * info.created.len())
            .sum();
        assert_eq!(json.expose().capacity(), terms);
        assert!(Keyring::from_json(json.expose()).is_ok());
    }
}
