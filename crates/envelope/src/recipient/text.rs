//! Offline keys as text: one line, with a checksum, so that a mistyped one is noticed before it is
//! tried.
//!
//! ```text
//! keyfold-recipient-BASE64URL   type 1 │ public key │ CRC32C     long: to be copied
//! KEYFOLD-IDENTITY-HEX          type 1 │ seed 32    │ CRC32C     may be typed from paper
//! KEYFOLD-KEK-HEX mount/key     version 4 │ key 32  │ CRC32C     the checksum counts the name too
//! ```
//!
//! Hexadecimal digits have no two that look alike, and either case is taken. In a file, empty lines
//! and those that start with `#` are passed over.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyfold_secret::{Protected, Secret};

use super::{ExportedKek, Identity, XWingIdentity, XWingRecipient};
use crate::locator::{Locator, LocatorError};
use crate::slot::TYPE_X_WING;

const RECIPIENT: &str = "keyfold-recipient-";
const IDENTITY: &str = "KEYFOLD-IDENTITY-";
const KEK: &str = "KEYFOLD-KEK-";
const CRC_LEN: usize = 4;
/// Bytes of an identity's text, decoded.
const IDENTITY_LEN: usize = 1 + 32 + CRC_LEN;
/// Bytes of an exported key's text, decoded.
const KEK_LEN: usize = 4 + 32 + CRC_LEN;
/// Most keys that one text may hold.
const MOST: usize = 1000;

/// Why a text is no key. Nothing of the text is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyTextError {
    /// It starts with none of the words that keys start with.
    #[error("it starts neither with {IDENTITY} nor with {KEK}")]
    NoIdentity,
    /// It does not start as a recipient does.
    #[error("it does not start with {RECIPIENT}")]
    NoRecipient,
    /// An identity, which is secret, in the place of a recipient.
    #[error("it is an identity, which is secret, and no recipient")]
    Secret,
    /// A recipient in the place of an identity.
    #[error("it is a recipient, which opens nothing, and no identity")]
    Public,
    /// It was cut, mistyped or damaged.
    #[error("it is damaged or mistyped: its checksum does not fit")]
    Damaged,
    /// A newer program made it.
    #[error("it is of type {0}, which this program does not know")]
    Type(u8),
    /// The place of an exported key is no locator.
    #[error(transparent)]
    Locator(#[from] LocatorError),
    /// The text has no key at all.
    #[error("there is no key in it")]
    Empty,
    /// The text has more keys than anybody needs.
    #[error("there are more than {MOST} keys in it")]
    TooMany,
}

/// A [`KeyTextError`] and the line that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct KeyFileError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: KeyTextError,
}

/// The identities of a file: offline keys, exported KEKs.
pub fn identities_of(text: &str) -> Result<Vec<Box<dyn Identity>>, KeyFileError> {
    each_line(text, |line| {
        if starts_with(line, KEK) {
            return Ok(Box::new(kek_of(line)?) as Box<dyn Identity>);
        }
        Ok(Box::new(identity_of(line)?))
    })
}

/// The recipients of a file, or of one line.
pub fn recipients_of(text: &str) -> Result<Vec<XWingRecipient>, KeyFileError> {
    each_line(text, recipient_of)
}

/// A recipient as text.
pub(super) fn of_recipient(public: &[u8]) -> String {
    let body = [&[TYPE_X_WING], public].concat();
    let crc = crc32c::crc32c(&body).to_be_bytes();
    format!(
        "{RECIPIENT}{}",
        URL_SAFE_NO_PAD.encode([&body[..], &crc].concat())
    )
}

fn recipient_of(line: &str) -> Result<XWingRecipient, KeyTextError> {
    if starts_with(line, IDENTITY) || starts_with(line, KEK) {
        return Err(KeyTextError::Secret);
    }
    let text = line
        .strip_prefix(RECIPIENT)
        .ok_or(KeyTextError::NoRecipient)?;
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| KeyTextError::Damaged)?;
    let (body, crc) = bytes.split_last_chunk().ok_or(KeyTextError::Damaged)?;
    match body.split_first() {
        _ if crc32c::crc32c(body) != u32::from_be_bytes(*crc) => Err(KeyTextError::Damaged),
        Some((&TYPE_X_WING, public)) => {
            XWingRecipient::of_public(public).ok_or(KeyTextError::Damaged)
        }
        Some((kind, _)) => Err(KeyTextError::Type(*kind)),
        None => Err(KeyTextError::Damaged),
    }
}

/// An identity as text.
pub(super) fn of_identity(seed: &Protected<32>) -> Secret<String> {
    let bytes = with_crc::<IDENTITY_LEN>(&[&[TYPE_X_WING], seed.expose()], &[]);
    in_hex(IDENTITY, bytes.expose())
}

fn identity_of(line: &str) -> Result<XWingIdentity, KeyTextError> {
    if starts_with(line, RECIPIENT) {
        return Err(KeyTextError::Public);
    }
    let text = without(line, IDENTITY).ok_or(KeyTextError::NoIdentity)?;
    let bytes = of_hex::<IDENTITY_LEN>(text, &[])?;
    match bytes.expose().split_first() {
        Some((&TYPE_X_WING, rest)) => {
            let seed = rest.first_chunk::<32>().ok_or(KeyTextError::Damaged)?;
            let seed = Protected::init_with(|out| out.copy_from_slice(seed));
            XWingIdentity::of_seed(seed).ok_or(KeyTextError::Damaged)
        }
        Some((kind, _)) => Err(KeyTextError::Type(*kind)),
        None => Err(KeyTextError::Damaged),
    }
}

/// An exported key as text.
pub(super) fn of_kek(locator: &Locator, version: u32, key: &Protected<32>) -> Secret<String> {
    let name = locator.as_str().as_bytes();
    let bytes = with_crc::<KEK_LEN>(&[&version.to_be_bytes(), key.expose()], name);
    let mut text = in_hex(KEK, bytes.expose());
    text.expose_mut().push(' ');
    text.expose_mut().push_str(locator.as_str());
    text
}

fn kek_of(line: &str) -> Result<ExportedKek, KeyTextError> {
    let (key, locator) = line.split_once(' ').ok_or(KeyTextError::Damaged)?;
    let locator: Locator = locator.trim().parse()?;
    let text = without(key, KEK).ok_or(KeyTextError::NoIdentity)?;
    let bytes = of_hex::<KEK_LEN>(text, locator.as_str().as_bytes())?;
    let (version, rest) = bytes
        .expose()
        .split_first_chunk()
        .ok_or(KeyTextError::Damaged)?;
    let key = rest.first_chunk::<32>().ok_or(KeyTextError::Damaged)?;
    let key = Protected::init_with(|out| out.copy_from_slice(key));
    Ok(ExportedKek::new(locator, u32::from_be_bytes(*version), key))
}

fn each_line<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, KeyTextError>,
) -> Result<Vec<T>, KeyFileError> {
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let failed = |error| KeyFileError {
            line: number,
            error,
        };
        if keys.len() == MOST {
            return Err(failed(KeyTextError::TooMany));
        }
        keys.push(parse(line).map_err(failed)?);
    }
    if keys.is_empty() {
        let error = KeyTextError::Empty;
        return Err(KeyFileError { line: 1, error });
    }
    Ok(keys)
}

/// The parts, and the checksum of them and of what is not part of the text.
fn with_crc<const N: usize>(parts: &[&[u8]], beside: &[u8]) -> Protected<N> {
    Protected::init_with(|out| {
        let bytes = parts.iter().copied().flatten();
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        if let Some((body, crc)) = out.split_last_chunk_mut::<CRC_LEN>() {
            *crc = crc_of(body, beside).to_be_bytes();
        }
    })
}

fn in_hex(prefix: &str, bytes: &[u8]) -> Secret<String> {
    let len = prefix.len().saturating_add(bytes.len().saturating_mul(2));
    // Room for a name, so that the text is not moved.
    let mut text = Secret::new(String::with_capacity(len.saturating_add(256)));
    text.expose_mut().push_str(prefix);
    let digits = Secret::new(hex::encode_upper(bytes));
    text.expose_mut().push_str(digits.expose());
    text
}

fn of_hex<const N: usize>(text: &str, beside: &[u8]) -> Result<Protected<N>, KeyTextError> {
    let bytes = Protected::<N>::try_init_with(|out| hex::decode_to_slice(text, out))
        .map_err(|_| KeyTextError::Damaged)?;
    match bytes.expose().split_last_chunk::<CRC_LEN>() {
        Some((body, crc)) if crc_of(body, beside) == u32::from_be_bytes(*crc) => Ok(bytes),
        _ => Err(KeyTextError::Damaged),
    }
}

fn crc_of(body: &[u8], beside: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(body), beside)
}

/// Whether it starts so, in either case.
fn starts_with(line: &str, prefix: &str) -> bool {
    line.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn without<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.get(prefix.len()..)
        .filter(|_| starts_with(line, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seed(fill: u8) -> Protected<32> {
        Protected::init_with(|seed| seed.fill(fill))
    }

    fn error_of<T>(result: Result<Vec<T>, KeyFileError>) -> KeyTextError {
        result.err().unwrap().error
    }

    #[test]
    fn texts_come_back_as_they_were() {
        let identity = XWingIdentity::of_seed(seed(7)).unwrap();
        let recipient = identity.recipient();
        let line = recipient.to_string();
        assert_eq!(line.lines().count(), 1);
        let file = format!("# a comment\n\n {line} \r\n");
        assert!(recipients_of(&file).unwrap() == [recipient]);

        let text = identity.text();
        let lower = text.expose().to_lowercase();
        for text in [text.expose(), &lower] {
            let again = identity_of(text).unwrap();
            assert!(again.recipient() == identity.recipient());
        }
        let kek = ExportedKek::new("team/transit/k".parse().unwrap(), 3, seed(9));
        let text = kek.text();
        let again = kek_of(text.expose()).unwrap();
        assert_eq!(again.text().expose(), text.expose());
        let both = format!("{}\n{}\n", identity.text().expose(), text.expose());
        assert_eq!(identities_of(&both).unwrap().len(), 2);
    }

    #[test]
    fn each_mistyped_character_is_noticed() {
        let identity = XWingIdentity::of_seed(seed(7)).unwrap();
        let kek = ExportedKek::new("transit/payments".parse().unwrap(), 3, seed(9));
        let texts = [
            identity.text().expose().clone(),
            kek.text().expose().clone(),
        ];
        for text in texts {
            for at in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
                let changed = String::from_utf8(bytes).unwrap();
                assert!(identities_of(&changed).is_err(), "{at}");
                assert!(identities_of(&text[..at]).is_err(), "{at}");
            }
        }
        let line = identity.recipient().to_string();
        for at in (0..line.len()).step_by(7) {
            let mut bytes = line.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            assert!(recipients_of(&String::from_utf8(bytes).unwrap()).is_err());
            assert!(recipients_of(&line[..at]).is_err());
        }
    }

    #[test]
    fn a_key_in_the_wrong_place_is_named() {
        let identity = XWingIdentity::of_seed(seed(7)).unwrap();
        let recipient = identity.recipient().to_string();
        let text = identity.text();
        let wrong = error_of(recipients_of(text.expose()));
        assert_eq!(wrong, KeyTextError::Secret);
        assert_eq!(error_of(identities_of(&recipient)), KeyTextError::Public);
        assert_eq!(error_of(identities_of("x")), KeyTextError::NoIdentity);
        assert_eq!(error_of(recipients_of("x")), KeyTextError::NoRecipient);
        assert_eq!(error_of(identities_of("# x\n")), KeyTextError::Empty);
        let newer = with_crc::<IDENTITY_LEN>(&[&[9], &[1; 32]], &[]);
        let newer = in_hex(IDENTITY, newer.expose());
        assert_eq!(
            error_of(identities_of(newer.expose())),
            KeyTextError::Type(9)
        );
        let many = format!("{}\n", text.expose()).repeat(MOST + 1);
        let error = identities_of(&many).err().unwrap();
        assert_eq!((error.line, error.error), (1001, KeyTextError::TooMany));
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_or_an_error(text in "\\PC{0,100}", start in 0..4usize) {
            let start = ["", RECIPIENT, IDENTITY, KEK][start];
            let line = format!("{start}{text}");
            prop_assert!(identities_of(&line).is_err());
            prop_assert!(recipients_of(&line).is_err());
        }
    }
}
