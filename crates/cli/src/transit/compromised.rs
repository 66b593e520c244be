//! `keyfold transit compromised`.

use clap::Args;
use keyfold_client::Request;
use keyfold_envelope::Locator;
use serde_json::{Value, json};

use super::{list, path, shown};
use crate::error::CliError;
use crate::output::{Answer, Table};
use crate::session::Session;

/// Arguments of `transit compromised`.
#[derive(Args)]
pub(crate) struct CompromisedArgs {
    /// The version that somebody else may have
    #[arg(long, value_name = "VERSION")]
    version: u32,
    /// What happened, for those who read the census
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// The key: transit/payments, or payments for one of the mount transit
    #[arg(value_name = "MOUNT/NAME", value_parser = super::key)]
    key: Locator,
}

/// Marks the version and prints what it touched.
pub(super) fn run(session: &Session, args: &CompromisedArgs) -> Result<(), CliError> {
    let body = json!({"version": args.version, "reason": args.reason});
    let request = Request::write(&path(&args.key, "compromised"), &body)?;
    let answer = Answer::of(&session.call(&request)?)?;
    session.output.warnings(answer.warnings());
    let marked = Value::Object(answer.data.ok_or(CliError::Answer("data"))?);
    session.output.result(&marked, || text(&marked, &args.key))
}

fn text(marked: &Value, key: &Locator) -> String {
    let none = Value::Null;
    let radius = marked.get("blast_radius").unwrap_or(&none);
    let pairs = [
        ("Compromised Version", shown(marked, "version")),
        ("Since", shown(marked, "time")),
        ("Reason", shown(marked, "reason")),
        ("Newest Version", shown(marked, "latest_version")),
        ("First Used", shown(radius, "first_used")),
        ("Last Used", shown(radius, "last_used")),
        ("Ciphertexts Left", shown(radius, "ciphertexts_left")),
        ("Items In Catalogs", shown(radius, "items")),
    ];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value));
    let mut text = format!("{}\n", Table::of_pairs(pairs));
    let whole = json!({"version": marked.get("version"), "callers": radius.get("callers"),
        "other_callers": radius.get("other_callers")});
    text.push_str(&callers(&[whole]));
    let rows = list(radius, "catalogs").iter().map(|catalog| {
        vec![
            shown(catalog, "id"),
            shown(catalog, "root"),
            shown(catalog, "items"),
            shown(catalog, "unreadable"),
            shown(catalog, "scanned"),
        ]
    });
    let headings = ["Catalog", "Root", "Items", "Unreadable", "Scanned"];
    text.push_str(&format!("\n{}", Table::new(&headings, rows.collect())));
    text.push_str(&format!(
        "\nUntil it is rewrapped, what the version made does not decrypt: transit/rewrap, or \
         `keyfold rewrap` for files. Who has the version and an envelope's header has its DEK, which a \
         rewrap leaves as it is: that takes `keyfold reencrypt` (docs/runbooks/compromised-key.md). Key: {key}\n"
    ));
    text
}

/// Who used some versions.
pub(super) fn callers(versions: &[Value]) -> String {
    let rows = versions.iter().flat_map(|version| {
        let number = shown(version, "version");
        let known = list(version, "callers").iter().map({
            let number = number.clone();
            move |caller| {
                vec![
                    number.clone(),
                    shown(caller, "caller"),
                    shown(caller, "operations"),
                    shown(caller, "first_used"),
                    shown(caller, "last_used"),
                ]
            }
        });
        let others = super::number(version, "other_callers");
        let others = (others > 0).then(|| {
            let name = "not told apart".to_owned();
            vec![
                number,
                name,
                others.to_string(),
                String::new(),
                String::new(),
            ]
        });
        known.chain(others)
    });
    let headings = ["Version", "Caller", "Operations", "First Used", "Last Used"];
    Table::new(&headings, rows.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blast_radius_for_people() {
        let caller =
            json!({"caller": "00ff", "operations": 3, "first_used": "a", "last_used": "b"});
        let catalog = json!({"id": "c", "root": "host:/data", "items": 7, "unreadable": 0,
            "scanned": "t"});
        let marked = json!({"version": 2, "time": "t", "reason": "lost", "latest_version": 3,
            "blast_radius": {"callers": [caller], "other_callers": 5, "catalogs": [catalog],
                "items": 7, "ciphertexts_left": 9}});
        let text = text(&marked, &super::super::key("k").unwrap());
        for part in ["00ff", "not told apart", "host:/data", "lost", "transit/k"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
