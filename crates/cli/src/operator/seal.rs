//! `keyfold operator seal`, and `operator seal check`.

use clap::{Args, Subcommand};
use keyfold_client::{Method, Request};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Answer, text_of};
use crate::session::Session;

/// Arguments of `operator seal`.
#[derive(Args)]
pub(crate) struct SealArgs {
    /// Seal every node on the server's store, not this one alone
    #[arg(long)]
    cluster: bool,
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
    if args.cluster {
        session.call(&Request::write("sys/seal", &json!({"cluster": true}))?)?;
        session.output.done("Success! All nodes are sealed.")?;
    } else {
        session.call(&Request::new(Method::Put, "sys/seal"))?;
        session.output.done("Success! The server is sealed.")?;
    }
    Ok(Exit::OK)
}

fn check(session: &Session) -> Result<Exit, CliError> {
    let answer = session.call(&Request::new(Method::Put, "sys/seal-check"))?;
    let answer = Answer::of(&answer)?;
    session.output.warnings(answer.warnings());
    let answer = Value::Object(answer.data.ok_or(CliError::Answer("data"))?);
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
        let verb = match (opens, answer.get("quorum")) {
            (true, None) => "opens the store",
            (false, None) => "DOES NOT OPEN the store",
            (true, Some(_)) => "does its part",
            (false, Some(_)) => "DOES NOT DO its part",
        };
        text.push_str(&format!("{} ({}) {verb}{remark}\n", of("name"), of("type")));
    }
    text.push_str(&answer.get("quorum").map(together).unwrap_or_default());
    if let Some(shares) = answer.get("shares") {
        let of = |name: &str| shares.get(name).map(text_of).unwrap_or_default();
        if shares.get("opens").and_then(Value::as_bool) == Some(true) {
            let (t, n) = (of("t"), of("n"));
            let verb = match answer.get("quorum") {
                Some(_) => "do one part",
                None => "open the store",
            };
            text.push_str(&format!(
                "{t} of {n} shares {verb}: each holder may try `keyfold operator share check`\n"
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
    if answer.get("opens").and_then(Value::as_bool) == Some(false) {
        text.push_str(
            "NOTHING OPENS this store once it is sealed: do not seal or restart the server\n",
        );
    }
    text
}

/// What the parts of the seals open together.
fn together(quorum: &Value) -> String {
    let of = |name: &str| quorum.get(name).map(text_of).unwrap_or_default();
    let (parts, require) = (of("parts"), of("require"));
    match quorum.get("opens").and_then(Value::as_bool) {
        Some(true) => {
            format!("together they open the store: {parts} parts, and it takes {require}\n")
        }
        Some(false) => {
            format!("together they DO NOT OPEN the store: {parts} parts, and it takes {require}\n")
        }
        None => format!(
            "the seals have {parts} of the {require} parts that it takes: that of the shares was not tried\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_are_told_of_one_by_one_and_together() {
        let mut answer = json!({
            "ok": true,
            "seals": [{"name": "hsm", "type": "pkcs11", "opens": true}],
            "quorum": {"require": 2, "parts": 1, "opens": null},
            "shares": {"n": 5, "t": 3, "opens": true},
        });
        let told = text(&answer);
        for part in [
            "hsm (pkcs11) does its part\n",
            "1 of the 2 parts",
            "3 of 5 shares do one part",
        ] {
            assert!(told.contains(part), "{told}");
        }
        answer["quorum"] = json!({"require": 2, "parts": 2, "opens": false});
        answer["opens"] = false.into();
        answer["seals"][0] =
            json!({"name": "hsm", "type": "pkcs11", "opens": false, "remark": "why"});
        let told = text(&answer);
        for part in [
            "hsm (pkcs11) DOES NOT DO its part: why",
            "together they DO NOT OPEN",
            "NOTHING OPENS this store",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
