//! [`Snapshot`]: what lies in the store, to see what a rotation changed.

use std::collections::{BTreeMap, BTreeSet};

use keyfold_server::Server;

use super::error::DemoError;

/// Where wrapped DEKs lie: `core/dek/<mount>/<version>`.
const DEKS: &str = "core/dek/";
const KEYRING: &str = "core/keyring";

/// Every record of the store as it lies there, encrypted, with the commit that wrote it.
pub(super) struct Snapshot(BTreeMap<String, (u64, Vec<u8>)>);

/// What two moments of a store differ in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changes {
    /// Wrapped DEKs that were written.
    pub(super) deks: usize,
    /// The wrapped keyring was written.
    pub(super) keyring: bool,
    /// All other records: how many there are.
    pub(super) records: usize,
    /// And those of them that were written, added or removed.
    pub(super) touched: usize,
}

impl Snapshot {
    /// Reads the whole store below the server. It has to be unsealed.
    pub(super) async fn take(server: &Server) -> Result<Self, DemoError> {
        let storage = {
            let vault = server.core().unsealed();
            let vault = vault.map_err(|error| DemoError::Store(error.to_string()))?;
            vault.barrier.storage().clone()
        };
        let mut records = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let page = storage.list(&folder, "", 0).await;
            let page = page.map_err(|error| DemoError::Store(error.to_string()))?;
            for name in page.names {
                let key = format!("{folder}{name}");
                if key.ends_with('/') {
                    folders.push(key);
                    continue;
                }
                let entry = storage.get(&key).await;
                let entry = entry.map_err(|error| DemoError::Store(error.to_string()))?;
                if let Some(entry) = entry {
                    records.insert(key, (entry.revision.0, entry.value));
                }
            }
        }
        Ok(Self(records))
    }

    /// The mounts that have a DEK, by UUID, and how many DEKs each.
    pub(super) fn deks(&self) -> BTreeMap<&str, usize> {
        let mut found = BTreeMap::new();
        for key in self.0.keys() {
            let mount = key.strip_prefix(DEKS).and_then(|rest| rest.split_once('/'));
            if let Some((mount, _)) = mount {
                *found.entry(mount).or_default() += 1;
            }
        }
        found
    }

    /// What is different in a later one.
    pub(super) fn changes(&self, later: &Self) -> Changes {
        let keys: BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        let mut changes = Changes {
            deks: 0,
            keyring: false,
            records: 0,
            touched: 0,
        };
        for key in keys {
            let changed = self.0.get(key) != later.0.get(key);
            if key.starts_with(DEKS) {
                changes.deks += usize::from(changed);
            } else if key == KEYRING {
                changes.keyring = changed;
            } else {
                changes.records += 1;
                changes.touched += usize::from(changed);
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(records: &[(&str, u64, &str)]) -> Snapshot {
        let records = records.iter();
        let records = records.map(|(key, revision, value)| {
            ((*key).to_owned(), (*revision, value.as_bytes().to_vec()))
        });
        Snapshot(records.collect())
    }

    #[test]
    fn changes_by_kind() {
        let before = snapshot(&[
            ("core/dek/u/1", 1, "a"),
            ("core/dek/u/2", 1, "b"),
            ("core/dek/v/1", 1, "c"),
            ("core/keyring", 1, "d"),
            ("logical/u/x", 1, "e"),
            ("logical/u/y", 1, "f"),
            ("logical/u/z", 1, "g"),
        ]);
        assert_eq!(before.deks(), BTreeMap::from([("u", 2), ("v", 1)]));
        let none = before.changes(&before);
        assert_eq!(
            (none.deks, none.keyring, none.records, none.touched),
            (0, false, 3, 0)
        );
        let after = snapshot(&[
            ("core/dek/u/1", 2, "A"),
            ("core/dek/u/2", 1, "b"),
            ("core/dek/v/1", 2, "c"),
            ("core/keyring", 2, "D"),
            ("logical/u/x", 2, "e"),
            ("logical/u/z", 1, "g"),
            ("logical/u/new", 2, "h"),
        ]);
        let some = before.changes(&after);
        assert_eq!(
            (some.deks, some.keyring, some.records, some.touched),
            (2, true, 4, 3)
        );
    }
}
