//! Random bytes and hashes: what `sys/tools/` and the transit engine both offer. A caller's path
//! names `first`, or `source` and `bytes`, and `algorithm`.

use keyfold_api::{base64, weak};
use keyfold_keys::digest::Digest;
use keyfold_keys::rng;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;

/// Random bytes that one call gives at most.
const MAX_BYTES: i64 = 128 * 1024;

#[derive(Deserialize)]
struct Random {
    #[serde(default, deserialize_with = "weak::int")]
    bytes: Option<i64>,
    #[serde(default, deserialize_with = "weak::string")]
    format: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    source: Option<String>,
}

#[derive(Deserialize)]
struct Hash {
    #[serde(default, deserialize_with = "weak::secret_string")]
    input: Option<Secret<String>>,
    #[serde(default, deserialize_with = "weak::string")]
    algorithm: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    format: Option<String>,
}

#[derive(Serialize)]
struct RandomReply<'a> {
    random_bytes: &'a str,
}

#[derive(Serialize)]
struct HashReply<'a> {
    sum: &'a str,
}

/// How bytes are written.
#[derive(Clone, Copy)]
enum Format {
    Hex,
    Base64,
}

impl Format {
    fn named(name: Option<&str>, usual: Self) -> Option<Self> {
        match name {
            None | Some("") => Some(usual),
            Some("hex") => Some(Self::Hex),
            Some("base64") => Some(Self::Base64),
            Some(_) => None,
        }
    }

    fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => base64::encode(bytes),
        }
    }
}

/// Random bytes.
///
/// # Errors
///
/// [`Error::BadRequest`] for a count, a format or a source that is none.
pub fn random(call: &Call<'_>) -> Result<Reply, Error> {
    let asked = call.decode::<Random>()?;
    // `random/16` is a count, `random/seal` is a source.
    let first = call.param("first");
    let digits = first.strip_prefix('-').unwrap_or(first);
    let counts = digits.bytes().all(|b| b.is_ascii_digit());
    let (source, count) = match first {
        "" => (call.param("source"), call.param("bytes")),
        count if counts => ("", count),
        source => (source, ""),
    };
    let count = match count {
        "" => asked.bytes.unwrap_or(32),
        text => text
            .parse()
            .map_err(|_| Error::bad("error parsing url-supplied byte count"))?,
    };
    if count < 1 {
        return Err(Error::bad("'bytes' cannot be less than 1"));
    }
    if count > MAX_BYTES {
        return Err(Error::bad(format!(
            "'bytes' should be less than {MAX_BYTES}"
        )));
    }
    let name = asked.format.as_deref();
    let format = Format::named(name, Format::Base64).ok_or_else(|| {
        let name = name.unwrap_or_default();
        Error::bad(format!(
            "unsupported encoding format {name:?}; must be \"hex\" or \"base64\""
        ))
    })?;
    let source = match (source, asked.source.as_deref()) {
        ("", Some(source)) => source,
        (source, _) => source,
    };
    let warning = match source {
        "" | "platform" | "all" => None,
        "seal" => Some("no seal/entropy augmentation available, using platform entropy source"),
        other => {
            return Err(Error::bad(format!(
                "unsupported entropy source {other:?}; must be \"platform\" or \"seal\", or \
                     \"all\""
            )));
        }
    };
    let mut bytes = Secret::new(vec![0; usize::try_from(count).unwrap_or(0)]);
    rng::fill(bytes.expose_mut());
    let text = Secret::new(format.write(bytes.expose()));
    let reply = Reply::data(&RandomReply {
        random_bytes: text.expose(),
    })?;
    Ok(match warning {
        Some(text) => reply.warn(text),
        None => reply,
    })
}

/// A hash.
///
/// # Errors
///
/// [`Error::BadRequest`] for an input that is not base64 and a function or format that is none.
pub fn hash(call: &Call<'_>) -> Result<Reply, Error> {
    let asked = call.decode::<Hash>()?;
    let input = asked.input.as_ref();
    let input = input.ok_or_else(|| Error::bad("input missing"))?;
    let input = base64::decode(input.expose())
        .map(Secret::new)
        .map_err(|error| Error::bad(format!("unable to decode input as base64: {error}")))?;
    let named = match (call.param("algorithm"), asked.algorithm.as_deref()) {
        ("", None | Some("")) => "sha2-256",
        ("", Some(name)) => name,
        (name, _) => name,
    };
    let digest =
        Digest::named(named).ok_or_else(|| Error::bad(format!("unsupported algorithm {named}")))?;
    let name = asked.format.as_deref();
    let format = Format::named(name, Format::Hex).ok_or_else(|| {
        let name = name.unwrap_or_default();
        Error::bad(format!(
            "unsupported encoding format {name}; must be \"hex\" or \"base64\""
        ))
    })?;
    let sum = format.write(&digest.of(input.expose()));
    Reply::data(&HashReply { sum: &sum })
}
