//! `keyfold keyring census`, and the catalog that tells a key's server which versions a keyring needs.

use std::collections::BTreeSet;
use std::time::Instant;

use clap::Args;
use keyfold_envelope::Locator;
use keyfold_envelope::keyring::Row;
use serde_json::{Value, json};

use super::{PLACES, StoreName};
use crate::envelope::register::{Needed, register_items};
use crate::error::CliError;
use crate::output::Table;
use crate::session::Session;

/// Arguments of `keyring census`.
#[derive(Args)]
#[command(after_help = PLACES)]
pub(crate) struct CensusArgs {
    /// Tell the server's keys what was found: a catalog of the keyring
    #[arg(long)]
    register: bool,
    /// The keyring: a file, kv:MOUNT/PATH, or pg://…
    #[arg(value_name = "STORE")]
    store: StoreName,
}

/// Counts the data keys by the version that wraps them.
pub(super) fn run(session: &Session, args: &CensusArgs) -> Result<(), CliError> {
    let counted = Counted::of(session, &args.store)?;
    session
        .output
        .result(&counted.document(&args.store), || counted.text())?;
    match args.register {
        true => counted.register(session),
        false => Ok(()),
    }
}

/// Registers a keyring that was changed. That is done, and said: there are servers without catalogs, and
/// policies that let a token write none.
pub(super) fn tell(session: &Session, store: &StoreName) {
    tell_also(session, store, &BTreeSet::new());
}

/// The same, and to the keys that rows have left that they need them no more.
pub(super) fn tell_also(session: &Session, store: &StoreName, left: &BTreeSet<Locator>) {
    let counted = Counted::of(session, store).map(|mut counted| {
        for key in left {
            counted.needed.entry(key.clone()).or_default();
        }
        counted
    });
    let _ = counted.and_then(|counted| counted.register(session));
}

/// What a keyring needs of its keys.
struct Counted {
    began: Instant,
    /// What a catalog calls the keyring.
    root: String,
    service: String,
    needed: Needed,
}

impl Counted {
    fn of(session: &Session, store: &StoreName) -> Result<Self, CliError> {
        // Before the rows are read: somebody may add one meanwhile.
        let began = Instant::now();
        let opened = store.store(session)?;
        let keyring = opened.load().map_err(store.failed())?;
        Ok(Self {
            began,
            root: store.root(&*opened),
            service: keyring.service().to_owned(),
            needed: needed(keyring.rows()),
        })
    }

    fn register(&self, session: &Session) -> Result<(), CliError> {
        register_items(session, &self.root, &self.needed, 0, self.began)
    }

    fn document(&self, store: &StoreName) -> Value {
        let rows = self
            .rows()
            .map(|(key, version, deks)| json!({"key": key, "version": version, "deks": deks}));
        json!({
            "store": store.to_string(),
            "service": self.service,
            "versions": rows.collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let rows = self.rows().map(|(key, version, deks)| {
            vec![key.to_owned(), version.to_string(), deks.to_string()]
        });
        Table::new(&["Key", "Version", "DEKs"], rows.collect()).to_string()
    }

    fn rows(&self) -> impl Iterator<Item = (&str, u32, u64)> {
        let keys = self.needed.iter();
        keys.flat_map(|(key, items)| {
            let items = items.iter();
            items.map(move |(version, deks)| (key.as_str(), *version, *deks))
        })
    }
}

/// Rows by key and version. A DEK that encrypts nothing more is needed as much as the active one; one that is
/// destroyed needs no version, but its key is told that.
fn needed(rows: &[Row]) -> Needed {
    let mut needed = Needed::new();
    for row in rows {
        let items = needed.entry(row.key.clone()).or_default();
        if let Some(version) = row.version() {
            let deks = items.entry(version).or_default();
            *deks = deks.saturating_add(1);
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use keyfold_envelope::WrappedDek;
    use keyfold_envelope::keyring::DekState;

    use super::*;

    #[test]
    fn what_is_retired_is_needed_and_what_is_destroyed_is_not() {
        let row = |dek_no, key: &str, state, version: Option<u32>| Row {
            dek_no,
            dek_id: [0; 16],
            state,
            key: key.parse().unwrap(),
            kek_id: [0; 16],
            wrapped: version.map(|version| WrappedDek {
                version,
                blob: vec![1],
            }),
            bound: true,
            created: 0,
            commitment: [0; 32],
            uses: 0,
            bytes: 0,
        };
        let needed = needed(&[
            row(1, "transit/old", DekState::Destroyed, None),
            row(2, "transit/k", DekState::Retired, Some(1)),
            row(3, "transit/k", DekState::Retired, Some(1)),
            row(4, "transit/k", DekState::Active, Some(2)),
        ]);
        let expected = Needed::from([
            (
                "transit/k".parse().unwrap(),
                BTreeMap::from([(1, 2), (2, 1)]),
            ),
            ("transit/old".parse().unwrap(), BTreeMap::new()),
        ]);
        assert_eq!(needed, expected);
    }
}
