//! `keyfold value`: values of columns, sealed and opened under a keyring.

mod lines;

use std::io::{self, Read as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use keyfold_api::{base64, duration};
use keyfold_envelope::cache::{CacheLimits, Load};
use keyfold_envelope::keyring::{DekOptions, ServiceDeks};
use keyfold_envelope::value::{self, Place};
use keyfold_envelope::{Locator, open_value, seal_value};
use keyfold_secret::Secret;
use serde_json::json;

use crate::error::CliError;
use crate::keyring::{PLACES, StoreName};
use crate::output;
use crate::session::Session;

/// Longest value that one command takes, in bytes.
const LONGEST: u64 = 64 << 20;

/// Arguments of `value`.
#[derive(Args)]
#[command(after_help = PLACES)]
pub(crate) struct ValueArgs {
    #[command(subcommand)]
    one: Option<One>,
    /// The keyring: a file, kv:MOUNT/PATH, or pg://…
    #[arg(long, global = true, value_name = "STORE")]
    keyring: Option<StoreName>,
    /// The only key of the server's that its data keys may be wrapped by
    #[arg(long, global = true, value_name = "MOUNT/NAME")]
    pin: Option<Locator>,
    /// How long a data key is used before the server is asked again [default: 15m to seal, 5m to
    /// open]
    #[arg(long, global = true, value_name = "DURATION", value_parser = age)]
    max_age: Option<Duration>,
    /// How much longer it opens values while the server is unreachable or sealed [default: not at
    /// all]
    #[arg(long, global = true, value_name = "DURATION", value_parser = age)]
    offline_ttl: Option<Duration>,
}

/// One value.
#[derive(Subcommand)]
enum One {
    /// Seal standard input, and print the value's text
    Seal(PlaceArgs),
    /// Open a value, and write its plaintext to standard output
    Open {
        #[command(flatten)]
        place: PlaceArgs,
        /// The value, kf1:…; `-` is standard input
        #[arg(value_name = "VALUE|-")]
        value: String,
    },
}

/// Where a value is stored: it opens nowhere else.
#[derive(Args)]
struct PlaceArgs {
    /// The table
    #[arg(long, value_name = "NAME")]
    table: String,
    /// The column
    #[arg(long, value_name = "NAME")]
    column: String,
    /// The primary key
    #[arg(long, value_name = "TEXT")]
    key: String,
}

/// Seals or opens one value, or, without a command, answers the lines of standard input.
pub(crate) fn run(session: &Session, args: &ValueArgs) -> Result<(), CliError> {
    let Some(store) = &args.keyring else {
        let missing = "name the keyring: --keyring=STORE".to_owned();
        return Err(CliError::Usage(missing));
    };
    let mut options = DekOptions {
        key: args.pin.clone(),
        ..DekOptions::default()
    };
    if args.one.is_some() {
        options.limits = options.limits.one_object();
    }
    let deks = store.deks(session, options, args.limits())?;
    match &args.one {
        Some(One::Seal(place)) => seal(session, &deks, place),
        Some(One::Open { place, value }) => open(session, &deks, place, value),
        None => {
            let done = lines::run(&deks, io::stdin().lock(), io::stdout().lock());
            // What was counted ahead and not used; also after the reader went away.
            let finished = deks.finish().map_err(store.failed());
            done.and(finished)
        }
    }
}

fn seal(session: &Session, deks: &ServiceDeks, place: &PlaceArgs) -> Result<(), CliError> {
    let plaintext = stdin()?;
    let load = Load {
        uses: 1,
        bytes: plaintext.expose().len() as u64,
    };
    let sealed = deks
        .value_key(load)
        .and_then(|key| seal_value(&key, &place.place(), plaintext.expose()));
    let text = value::to_text(&sealed.map_err(CliError::Value)?);
    session
        .output
        .result(&json!({"value": text}), || text.clone())
}

fn open(
    session: &Session,
    deks: &ServiceDeks,
    place: &PlaceArgs,
    given: &str,
) -> Result<(), CliError> {
    let text = match given {
        "-" => String::from_utf8(stdin()?.into_inner()).unwrap_or_default(),
        given => given.to_owned(),
    };
    let opened = value::from_text(text.trim())
        .and_then(|sealed| open_value(deks, &place.place(), &sealed))
        .map_err(CliError::Value)?;
    if session.output.is_table() && !session.output.wants_field() {
        return output::raw(opened.expose());
    }
    let plaintext = base64::encode(opened.expose());
    let result = json!({"plaintext": plaintext});
    session.output.result(&result, || plaintext.clone())
}

fn stdin() -> Result<Secret<Vec<u8>>, CliError> {
    let mut bytes = Secret::new(Vec::new());
    let most = LONGEST.saturating_add(1);
    let read = io::stdin()
        .lock()
        .take(most)
        .read_to_end(bytes.expose_mut());
    let len = read.map_err(CliError::io("can't read standard input"))?;
    if len as u64 > LONGEST {
        return Err(CliError::Usage(format!(
            "a value has at most {LONGEST} bytes"
        )));
    }
    Ok(bytes)
}

impl ValueArgs {
    fn limits(&self) -> CacheLimits {
        let usual = CacheLimits::default();
        CacheLimits {
            encrypt_age: self.max_age.unwrap_or(usual.encrypt_age),
            decrypt_age: self.max_age.unwrap_or(usual.decrypt_age),
            offline_ttl: self.offline_ttl.unwrap_or(usual.offline_ttl),
            ..usual
        }
    }
}

impl PlaceArgs {
    fn place(&self) -> Place<'_> {
        Place {
            table: &self.table,
            column: &self.column,
            key: self.key.as_bytes(),
        }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    let parsed = duration::parse(text).map_err(|error| error.quoting(text))?;
    let positive = "a duration of time that passes is wanted".to_owned();
    parsed.to_duration().ok_or(positive)
}
