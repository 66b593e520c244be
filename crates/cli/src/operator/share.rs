//! `keyfold operator share check`: a custodian's rehearsal.

use clap::{Args, Subcommand};
use keyfold_api::base64;
use keyfold_client::Request;
use keyfold_keys::Share;
use keyfold_secret::Secret;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::output::text_of;
use crate::prompt;
use crate::session::Session;

/// Arguments of `operator share`.
#[derive(Args)]
pub(crate) struct ShareArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Prove that a share is one of those that open the server today, without giving it away
    Check {
        /// The share, in base64 or hex; `-` reads a line of standard input; asked for when absent
        share: Option<String>,
    },
}

/// Sends what the share hashes to, and prints which one it is.
pub(crate) fn run(session: &Session, args: ShareArgs) -> Result<(), CliError> {
    let What::Check { share } = args.what;
    let share = parse(prompt::secret(share, "share")?.expose())?;
    let terms: Value = session.call(&Request::read("sys/share-check"))?.json()?;
    // A rekey whose answer may not have reached anybody has made a second set, with a salt of its own.
    let next = terms.get("next").map(|next| check(&share, next));
    let checks = json!({"check": check(&share, &terms)?, "check_next": next.transpose()?});
    let answer: Value = session
        .call(&Request::write("sys/share-check", &checks)?)?
        .json()?;
    session.output.result(&answer, || {
        let of = |name: &str| answer.get(name).map(text_of).unwrap_or_default();
        let set = match answer.get("next").and_then(Value::as_bool) {
            Some(true) => {
                " of the new shares: they and the old ones open the server, until one set is used"
            }
            _ => "",
        };
        format!(
            "This is share {} of {}, any {} of which are enough{set}. It stayed here.\n",
            of("share"),
            of("n"),
            of("t")
        )
    })
}

/// What a share hashes to under the salt of a set, in hex.
fn check(share: &Share, terms: &Value) -> Result<String, CliError> {
    let salt = terms.get("salt").and_then(Value::as_str);
    let salt = salt.and_then(|salt| hex::decode(salt).ok());
    let salt = salt.ok_or(CliError::Answer("salt"))?;
    Ok(hex::encode(share.check(&salt)))
}

fn parse(text: &str) -> Result<Share, CliError> {
    let no_share = || CliError::Usage("a share is hex or base64 of 16 to 33 bytes".to_owned());
    let text = text.trim();
    let bytes = hex::decode(text).ok().or_else(|| base64::decode(text).ok());
    let bytes = Secret::new(bytes.ok_or_else(no_share)?);
    Share::from_bytes(bytes.expose()).map_err(|_| no_share())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_in_both_spellings() {
        let hex = parse("00112233445566778899aabbccddeeff").ok().unwrap();
        let base64 = parse("ABEiM0RVZneImaq7zN3u/w==\n").ok().unwrap();
        assert!(hex.ct_eq(&base64));
        for wrong in ["", "00", "+0 12", "hello"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
