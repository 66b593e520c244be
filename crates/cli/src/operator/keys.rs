//! `keyfold operator keys report`.

use clap::{Args, Subcommand};
use keyfold_client::Request;
use serde_json::Value;

use crate::error::CliError;
use crate::output::{Answer, Table, text_of};
use crate::session::Session;

const HEADINGS: [&str; 9] = [
    "Key",
    "Name",
    "Version",
    "State",
    "Created",
    "Age",
    "Period",
    "Next Rotation",
    "Wrapped By",
];
/// Their members in the report.
const MEMBERS: [&str; 9] = [
    "key",
    "name",
    "version",
    "state",
    "created",
    "age",
    "crypto_period",
    "next_rotation",
    "wrapped_by",
];

/// Arguments of `operator keys`.
#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Every key of the hierarchy: its age, its state, what wraps it, when it is rotated
    Report,
}

/// Prints the report: for people as tables, for programs as it is.
pub(crate) fn run(session: &Session, args: &KeysArgs) -> Result<(), CliError> {
    let What::Report = args.what;
    let answer = Answer::of(&session.call(&Request::read("sys/keys/report"))?)?;
    let report = Value::Object(answer.data.ok_or(CliError::Answer("data"))?);
    session.output.result(&report, || text(&report))
}

fn text(report: &Value) -> String {
    let rows = |name: &str| {
        report
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let of = |name: &str| report.pointer(name).map(text_of).unwrap_or_default();
    let yes = |name: &str| report.pointer(name) == Some(&Value::Bool(true));
    let mut text = format!("Keys at {}\n\n", of("/time"));
    let required = of("/required");
    let opens = match (yes("/custodians/open"), required.as_str()) {
        (true, "1") => "open the store",
        (true, _) => "do one part",
        (false, _) => "do not open the store",
    };
    text.push_str(&format!(
        "Custodians: any {} of {} shares {opens}\n",
        of("/custodians/threshold"),
        of("/custodians/shares")
    ));
    for seal in rows("seals") {
        let of = |name: &str| seal.get(name).map(text_of).unwrap_or_default();
        text.push_str(&format!(
            "Seal: {} ({}), {}\n",
            of("name"),
            of("type"),
            of("condition")
        ));
    }
    if required != "1" {
        text.push_str(&format!("{required} of these have to come together\n"));
    }
    let memory = match yes("/root_key_in_memory") {
        true => "in memory: no seal gives it",
        false => "in memory only while it is used",
    };
    text.push_str(&format!("Root key: {memory}\n\n"));
    let cells = |key: &Value| MEMBERS.iter().map(|name| cell(key, name)).collect();
    let keys = rows("keys").map(cells).collect();
    text.push_str(&Table::new(&HEADINGS, keys).to_string());
    for more in rows("more") {
        let of = |name: &str| more.get(name).map(text_of).unwrap_or_default();
        text.push_str(&format!(
            "\n{} has more keys: read sys/keys/report with mount={0} after={}\n",
            of("mount"),
            of("after")
        ));
    }
    text
}

fn cell(key: &Value, name: &str) -> String {
    let active = key.get("state").and_then(Value::as_str) == Some("active");
    match (name, key.get(name)) {
        // An auditor asks for it: that there is none is an answer.
        ("crypto_period" | "next_rotation", None | Some(Value::Null)) if active => {
            "none set".to_owned()
        }
        (_, None | Some(Value::Null)) => "-".to_owned(),
        ("wrapped_by", Some(Value::Array(by))) if by.is_empty() => "-".to_owned(),
        ("age" | "crypto_period", Some(value)) => days(value.as_u64().unwrap_or_default()),
        ("created" | "next_rotation", Some(value)) => {
            // To the second: the rest is noise to people.
            let text = text_of(value);
            let (whole, _) = text.split_once('.').unwrap_or((&text, ""));
            whole.trim_end_matches('Z').to_owned()
        }
        ("wrapped_by", Some(Value::Array(by))) => {
            let by: Vec<_> = by.iter().map(text_of).collect();
            by.join(", ")
        }
        (_, Some(value)) => text_of(value),
    }
}

/// Ages of keys are days, or they are new.
fn days(seconds: u64) -> String {
    match seconds / 86_400 {
        0 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        days => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_told_in_peoples_units() {
        let key = json!({
            "key": "kek", "name": "keyring", "version": 3, "state": "active",
            "created": "2030-01-01T00:00:00.123456789Z", "age": 172_801, "crypto_period": 7200,
            "next_rotation": null, "wrapped_by": ["root key"],
        });
        let cells: Vec<_> = MEMBERS.iter().map(|name| cell(&key, name)).collect();
        assert_eq!(
            cells,
            [
                "kek",
                "keyring",
                "3",
                "active",
                "2030-01-01T00:00:00",
                "2d",
                "2h0m",
                "none set",
                "root key"
            ]
        );
        assert_eq!(cell(&json!({"state": "retired"}), "next_rotation"), "-");
    }
}
