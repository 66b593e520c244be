//! `keyfold operator rotate-dek`.

use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use keyfold_client::Request;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::output::Answer;
use crate::progress::Bar;
use crate::session::Session;

/// How often the server is asked how far it is.
const EVERY: Duration = Duration::from_millis(500);

/// Arguments of `operator rotate-dek`.
#[derive(Args)]
pub(crate) struct RotateDekArgs {
    /// The mount: `secret`, `auth/userpass`; `sys` for what is the server's own
    mount: String,
    /// Stay until the old DEK is destroyed, and show how far it is
    #[arg(long)]
    watch: bool,
    /// Only tell how far it is; with -watch, wait for its end without beginning another
    #[arg(long)]
    status: bool,
    /// Records a second, at most; may be changed while it runs [default: 5000]
    #[arg(long, value_name = "N")]
    rate: Option<u64>,
}

/// Begins to put a mount's records under a new DEK, or goes on with it.
pub(crate) fn run(session: &Session, args: &RotateDekArgs) -> Result<(), CliError> {
    let path = format!("sys/mounts/{}/rotate-dek", args.mount.trim_matches('/'));
    let mut answer = match args.status {
        true => ask(session, &path)?,
        false => {
            let body = args.rate.map_or(json!({}), |rate| json!({"rate": rate}));
            Answer::of(&session.call(&Request::write(&path, &body)?)?)?
        }
    };
    if args.watch {
        answer = watch(session, &path, answer)?;
    }
    session.output.answer(&answer)
}

fn watch(session: &Session, path: &str, mut answer: Answer) -> Result<Answer, CliError> {
    let bar = Bar::records();
    loop {
        let state = answer.datum("state").and_then(Value::as_str);
        if matches!(state, None | Some("done" | "idle")) {
            return Ok(answer);
        }
        let number = |name| answer.datum(name).and_then(Value::as_u64);
        let passed = number("records_passed").unwrap_or_default();
        // While they are counted nobody knows how many there are.
        let records = number("records").unwrap_or_default().max(passed);
        bar.show(state.unwrap_or_default(), passed, records);
        sleep(EVERY);
        answer = ask(session, path)?;
    }
}

fn ask(session: &Session, path: &str) -> Result<Answer, CliError> {
    Ok(Answer::of(&session.call(&Request::read(path))?)?)
}
