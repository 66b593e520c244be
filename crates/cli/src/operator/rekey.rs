//! `keyfold operator rekey`, and `operator rotate-keys`: new shares, by those who hold today's.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use keyfold_client::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ceremony::{self, find};
use crate::error::CliError;
use crate::output::{self, Table, text_of};
use crate::session::Session;

/// Arguments of `operator rekey`.
#[derive(Args)]
pub(crate) struct RekeyArgs {
    /// Begin, with -key-shares and -key-threshold
    #[arg(long)]
    init: bool,
    /// Show how far it is
    #[arg(long, conflicts_with = "init")]
    status: bool,
    /// Give it up; with -verify, show the new shares anew
    #[arg(long, conflicts_with_all = ["init", "status"])]
    cancel: bool,
    /// With -init: the new shares have to be shown before the old ones go. Else: show one of them
    #[arg(long)]
    verify: bool,
    /// How many shares there will be
    #[arg(long, value_name = "N", default_value_t = 5)]
    key_shares: u32,
    /// How many of them will be needed
    #[arg(long, value_name = "N", default_value_t = 3)]
    key_threshold: u32,
    /// Files with OpenPGP keys, one for each share, for which these are encrypted
    #[arg(long, value_name = "FILE,...", value_delimiter = ',')]
    pgp_keys: Vec<String>,
    /// Keep the encrypted shares on the server too
    #[arg(long)]
    backup: bool,
    /// Print the shares that are kept on the server
    #[arg(long, conflicts_with_all = ["init", "status", "cancel"])]
    backup_retrieve: bool,
    /// Remove the shares that are kept on the server
    #[arg(long, conflicts_with_all = ["init", "status", "cancel", "backup_retrieve"])]
    backup_delete: bool,
    /// Which shares: those of a store that nothing else opens, or those beside seals
    #[arg(long, value_enum, default_value_t = Target::Barrier)]
    target: Target,
    /// Names the rekey, as -init told it
    #[arg(long)]
    nonce: Option<String>,
    /// One share, in base64 or hex; `-` reads a line of standard input; asked for when absent
    share: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    #[value(alias = "root")]
    Barrier,
    Recovery,
}

/// Which calls are made.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    /// Those that ask for shares alone.
    Rekey,
    /// Those that ask for a token too; of a store without seals they make a new root key.
    Rotate,
}

impl Family {
    fn base(self, target: Target) -> &'static str {
        match (self, target) {
            (Self::Rekey, Target::Barrier) => "sys/rekey",
            (Self::Rekey, Target::Recovery) => "sys/rekey-recovery-key",
            (Self::Rotate, Target::Barrier) => "sys/rotate/root",
            (Self::Rotate, Target::Recovery) => "sys/rotate/recovery",
        }
    }

    fn backup(self, target: Target) -> &'static str {
        match (self, target) {
            (Self::Rekey, Target::Barrier) => "sys/rekey/backup",
            (Self::Rekey, Target::Recovery) => "sys/rekey/recovery-key-backup",
            (Self::Rotate, Target::Barrier) => "sys/rotate/root/backup",
            (Self::Rotate, Target::Recovery) => "sys/rotate/recovery/backup",
        }
    }
}

/// Does what the flags say; without one, gives a share.
pub(crate) fn run(session: &Session, args: RekeyArgs, family: Family) -> Result<(), CliError> {
    let base = family.base(args.target);
    let backup = family.backup(args.target);
    let (init, verify) = (format!("{base}/init"), format!("{base}/verify"));
    let at = if args.verify { &verify } else { &init };
    if args.init {
        return progress(session, &Request::write(&init, &terms(&args)?)?);
    }
    if args.status && !args.verify {
        return progress(session, &Request::read(&init));
    }
    if args.status {
        return show(session, &Request::read(at));
    }
    if args.cancel {
        session.call(&ceremony::cancel(at, args.nonce.as_deref()))?;
        return output::line(match args.verify {
            true => "Success! All new shares are to be shown again.",
            false => "Success! No new shares are asked for any more.",
        });
    }
    if args.backup_retrieve {
        return show(session, &Request::read(backup));
    }
    if args.backup_delete {
        session.call(&Request::delete(backup))?;
        return output::line("Success! The kept shares were removed.");
    }
    let nonce = ceremony::nonce(session, at, args.nonce)?;
    let share = crate::prompt::secret(args.share, "share")?;
    let body = json!({"key": share.expose(), "nonce": nonce});
    let to = if args.verify {
        verify
    } else {
        format!("{base}/update")
    };
    show(session, &Request::write(&to, &body)?)
}

fn terms(args: &RekeyArgs) -> Result<Value, CliError> {
    let mut body = json!({
        "secret_shares": args.key_shares,
        "secret_threshold": args.key_threshold,
        "require_verification": args.verify,
        "backup": args.backup,
    });
    if !args.pgp_keys.is_empty() {
        let keys = args.pgp_keys.iter().map(|file| ceremony::pgp_key(file));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if let Some(body) = body.as_object_mut() {
            body.insert("pgp_keys".to_owned(), json!(keys));
        }
    }
    Ok(body)
}

/// How far it is, with all members that existing clients print of any server.
#[derive(Deserialize, Serialize, Default)]
#[serde(default)]
struct Progress {
    nonce: String,
    started: bool,
    t: u64,
    n: u64,
    progress: u64,
    required: u64,
    pgp_fingerprints: Option<Vec<String>>,
    backup: bool,
    verification_required: bool,
    verification_nonce: String,
}

fn progress(session: &Session, request: &Request) -> Result<(), CliError> {
    let status = asked(session, request)?;
    let told = serde_json::from_value::<Progress>(status.clone());
    let told = told.map_err(|_| CliError::Answer("progress"))?;
    session.output.result(&told, || table(&status).to_string())
}

fn show(session: &Session, request: &Request) -> Result<(), CliError> {
    let status = asked(session, request)?;
    session.output.result(&status, || text(&status))
}

/// The data of an answer. Its warnings are told.
fn asked(session: &Session, request: &Request) -> Result<Value, CliError> {
    let answer: Value = session.call(request)?.json()?;
    let warnings = answer.get("warnings").and_then(Value::as_array);
    let warnings: Vec<_> = warnings.into_iter().flatten().map(text_of).collect();
    session.output.warnings(&warnings);
    let data = answer.get("data").filter(|data| data.is_object());
    Ok(data.cloned().unwrap_or(answer))
}

fn text(status: &Value) -> String {
    match find(status, "keys") {
        Some(Value::Array(_)) => new_shares(status),
        Some(Value::Object(kept)) => backup(kept),
        _ => table(status).to_string(),
    }
}

fn table(status: &Value) -> Table {
    let rows = [
        ("nonce", "Nonce"),
        ("started", "Started"),
        ("complete", "Complete"),
        ("progress", "Rekey Progress"),
        ("n", "New Shares"),
        ("t", "New Threshold"),
        ("verification_required", "Verification Required"),
        ("verification_nonce", "Verification Nonce"),
        ("pgp_fingerprints", "PGP Fingerprints"),
        ("backup", "Backup"),
    ];
    Table::of_pairs(rows.into_iter().filter_map(|(member, key)| {
        let value = status.get(member).filter(|value| !value.is_null())?;
        let text = match (member, status.get("required")) {
            ("progress", Some(required)) => format!("{}/{}", text_of(value), text_of(required)),
            _ => text_of(value),
        };
        (!text.is_empty()).then(|| (key.to_owned(), text))
    }))
}

fn new_shares(status: &Value) -> String {
    let list = |name: &str| {
        let values = status.get(name).and_then(Value::as_array);
        values
            .into_iter()
            .flatten()
            .map(text_of)
            .collect::<Vec<_>>()
    };
    let names = list("pgp_fingerprints");
    let mut text = String::new();
    // Writing to a String does not fail.
    for (at, key) in list("keys_base64").iter().enumerate() {
        let _ = match names.get(at) {
            Some(name) => writeln!(text, "Key {} fingerprint: {name}; value: {key}", at + 1),
            None => writeln!(text, "Key {}: {key}", at + 1),
        };
    }
    let of = |name: &str| status.get(name).map(text_of).unwrap_or_default();
    let _ = writeln!(text, "\nOperation nonce: {}", of("nonce"));
    let _ = match of("verification_nonce").as_str() {
        "" => writeln!(
            text,
            "\nThese shares are in the place of the old ones. Give each to another person. Nobody \
             can restore them."
        ),
        nonce => writeln!(
            text,
            "\nThe old shares are still the ones. Show enough of the new ones with\n`-verify \
             -nonce={nonce}`: then they are."
        ),
    };
    text
}

fn backup(kept: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, keys) in kept {
        for key in keys.as_array().into_iter().flatten() {
            let _ = writeln!(text, "Key fingerprint: {name}; value: {}", text_of(key));
        }
    }
    text
}
