//! [`Cell`]: what a column holds, and what goes into it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use keyfold_envelope::header::{HEADER_LEN, Header};
use keyfold_envelope::{Aad, Change, Content, Error, Locator, WrappedDek, Written};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// What the column is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Characters: a wrap, or an envelope or its header in base64.
    Text,
    /// Bytes: an envelope or its header, or the characters of a wrap.
    Bytes,
}

/// What a column holds: of bytes the first 4,096, which is all that changes; of text all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Text(String),
    Bytes(Vec<u8>),
}

/// What a cell is.
enum Shape {
    Wrap(WrappedDek),
    /// A header, and what stands behind it.
    Envelope(Box<Header>, Vec<u8>),
}

impl Cell {
    /// Reads one out of an answer.
    pub(super) fn of(
        row: &tokio_postgres::Row,
        at: usize,
        kind: Kind,
    ) -> Result<Self, tokio_postgres::Error> {
        match kind {
            Kind::Text => row.try_get(at).map(Self::Text),
            Kind::Bytes => row.try_get(at).map(Self::Bytes),
        }
    }

    /// What it says. `key` is the KEK of a wrap that stands alone.
    pub(super) fn content(
        &self,
        key: Option<&Locator>,
        aad: impl FnOnce() -> Option<Aad>,
    ) -> Result<Content, Error> {
        match self.shape()? {
            Shape::Envelope(header, _) => Ok(Content::Header(header)),
            Shape::Wrap(wrapped) => {
                let locator = key.ok_or(Error::Unsupported(
                    "a wrap that does not say its key: add key=MOUNT/NAME to the address",
                ))?;
                Ok(Content::Wrap {
                    locator: locator.clone(),
                    wrapped,
                    aad: aad(),
                })
            }
        }
    }

    /// The cell after a change; `None` where there is nothing to do.
    pub(super) fn changed(&self, change: &Change) -> Result<Option<(Self, Written)>, Error> {
        match self.shape()? {
            Shape::Envelope(header, rest) => {
                let Some((header, written)) = change.whole(&header)? else {
                    return Ok(None);
                };
                let bytes = [&header[..], &rest].concat();
                Ok(Some((self.like(bytes), written)))
            }
            Shape::Wrap(wrapped) => {
                if wrapped != change.old_wrap() {
                    return Err(Error::SlotsChanged);
                }
                let Some(new) = change.new_wrap() else {
                    return Ok(None);
                };
                let text = text_of(&new);
                let written = Written {
                    bytes: text.len() as u64,
                    new_wrap: true,
                };
                let cell = match self {
                    Self::Text(_) => Self::Text(text),
                    Self::Bytes(_) => Self::Bytes(text.into_bytes()),
                };
                Ok(Some((cell, written)))
            }
        }
    }

    fn shape(&self) -> Result<Shape, Error> {
        match self {
            Self::Text(text) => match text.strip_prefix("vault:v") {
                Some(rest) => parse_wrap(rest).map(Shape::Wrap),
                None => {
                    // SQL's own `encode` breaks lines.
                    let text: String = text.split_ascii_whitespace().collect();
                    let bytes = STANDARD.decode(text);
                    envelope(&bytes.map_err(|_| Error::NotAnEnvelope)?)
                }
            },
            Self::Bytes(bytes) => match bytes.strip_prefix(b"vault:v") {
                Some(rest) => {
                    let rest = std::str::from_utf8(rest).map_err(|_| Error::NotAnEnvelope)?;
                    parse_wrap(rest).map(Shape::Wrap)
                }
                None => envelope(bytes),
            },
        }
    }

    /// A cell of the same kind with these bytes.
    fn like(&self, bytes: Vec<u8>) -> Self {
        match self {
            Self::Text(_) => Self::Text(STANDARD.encode(bytes)),
            Self::Bytes(_) => Self::Bytes(bytes),
        }
    }
}

fn envelope(bytes: &[u8]) -> Result<Shape, Error> {
    let header = Header::parse_prefix(bytes)?;
    let rest = bytes.get(HEADER_LEN..).unwrap_or_default();
    Ok(Shape::Envelope(Box::new(header), rest.to_vec()))
}

/// Reads what follows `vault:v`.
pub(super) fn parse_wrap(rest: &str) -> Result<WrappedDek, Error> {
    let parts = rest.split_once(':').and_then(|(version, blob)| {
        Some(WrappedDek {
            version: version.parse().ok().filter(|version| *version > 0)?,
            blob: STANDARD.decode(blob).ok().filter(|blob| !blob.is_empty())?,
        })
    });
    parts.ok_or(Error::HeaderDamaged(
        "the wrap is not vault:v<version>:<base64>",
    ))
}

pub(super) fn text_of(wrapped: &WrappedDek) -> String {
    format!(
        "vault:v{}:{}",
        wrapped.version,
        STANDARD.encode(&wrapped.blob)
    )
}

impl ToSql for Cell {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Text(text) => text.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TEXT || *kind == Type::BYTEA
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(cell: &Cell) -> Result<Content, Error> {
        cell.content(Some(&"transit/k".parse().unwrap()), || None)
    }

    #[test]
    fn a_wrap_is_read_from_text_and_from_bytes() {
        let text = "vault:v12:AAEC";
        for cell in [Cell::Text(text.to_owned()), Cell::Bytes(text.into())] {
            let Ok(Content::Wrap { wrapped, .. }) = content(&cell) else {
                panic!("no wrap");
            };
            assert_eq!((wrapped.version, &wrapped.blob[..]), (12, &[0, 1, 2][..]));
            assert_eq!(text_of(&wrapped), text);
            let unnamed = cell.content(None, || None);
            assert!(matches!(unnamed, Err(Error::Unsupported(_))));
        }
    }

    #[test]
    fn what_is_no_wrap_is_told_apart() {
        for text in [
            "vault:v0:AAEC",
            "vault:v1:",
            "vault:v1",
            "vault:vx:AAEC",
            "vault:v1:A",
            "vault:v1:AAEC\n",
        ] {
            let cell = Cell::Text(text.to_owned());
            assert!(
                matches!(content(&cell), Err(Error::HeaderDamaged(_))),
                "{text}"
            );
        }
        for text in ["", "plain words", "aGVsbG8="] {
            let cell = Cell::Text(text.to_owned());
            assert!(
                matches!(content(&cell), Err(Error::NotAnEnvelope)),
                "{text}"
            );
        }
        assert!(matches!(
            content(&Cell::Bytes(vec![0xff; 8])),
            Err(Error::NotAnEnvelope)
        ));
        assert!(matches!(
            content(&Cell::Bytes(b"vault:v\xff".to_vec())),
            Err(Error::NotAnEnvelope)
        ));
    }
}
