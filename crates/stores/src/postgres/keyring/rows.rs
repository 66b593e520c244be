//! Rows of a keyring, out of an answer and into parameters.

use keyfold_envelope::keyring::{DekState, KeyringError, Row};
use keyfold_envelope::{Locator, WrappedDek};
use tokio_postgres::types::FromSqlOwned;

use super::super::cell::{parse_wrap, text_of};
use super::super::statements::Parameter;

/// Reads one. Total: whatever the table holds, it is a row or an error that names it and the column.
pub(super) fn read(row: &tokio_postgres::Row) -> Result<Row, KeyringError> {
    let number = field::<i64>(row, "dek_no").map_err(KeyringError::Malformed)?;
    let bad = |what: String| KeyringError::Malformed(format!("DEK {number}: {what}"));
    let dek_no = u32::try_from(number).map_err(|_| bad("dek_no: from 1".to_owned()))?;
    parts(row, dek_no).map_err(bad)
}

fn parts(row: &tokio_postgres::Row, dek_no: u32) -> Result<Row, String> {
    Ok(Row {
        dek_no,
        dek_id: bytes(row, "dek_id")?,
        state: state(&field::<String>(row, "state")?)?,
        key: key(&field::<String>(row, "key")?)?,
        kek_id: bytes(row, "kek_id")?,
        wrapped: wrapped(row)?,
        bound: field(row, "bound")?,
        created: count(row, "created")?,
        commitment: bytes(row, "commitment")?,
        uses: count(row, "uses")?,
        bytes: count(row, "bytes")?,
    })
}

fn key(text: &str) -> Result<Locator, String> {
    let key = exact(text, str::parse::<Locator>, ToString::to_string);
    Ok(key.ok_or("key: not MOUNT/NAME")?)
}

fn wrapped(row: &tokio_postgres::Row) -> Result<Option<WrappedDek>, String> {
    let text = row.try_get::<_, Option<String>>("wrapped");
    let Some(text) = text.map_err(|_| "wrapped: not text")? else {
        return Ok(None);
    };
    let parse = |text: &str| parse_wrap(text.strip_prefix("vault:v").unwrap_or_default());
    let wrapped = exact(&text, parse, text_of);
    Ok(Some(
        wrapped.ok_or("wrapped: not vault:v<version>:<base64>")?,
    ))
}

/// What a text says, where it is the one way to say it: a row is compared with what was read.
fn exact<T, E>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
    write: impl FnOnce(&T) -> String,
) -> Option<T> {
    parse(text).ok().filter(|parsed| write(parsed) == text)
}

fn field<T: FromSqlOwned>(row: &tokio_postgres::Row, name: &str) -> Result<T, String> {
    let value = row.try_get::<_, Option<T>>(name);
    let value = value.map_err(|_| format!("{name}: of another type"))?;
    value.ok_or_else(|| format!("{name}: NULL"))
}

fn bytes<const N: usize>(row: &tokio_postgres::Row, name: &str) -> Result<[u8; N], String> {
    let bytes = field::<Vec<u8>>(row, name)?;
    let bytes = bytes.try_into();
    bytes.map_err(|_| format!("{name}: not {N} bytes"))
}

fn count(row: &tokio_postgres::Row, name: &str) -> Result<u64, String> {
    let value = field::<i64>(row, name)?;
    u64::try_from(value).map_err(|_| format!("{name}: below 0"))
}

fn state(text: &str) -> Result<DekState, String> {
    match text {
        "active" => Ok(DekState::Active),
        "retired" => Ok(DekState::Retired),
        "destroyed" => Ok(DekState::Destroyed),
        _ => Err("state: active, retired or destroyed".to_owned()),
    }
}

/// Rows as an array for each column, in the order of [`COLUMNS`](super::sql::COLUMNS).
#[derive(Default)]
pub(super) struct Arrays {
    dek_no: Vec<i64>,
    dek_id: Vec<Vec<u8>>,
    state: Vec<&'static str>,
    key: Vec<String>,
    kek_id: Vec<Vec<u8>>,
    wrapped: Vec<Option<String>>,
    bound: Vec<bool>,
    created: Vec<i64>,
    commitment: Vec<Vec<u8>>,
    uses: Vec<i64>,
    bytes: Vec<i64>,
}

impl Arrays {
    /// Adds a row; [`KeyringError::Full`] where it counts more than the table can.
    pub(super) fn push(&mut self, row: &Row) -> Result<(), KeyringError> {
        let number = |value: u64| i64::try_from(value).map_err(|_| KeyringError::Full);
        let (created, uses, bytes) = (number(row.created)?, number(row.uses)?, number(row.bytes)?);
        self.dek_no.push(row.dek_no.into());
        self.dek_id.push(row.dek_id.to_vec());
        self.state.push(match row.state {
            DekState::Active => "active",
            DekState::Retired => "retired",
            DekState::Destroyed => "destroyed",
        });
        self.key.push(row.key.to_string());
        self.kek_id.push(row.kek_id.to_vec());
        self.wrapped.push(row.wrapped.as_ref().map(text_of));
        self.bound.push(row.bound);
        self.created.push(created);
        self.commitment.push(row.commitment.to_vec());
        self.uses.push(uses);
        self.bytes.push(bytes);
        Ok(())
    }

    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.dek_no.len()
    }

    pub(super) fn parameters(&self) -> [Parameter<'_>; 11] {
        [
            &self.dek_no,
            &self.dek_id,
            &self.state,
            &self.key,
            &self.kek_id,
            &self.wrapped,
            &self.bound,
            &self.created,
            &self.commitment,
            &self.uses,
            &self.bytes,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_is_taken_in_one_form_only() {
        let parse = |text: &str| parse_wrap(text.strip_prefix("vault:v").unwrap_or_default());
        assert!(exact("vault:v3:AAEC", parse, text_of).is_some());
        for text in [
            "vault:v03:AAEC",
            "vault:v+3:AAEC",
            "vault:v3:AAEC\n",
            "v3:AAEC",
            "",
        ] {
            assert!(exact(text, parse, text_of).is_none(), "{text}");
        }
    }
}
