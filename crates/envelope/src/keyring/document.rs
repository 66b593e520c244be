//! [`Keyring`]: the rows of one service, and their form as JSON.

use std::collections::HashSet;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::KeyringError;
use super::row::{DekState, Row};
use super::store::Change;
use crate::key_service::WrappedDek;
use crate::locator::Locator;

/// Longest keyring that is read, in bytes: some 30,000 DEKs.
pub const MAX_KEYRING: usize = 16 << 20;
const FORMAT: &str = "keyfold/1 keyring";

/// The DEKs of one service, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    service: String,
    key: Locator,
    /// Ascending by number.
    rows: Vec<Row>,
}

impl Keyring {
    /// A keyring without DEKs, whose DEKs `key` will wrap.
    pub fn new(service: &str, key: Locator) -> Result<Self, KeyringError> {
        let printable = !service.chars().any(char::is_control);
        if service.is_empty() || service.len() > 127 || !printable {
            return Err(KeyringError::ServiceName);
        }
        Ok(Self {
            service: service.to_owned(),
            key,
            rows: Vec::new(),
        })
    }

    /// The keyring with the rows that a store has, in their order. Total: whatever they hold, it is a
    /// keyring or an error that names the row and the field.
    pub fn holding(self, rows: Vec<Row>) -> Result<Self, BadRow> {
        let mut ids = HashSet::new();
        let mut last = 0;
        for (at, row) in rows.iter().enumerate() {
            let bad = |what: String| BadRow { at, what };
            row.check().map_err(bad)?;
            if row.dek_no <= last {
                return Err(bad("dek_no: not above the one before".to_owned()));
            }
            if !ids.insert(row.dek_id) {
                return Err(bad("dek_id: another DEK has it".to_owned()));
            }
            last = row.dek_no;
        }
        Ok(Self { rows, ..self })
    }

    /// Whose DEKs they are.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The KEK that wraps new DEKs.
    #[must_use]
    pub fn key(&self) -> &Locator {
        &self.key
    }

    /// The rows, ascending by number.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The DEK that encrypts.
    #[must_use]
    pub fn active(&self) -> Option<&Row> {
        let mut newest_first = self.rows.iter().rev();
        newest_first.find(|row| row.state == DekState::Active)
    }

    /// The row with this number.
    #[must_use]
    pub fn row(&self, dek_no: u32) -> Option<&Row> {
        let at = self.rows.binary_search_by_key(&dek_no, |row| row.dek_no);
        self.rows.get(at.ok()?)
    }

    /// The number of the next DEK.
    pub fn next_number(&self) -> Result<u32, KeyringError> {
        let last = self.rows.last().map_or(0, |row| row.dek_no);
        last.checked_add(1).ok_or(KeyringError::Full)
    }

    /// The keyring with these changes, or [`KeyringError::Changed`] where the condition of one is
    /// not met. How a store that keeps whole documents saves. Where the newest row moves to another KEK,
    /// so does the keyring.
    pub fn with(&self, changes: &[Change]) -> Result<Self, KeyringError> {
        let mut next = self.clone();
        for change in changes {
            let number = change.new.dek_no;
            let at = next.rows.binary_search_by_key(&number, |row| row.dek_no);
            match (&change.old, at) {
                (None, Err(at)) => next.rows.insert(at, change.new.clone()),
                (Some(old), Ok(at)) => match next.rows.get_mut(at) {
                    Some(row) if row == old => *row = change.new.clone(),
                    _ => return Err(KeyringError::Changed),
                },
                _ => return Err(KeyringError::Changed),
            }
        }
        let last = next.rows.last().filter(|last| {
            let moved = |old: &Row| old.dek_no == last.dek_no && old.key != last.key;
            changes.iter().any(|c| c.old.as_ref().is_some_and(moved))
        });
        if let Some(last) = last {
            next.key = last.key.clone();
        }
        Ok(next)
    }

    /// The JSON form; [`KeyringError::Full`] where no reader would take it any more.
    pub fn to_json(&self) -> Result<Vec<u8>, KeyringError> {
        let document = Document {
            format: FORMAT.to_owned(),
            service: self.service.clone(),
            key: self.key.to_string(),
            deks: self.rows.iter().map(RowDocument::of).collect(),
        };
        // Texts and numbers only: nothing that JSON could not hold.
        let mut json = serde_json::to_vec_pretty(&document).unwrap_or_default();
        json.push(b'\n');
        if json.len() > MAX_KEYRING {
            return Err(KeyringError::Full);
        }
        Ok(json)
    }

    /// Reads the JSON form. Total: any bytes give a keyring or an error that names the field.
    pub fn from_json(json: &[u8]) -> Result<Self, KeyringError> {
        if json.len() > MAX_KEYRING {
            return Err(malformed(format!("longer than {MAX_KEYRING} bytes")));
        }
        let mut input = serde_json::Deserializer::from_slice(json);
        let document: Document =
            serde_path_to_error::deserialize(&mut input).map_err(unreadable)?;
        input
            .end()
            .map_err(|_| malformed("more follows its end".to_owned()))?;
        if document.format != FORMAT {
            return Err(malformed(format!("format is not {FORMAT:?}")));
        }
        let key = Locator::from_str(&document.key);
        let key = key.map_err(|error| malformed(format!("key: {error}")))?;
        let bad = |bad: BadRow| malformed(format!("deks[{}].{}", bad.at, bad.what));
        let rows = document.deks.into_iter().enumerate();
        let rows = rows.map(|(at, dek)| dek.into_row().map_err(|what| bad(BadRow { at, what })));
        let rows = rows.collect::<Result<_, _>>()?;
        Self::new(&document.service, key)?
            .holding(rows)
            .map_err(bad)
    }
}

/// A row that no keyring has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Which one, from 0.
    pub at: usize,
    /// Which field, and what is wrong with it.
    pub what: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    service: String,
    key: String,
    deks: Vec<RowDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowDocument {
    dek_no: u32,
    /// 32 hex digits.
    dek_id: String,
    state: State,
    key: String,
    /// 32 hex digits.
    kek_id: String,
    /// 0 where there is no wrap.
    version: u32,
    /// Base64; empty where it was destroyed.
    wrapped: String,
    bound: bool,
    created: u64,
    /// 64 hex digits.
    commitment: String,
    uses: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Active,
    Retired,
    Destroyed,
}

impl RowDocument {
    fn of(row: &Row) -> Self {
        let wrapped = row.wrapped.as_ref();
        Self {
            dek_no: row.dek_no,
            dek_id: hex::encode(row.dek_id),
            state: match row.state {
                DekState::Active => State::Active,
                DekState::Retired => State::Retired,
                DekState::Destroyed => State::Destroyed,
            },
            key: row.key.to_string(),
            kek_id: hex::encode(row.kek_id),
            version: wrapped.map_or(0, |wrapped| wrapped.version),
            wrapped: wrapped.map_or_else(String::new, |wrapped| STANDARD.encode(&wrapped.blob)),
            bound: row.bound,
            created: row.created,
            commitment: hex::encode(row.commitment),
            uses: row.uses,
            bytes: row.bytes,
        }
    }

    /// The row, or which field is wrong and why.
    fn into_row(self) -> Result<Row, String> {
        let state = match self.state {
            State::Active => DekState::Active,
            State::Retired => DekState::Retired,
            State::Destroyed => DekState::Destroyed,
        };
        let key = Locator::from_str(&self.key).map_err(|error| format!("key: {error}"))?;
        let blob = STANDARD.decode(&self.wrapped);
        let blob = blob.map_err(|_| "wrapped: not base64".to_owned())?;
        let version = self.version;
        if blob.is_empty() && version != 0 {
            return Err("version: from 1, and 0 where the DEK is destroyed".to_owned());
        }
        Ok(Row {
            dek_no: self.dek_no,
            dek_id: digits("dek_id", &self.dek_id)?,
            state,
            key,
            kek_id: digits("kek_id", &self.kek_id)?,
            wrapped: (!blob.is_empty()).then_some(WrappedDek { version, blob }),
            bound: self.bound,
            created: self.created,
            commitment: digits("commitment", &self.commitment)?,
            uses: self.uses,
            bytes: self.bytes,
        })
    }
}

fn digits<const N: usize>(name: &str, text: &str) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| format!("{name}: not {} hex digits", N.saturating_mul(2)))?;
    Ok(bytes)
}

/// Names the field and its place. The library's own words would quote the value, which in a wrong
/// document may be a secret.
fn unreadable(error: serde_path_to_error::Error<serde_json::Error>) -> KeyringError {
    let (path, at) = (error.path().to_string(), error.inner());
    let (line, column) = (at.line(), at.column());
    malformed(format!("{path}, at line {line}, column {column}"))
}

fn malformed(what: String) -> KeyringError {
    KeyringError::Malformed(what)
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;
    use proptest::prelude::*;

    fn key() -> Locator {
        "transit/payments".parse().unwrap()
    }

    fn sample() -> Keyring {
        let keyring = Keyring::new("payments", key()).unwrap();
        let destroyed = Row {
            state: DekState::Destroyed,
            wrapped: None,
            ..row(2)
        };
        let rows = [row(1), destroyed, row(7)];
        let changes = rows.map(|new| Change { old: None, new });
        keyring.with(&changes).unwrap()
    }

    #[test]
    fn the_json_form_is_as_documented() {
        let keyring = sample();
        let json = keyring.to_json().unwrap();
        assert_eq!(Keyring::from_json(&json).unwrap(), keyring);
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["format"], "keyfold/1 keyring");
        let dek = &value["deks"][0];
        assert_eq!(dek["dek_id"], "01".repeat(16));
        assert_eq!(
            (&dek["state"], &dek["version"]),
            (&"active".into(), &3.into())
        );
        assert_eq!(value["deks"][1]["wrapped"], "");
    }

    #[test]
    fn a_malformed_keyring_is_refused_by_the_name_of_its_field() {
        let good = String::from_utf8(sample().to_json().unwrap()).unwrap();
        for (from, to, named) in [
            ("keyfold/1 keyring", "keyfold/2 keyring", "format"),
            (
                "\"service\": \"payments\"",
                "\"service\": 7",
                "service, at line 3",
            ),
            (
                "\"key\": \"transit/payments\",\n  \"deks\"",
                "\"key\": \"../x\",\n  \"deks\"",
                "key:",
            ),
            ("\"dek_no\": 1", "\"dek_no\": 0", "deks[0].dek_no"),
            ("\"dek_no\": 1", "\"dek_no\": 7", "deks[1].dek_no"),
            ("\"dek_no\": 1", "\"dek_no\": 4294967296", "deks[0].dek_no"),
            (&"01".repeat(16), &"02".repeat(16), "deks[1].dek_id"),
            (&"01".repeat(16), "0101", "deks[0].dek_id"),
            ("\"destroyed\"", "\"retired\"", "deks[1].wrapped"),
            ("\"destroyed\"", "\"broken\"", "deks[1].state"),
            ("\"version\": 3", "\"version\": 0", "deks[0].version"),
            ("q6urq6ur", "q6urq6u!", "deks[0].wrapped"),
            (&"09".repeat(32), &"09".repeat(31), "deks[0].commitment"),
            ("\"bound\": true", "\"bound\": true, \"more\": 1", "deks[0]"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            let refused = Keyring::from_json(bad.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(named), "{from} → {to}: {refused}");
        }
        for name in ["", "a\nb", &"x".repeat(128)] {
            assert!(matches!(
                Keyring::new(name, key()),
                Err(KeyringError::ServiceName)
            ));
        }
        assert!(Keyring::from_json(&vec![b' '; MAX_KEYRING + 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_change_of_a_keyring_s_text_is_refused_or_a_keyring(
            at: prop::sample::Index,
            byte: u8,
            cut: prop::sample::Index,
        ) {
            let mut json = sample().to_json().unwrap();
            let (at, cut) = (at.index(json.len()), cut.index(json.len()));
            json[at] = byte;
            if let Ok(keyring) = Keyring::from_json(&json) {
                prop_assert_eq!(Keyring::from_json(&keyring.to_json().unwrap()).unwrap(), keyring);
            }
            // Cut before its last brace it is none.
            let whole = sample().to_json().unwrap();
            prop_assert!(Keyring::from_json(&whole[..cut.min(whole.len() - 2)]).is_err());
        }
    }
}
