//! What the commands share by which people give shares for one purpose.

use std::io::IsTerminal as _;

use keyfold_api::base64;
use keyfold_client::Request;
use keyfold_secret::Secret;
use serde_json::Value;

use crate::error::CliError;
use crate::output::note;
use crate::session::Session;

/// The longest file that is taken for an OpenPGP key, in bytes.
const KEY_FILE: u64 = 1 << 20;

/// A request that gives up what is under way at a path.
pub(super) fn cancel(path: &str, nonce: Option<&str>) -> Request {
    match nonce {
        Some(nonce) => Request::delete(path).with_query("nonce", nonce),
        None => Request::delete(path),
    }
}

/// The nonce: what is given, else what the server tells whoever has a token. At a terminal it is
/// shown, so that a custodian sees what the share is for.
pub(super) fn nonce(
    session: &Session,
    path: &str,
    given: Option<String>,
) -> Result<String, CliError> {
    if let Some(nonce) = given {
        return Ok(nonce);
    }
    let status: Value = session.ask(&Request::read(path))?.success()?.json()?;
    let nonce = find(&status, "nonce").and_then(Value::as_str);
    let Some(nonce) = nonce.filter(|nonce| !nonce.is_empty()) else {
        return Err(CliError::Usage(match find(&status, "started") {
            Some(Value::Bool(true)) => {
                "the nonce is needed: whoever began has it (-nonce)".to_owned()
            }
            _ => "nothing is under way: begin with -init".to_owned(),
        }));
    };
    if std::io::stdin().is_terminal() {
        note(&format!("Nonce: {nonce}"));
    }
    Ok(nonce.to_owned())
}

/// A member of an answer, in the envelope or bare.
pub(super) fn find<'a>(answer: &'a Value, name: &str) -> Option<&'a Value> {
    let data = answer.get("data").filter(|data| data.is_object());
    data.unwrap_or(answer).get(name)
}

/// The key in a file, as the server takes it.
pub(super) fn pgp_key(file: &str) -> Result<String, CliError> {
    if file.starts_with("keybase:") {
        return Err(CliError::Usage(
            "keys are not fetched from elsewhere: give a file with the OpenPGP key".to_owned(),
        ));
    }
    let what = || format!("can't read {file}");
    let size = std::fs::metadata(file).map_err(CliError::io(what()))?.len();
    if size > KEY_FILE {
        return Err(CliError::Usage(format!("{file} is too long for a key")));
    }
    let bytes = std::fs::read(file).map_err(CliError::io(what()))?;
    // Some keep the key as the text that the server takes.
    match std::str::from_utf8(&bytes).map(str::trim) {
        Ok(text) if base64::decode(text).is_ok() => Ok(text.to_owned()),
        _ => Ok(base64::encode(&bytes)),
    }
}

/// The token under a pad.
pub(super) fn uncover(encoded: &str, pad: &str) -> Result<Secret<String>, CliError> {
    let wrong = |what: &str| CliError::Usage(what.to_owned());
    // Servers leave out the padding.
    let encoded = encoded.trim_end_matches('=');
    let padded = format!("{encoded}{}", "=".repeat(encoded.len().wrapping_neg() % 4));
    let bytes = base64::decode(&padded).map_err(|_| wrong("the encoded token is not base64"))?;
    if bytes.len() != pad.len() {
        return Err(wrong("the pad is not as long as the token"));
    }
    let bytes = bytes.iter().zip(pad.bytes()).map(|(a, b)| a ^ b).collect();
    let text = String::from_utf8(bytes).map_err(|_| wrong("the pad is not that of this token"));
    Ok(Secret::new(text?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pad_comes_off() {
        let token = uncover(
            "O3p7A2wrXSsjZAFdEyY9Ox8tVQsJPCohCz4",
            "HT9FTsjXS2h1jRUVHh6qPhbeAk",
        );
        assert_eq!(token.ok().unwrap().expose(), "s.BE8X7spVilythmWEczYTHDJU");
        assert!(uncover("O3p7", "x").is_err());
        assert!(uncover("!", "x").is_err());
    }
}
