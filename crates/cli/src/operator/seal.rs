//! `keyfold operator seal`, and `operator seal check`.

use clap::{Args, Subcommand};
use keyfold_client::{Method, Request};
use serde_json::Value;

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Answer, text_of};
use crate::session::Session;

/// Arguments of `operator seal`.
#[derive(Args)]
pub(crate) struct SealArgs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Have every seal prove that it opens the store today; exit code 2 when one does not
    Check,
}

/// Seals the server, or rehearses its opening.
pub(crate) fn run(session: &Session, args: &SealArgs) -> Result<Exit, CliError> {
    if let Some(What::Check) = args.what {
        return check(session);
    }
    session.call(&Request::new(Method::Put, "sys/seal"))?;
    session.output.done("Success! The server is sealed.")?;
    Ok(Exit::OK)
}

fn check(session: &Session) -> Result<Exit, CliError> {
    let answer = session.call(&Request::new(Method::Put, "sys/seal-check"))?;
    let answer = Value::Object(Answer::of(&answer)?.data.ok_or(CliError::Answer("data"))?);
    session.output.result(&answer, || text(&answer))?;
    let ok = answer.get("ok").and_then(Value::as_bool) == Some(true);
    Ok(if ok { Exit::OK } else { Exit::SERVER })
}

fn text(answer: &Value) -> String {
    let mut text = String::new();
    for seal in answer
        .get("seals")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let of = |name: &str| seal.get(name).map(text_of).unwrap_or_default();
        let opens = seal.get("opens").and_then(Value::as_bool) == Some(true);
        let remark = match seal.get("remark") {
            Some(remark) => format!(": {}", text_of(remark)),
            None => String::new(),
        };
        let verb = if opens { "opens" } else { "DOES NOT OPEN" };
        text.push_str(&format!(
            "{} ({}) {verb} the store{remark}\n",
            of("name"),
            of("type")
        ));
    }
    if let Some(shares) = answer.get("shares") {
        let of = |name: &str| shares.get(name).map(text_of).unwrap_or_default();
        if shares.get("opens").and_then(Value::as_bool) == Some(true) {
            let (t, n) = (of("t"), of("n"));
            text.push_str(&format!(
                "{t} of {n} shares open the store: each holder may try `keyfold operator share check`\n"
            ));
        } else {
            text.push_str("no shares open the store\n");
        }
        if let Some(next) = shares.get("next") {
            let of = |name: &str| next.get(name).map(text_of).unwrap_or_default();
            text.push_str(&format!(
                "{} of {} new shares do so too, until one of the two sets is used\n",
                of("t"),
                of("n")
            ));
        }
    }
    text
}
