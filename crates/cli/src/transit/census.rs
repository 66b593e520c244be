//! `keyfold transit census`.

use clap::Args;
use keyfold_client::Request;
use keyfold_envelope::Locator;
use serde_json::{Value, json};

use super::{list, number, path, shown};
use crate::error::CliError;
use crate::output::{Answer, Table};
use crate::session::Session;

/// Characters of the longest bar.
const WIDTH: u64 = 24;

/// Arguments of `transit census`.
#[derive(Args)]
pub(crate) struct CensusArgs {
    /// List who used each version, by the hash that `census/caller` tells of an accessor
    #[arg(long)]
    callers: bool,
    /// The key: transit/payments, or payments for one of the mount transit
    #[arg(value_name = "MOUNT/NAME", value_parser = super::key)]
    key: Locator,
}

/// Prints all versions, however many answers that takes.
pub(super) fn run(session: &Session, args: &CensusArgs) -> Result<(), CliError> {
    let mut after = 0;
    let mut whole;
    let mut versions = Vec::new();
    loop {
        let request = Request::read(&path(&args.key, "census"))
            .with_query("after", &after.to_string())
            .with_query("callers", if args.callers { "true" } else { "false" });
        let answer = Answer::of(&session.call(&request)?)?;
        whole = Value::Object(answer.data.ok_or(CliError::Answer("data"))?);
        versions.extend_from_slice(list(&whole, "versions"));
        match number(&whole, "next") {
            next if next > after => after = next,
            _ => break,
        }
    }
    if let Some(members) = whole.as_object_mut() {
        members.remove("next");
        members.insert("versions".to_owned(), json!(versions));
    }
    let text = || text(&versions, args.callers);
    session.output.result(&whole, text)
}

fn text(versions: &[Value], callers: bool) -> String {
    let most = versions
        .iter()
        .map(|version| number(version, "total"))
        .max();
    let most = most.unwrap_or_default();
    let rows = versions.iter().map(|version| {
        vec![
            shown(version, "version"),
            shown(version, "state"),
            shown(version, "created"),
            shown(version, "last_used"),
            shown(version, "last_caller"),
            shown(version, "bytes"),
            of_limit(version),
            shown(version, "total"),
            bar(number(version, "total"), most),
        ]
    });
    let headings = [
        "Version",
        "State",
        "Created",
        "Last Used",
        "Last Caller",
        "Bytes",
        "Of AEAD Limit",
        "Operations",
        "Share",
    ];
    let mut text = Table::new(&headings, rows.collect()).to_string();
    text.push('\n');
    text.push_str(&kinds(versions));
    if callers {
        text.push('\n');
        text.push_str(&super::compromised::callers(versions));
    }
    text
}

/// What the versions were used for, kind by kind.
fn kinds(versions: &[Value]) -> String {
    let rows = versions.iter().flat_map(|version| {
        let operations = version.get("operations").and_then(Value::as_object);
        let used = operations.into_iter().flatten();
        let used = used.filter(|(_, count)| count.as_u64() != Some(0));
        used.map(|(kind, count)| vec![shown(version, "version"), kind.clone(), count.to_string()])
    });
    Table::new(&["Version", "Operation", "Count"], rows.collect()).to_string()
}

/// As long as the share of the version that is used most; the least use shows.
fn bar(count: u64, most: u64) -> String {
    let length = match count {
        0 => 0,
        _ => (u128::from(count) * u128::from(WIDTH)).div_ceil(u128::from(most.max(1))),
    };
    let signs = "█".repeat(usize::try_from(length).unwrap_or_default());
    format!("|{signs}")
}

fn of_limit(version: &Value) -> String {
    let Some(limit) = version.get("aead_limit").filter(|limit| !limit.is_null()) else {
        return String::new();
    };
    let (messages, of) = (number(limit, "messages"), number(limit, "limit").max(1));
    let hundredths = u128::from(messages) * 10_000 / u128::from(of);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_shares() {
        assert_eq!(bar(0, 0), "|");
        assert_eq!(bar(0, 9), "|");
        assert_eq!(bar(1, 1_000_000), "|█");
        assert_eq!(bar(12, 24).chars().count(), 13);
        assert_eq!(bar(u64::MAX, u64::MAX).chars().count(), 25);
    }

    #[test]
    fn shares_of_the_limit() {
        let version =
            |messages: u64| json!({"aead_limit": {"messages": messages, "limit": 1_u64 << 32}});
        assert_eq!(of_limit(&version(0)), "0.00 %");
        assert_eq!(of_limit(&version(1 << 31)), "50.00 %");
        assert_eq!(of_limit(&json!({"aead_limit": null})), "");
    }

    #[test]
    fn a_table_with_a_bar_for_each_version() {
        let version = |version: u64, total: u64| {
            json!({"version": version, "state": "active", "created": "t", "last_used": null,
                "bytes": 0, "total": total, "operations": {"encrypt": total, "sign": 0}})
        };
        let text = text(&[version(1, 0), version(2, 4)], false);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[2].ends_with('|'), "{text}");
        assert!(lines[3].ends_with(&bar(4, 4)), "{text}");
        assert!(text.contains("2          encrypt      4\n"), "{text}");
        assert!(!text.contains("sign"), "{text}");
    }
}
