//! `keyfold transit export-kek`: a key for the day without the server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use keyfold_api::base64;
use keyfold_client::Request;
use keyfold_envelope::{ExportedKek, Locator};
use keyfold_secret::{Protected, Secret};
use serde::Deserialize;
use serde_json::json;

use crate::envelope::parties::check_offline_allowed;
use crate::envelope::secret_file;
use crate::error::CliError;
use crate::output::{self, Table};
use crate::session::Session;

/// The type of the keys that wrap the DEKs of envelopes.
const KIND: &str = "aes256-gcm96";

/// Arguments of `transit export-kek`.
#[derive(Args)]
pub(crate) struct ExportKekArgs {
    /// The file, which its owner alone may read; one that is there is left alone
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: PathBuf,
    /// The key: transit/payments, or payments for one of the mount transit
    #[arg(value_name = "MOUNT/NAME", value_parser = super::key)]
    key: Locator,
}

#[derive(Deserialize)]
struct Answer {
    data: Exported,
}

#[derive(Deserialize)]
struct Exported {
    #[serde(rename = "type")]
    kind: String,
    keys: BTreeMap<u32, Secret<String>>,
}

/// Writes all versions of an exportable key into a file that `decrypt --kek-file` takes.
pub(super) fn run(session: &Session, args: &ExportKekArgs) -> Result<(), CliError> {
    check_offline_allowed(&session.keys()?, &args.key)?;
    let path = format!(
        "{}/export/encryption-key/{}",
        args.key.mount(),
        args.key.key()
    );
    let answer: Answer = session.call(&Request::read(&path))?.json()?;
    let exported = answer.data;
    if exported.kind != KIND {
        return Err(CliError::Usage(format!(
            "{} is of the type {}: envelopes are opened offline by keys of the type {KIND} only",
            args.key, exported.kind
        )));
    }
    let text = file(&args.key, &exported.keys)?;
    secret_file::create(&args.output, &text)?;
    output::note(
        "Whoever reads the file opens every envelope under these versions. It knows no later \
         version, and no policy binds it.",
    );
    let versions: Vec<_> = exported.keys.keys().copied().collect();
    let shown = args.output.to_string_lossy();
    let result = json!({"path": shown, "key": args.key.as_str(), "versions": versions});
    session.output.result(&result, || {
        let rows = [
            ("File", shown.to_string()),
            ("Key", args.key.to_string()),
            ("Versions", format!("{versions:?}")),
        ];
        Table::of_pairs(rows.map(|(name, value)| (name.to_owned(), value))).to_string()
    })
}

/// The newest version first: it is the one that most envelopes are under.
fn file(
    key: &Locator,
    versions: &BTreeMap<u32, Secret<String>>,
) -> Result<Secret<String>, CliError> {
    const LINE: usize = 512;
    let lines = versions.len().saturating_add(2);
    let mut text = Secret::new(String::with_capacity(lines.saturating_mul(LINE)));
    text.expose_mut()
        .push_str("# An exported key of Keyfold. Whoever reads it opens ");
    text.expose_mut().push_str("what its versions wrapped.\n");
    for (version, material) in versions.iter().rev() {
        let bytes = base64::decode(material.expose()).map(Secret::new);
        let bytes = bytes.map_err(|_| CliError::Answer("key in base64"))?;
        let bytes: &[u8; 32] = bytes
            .expose()
            .as_slice()
            .try_into()
            .map_err(|_| CliError::Answer("key of 32 bytes"))?;
        let material = Protected::init_with(|out| out.copy_from_slice(bytes));
        let line = ExportedKek::new(key.clone(), *version, material).text();
        text.expose_mut().push_str(line.expose());
        text.expose_mut().push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_envelope::identities_of;

    #[test]
    fn a_line_for_each_version() {
        let key = "team/transit/k".parse().unwrap();
        let material = |fill| Secret::new(base64::encode(&[fill; 32]));
        let versions = BTreeMap::from([(1, material(1)), (2, material(2))]);
        let text = file(&key, &versions).unwrap();
        assert_eq!(identities_of(text.expose()).unwrap().len(), 2);
        let short = BTreeMap::from([(1, Secret::new(base64::encode(&[1; 16])))]);
        assert!(file(&key, &short).is_err());
        let no_base64 = BTreeMap::from([(1, Secret::new("?".to_owned()))]);
        assert!(file(&key, &no_base64).is_err());
    }
}
