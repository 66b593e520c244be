//! `keyfold operator generate-root`: a new root token, by those who hold the shares.

use clap::Args;
use keyfold_client::Request;
use keyfold_keys::rng;
use serde_json::{Value, json};

use super::ceremony;
use crate::error::CliError;
use crate::output::{Table, line, text_of};
use crate::session::Session;

const ATTEMPT: &str = "sys/generate-root/attempt";
/// Characters of a pad where the server does not say how many.
const PAD: usize = 26;

/// Arguments of `operator generate-root`.
#[derive(Args)]
pub(crate) struct GenerateRootArgs {
    /// Begin: the server makes a one-time pad, unless -otp or -pgp-key is given
    #[arg(long)]
    init: bool,
    /// Show how far it is
    #[arg(long, conflicts_with = "init")]
    status: bool,
    /// Give it up
    #[arg(long, conflicts_with_all = ["init", "status"])]
    cancel: bool,
    /// Take the pad off a token: the encoded token, with the pad in -otp; `-` reads a line
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["init", "status", "cancel"])]
    decode: Option<String>,
    /// Print a pad for -otp and end
    #[arg(long, conflicts_with_all = ["init", "status", "cancel", "decode"])]
    generate_otp: bool,
    /// The one-time pad
    #[arg(long, value_name = "PAD")]
    otp: Option<String>,
    /// A file with an OpenPGP key, for which the token is encrypted
    #[arg(long, value_name = "FILE", conflicts_with = "otp")]
    pgp_key: Option<String>,
    /// Names the attempt, as -init told it
    #[arg(long)]
    nonce: Option<String>,
    /// One share, in base64 or hex; `-` reads a line of standard input; asked for when absent
    share: Option<String>,
}

/// Does what the flags say; without one, gives a share.
pub(crate) fn run(session: &Session, args: GenerateRootArgs) -> Result<(), CliError> {
    if args.generate_otp {
        return pad(session);
    }
    if let Some(encoded) = args.decode {
        return decode(session, encoded, args.otp);
    }
    if args.status {
        return show(session, &Request::read(ATTEMPT));
    }
    if args.cancel {
        let request = ceremony::cancel(ATTEMPT, args.nonce.as_deref());
        session.call(&request)?;
        return line("Success! No root token is asked for any more.");
    }
    if args.init {
        let body = match (args.otp, args.pgp_key) {
            (Some(otp), _) => json!({"otp": otp}),
            (None, Some(file)) => json!({"pgp_key": ceremony::pgp_key(&file)?}),
            (None, None) => json!({}),
        };
        return show(session, &Request::write(ATTEMPT, &body)?);
    }
    let nonce = ceremony::nonce(session, ATTEMPT, args.nonce)?;
    let share = crate::prompt::secret(args.share, "unseal key")?;
    let body = json!({"key": share.expose(), "nonce": nonce});
    show(session, &Request::write("sys/generate-root/update", &body)?)
}

fn show(session: &Session, request: &Request) -> Result<(), CliError> {
    let status: Value = session.call(request)?.json()?;
    session
        .output
        .result(&status, || table(&status).to_string())
}

fn table(status: &Value) -> Table {
    let rows = [
        ("nonce", "Nonce"),
        ("started", "Started"),
        ("progress", "Progress"),
        ("complete", "Complete"),
        ("otp", "OTP"),
        ("otp_length", "OTP Length"),
        ("pgp_fingerprint", "PGP Fingerprint"),
        ("encoded_token", "Encoded Token"),
    ];
    Table::of_pairs(rows.into_iter().filter_map(|(member, key)| {
        let text = text_of(status.get(member)?);
        let text = match member {
            "progress" => format!("{text}/{}", text_of(status.get("required")?)),
            _ => text,
        };
        let idle = text.is_empty() || member == "otp_length" && text == "0";
        (!idle).then(|| (key.to_owned(), text))
    }))
}

fn pad(session: &Session) -> Result<(), CliError> {
    let status: Value = session.call(&Request::read(ATTEMPT))?.json()?;
    let length = status.get("otp_length").and_then(Value::as_u64);
    let length = length.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAD);
    let pad = rng::base62(length.min(PAD * 4));
    session
        .output
        .result(&json!({"otp": pad, "otp_length": pad.len()}), || {
            format!("{pad}\n")
        })
}

/// The server need not see both halves of a token, so it is put together here.
fn decode(session: &Session, encoded: String, pad: Option<String>) -> Result<(), CliError> {
    let encoded = crate::prompt::secret(Some(encoded), "encoded token")?;
    let pad = crate::prompt::secret(pad, "one-time pad")?;
    let token = ceremony::uncover(encoded.expose(), pad.expose())?;
    match session.output.is_table() {
        true => line(token.expose()),
        false => session
            .output
            .result(&json!({"token": token.expose()}), String::new),
    }
}
