//! Which key versions hold what: counted from headers, without any key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::header::Header;
use crate::locator::Locator;
use crate::progress::Progress;
use crate::slot::{Slot, SlotState, TYPE_TRANSIT};
use crate::store::{Content, Found, Pages, Store, Unreadable, in_parallel};

/// What was counted.
#[derive(Debug, Default)]
pub struct Census {
    /// Envelopes read.
    pub envelopes: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Files that are no envelopes.
    pub other_files: u64,
    /// Envelopes with at least one damaged slot.
    pub with_damaged_slots: u64,
    /// Envelopes without any active slot: nothing or only an old wrap opens them.
    pub without_active_slot: u64,
    /// Envelopes with a slot in use that an offline key or a passphrase opens.
    pub with_offline_slot: u64,
    /// How many of these have a slot in use under each key too.
    pub offline_by_key: BTreeMap<Locator, u64>,
    /// One row for each key, version and state. An envelope counts once in each of its rows.
    pub rows: Vec<CensusRow>,
    /// What could not be read. A census with entries here covers less than it was asked for.
    pub unreadable: Vec<Unreadable>,
}

/// How much one key version holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CensusRow {
    /// Where the KEK lives; `None` for slot types that have no such place.
    pub locator: Option<Locator>,
    /// What wraps: the type of the slots.
    pub kind: u8,
    /// Which KEK of which cluster, or which offline key.
    pub kek_id: [u8; 16],
    /// Version of the KEK, or number of the keyring's DEK.
    pub version: u32,
    /// State of the slots.
    pub state: SlotState,
    /// Envelopes.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

/// Reads the header of each envelope in `store` and counts. Never fails as a whole: what cannot be
/// read is listed.
#[must_use]
pub fn census<S: Store>(store: &S, progress: &dyn Progress) -> Census {
    let counted = Mutex::new((Census::default(), Rows::new()));
    let pages = Pages::of(store, store.batch());
    let count = || {
        let total = progress.watches().then(|| store.count());
        if let Some(items) = total.flatten() {
            progress.total(items);
        }
    };
    let work = || {
        while let Some((mut entries, unreadable)) = pages.next() {
            let found = store.read(&mut entries);
            let names = entries.iter().map(|entry| store.name(entry));
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            let (census, rows) = &mut *counted;
            progress.advance(unreadable.len().saturating_add(found.len()) as u64);
            census.unreadable.extend(unreadable);
            for (path, found) in names.zip(found) {
                match found {
                    Ok(Some(found)) => census.count(&found, rows),
                    Ok(None) => census.other_files = census.other_files.saturating_add(1),
                    Err(error) => census.unreadable.push(Unreadable { path, error }),
                }
            }
        }
    };
    in_parallel(None, work, count);
    let (mut census, rows) = counted.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The threads read in any order.
    census
        .unreadable
        .sort_by(|one, other| one.path.cmp(&other.path));
    census.rows = rows.into_iter().map(CensusRow::from).collect();
    census
}

type RowKey = (Option<Locator>, u8, [u8; 16], u32, SlotState);

/// Files and bytes of each row.
type Rows = BTreeMap<RowKey, (u64, u64)>;

impl From<(RowKey, (u64, u64))> for CensusRow {
    fn from(
        ((locator, kind, kek_id, version, state), (files, bytes)): (RowKey, (u64, u64)),
    ) -> Self {
        Self {
            locator,
            kind,
            kek_id,
            version,
            state,
            files,
            bytes,
        }
    }
}

impl Census {
    fn count(&mut self, found: &Found, rows: &mut Rows) {
        self.envelopes = self.envelopes.saturating_add(1);
        self.bytes = self.bytes.saturating_add(found.len);
        if let Content::Header(header) = &found.content {
            let mut slots = header.slots.slots();
            let has_active = slots.any(|(_, slot)| slot.state == SlotState::Active);
            self.with_damaged_slots = self
                .with_damaged_slots
                .saturating_add(u64::from(header.slots.damaged() > 0));
            self.without_active_slot = self
                .without_active_slot
                .saturating_add(u64::from(!has_active));
            self.count_offline(header);
        }
        for key in row_keys(&found.content) {
            let (files, bytes) = rows.entry(key).or_default();
            *files = files.saturating_add(1);
            *bytes = bytes.saturating_add(found.len);
        }
    }

    fn count_offline(&mut self, header: &Header) {
        let in_use = || {
            let slots = header.slots.slots().map(|(_, slot)| slot);
            slots.filter(|slot| slot.state != SlotState::Retired)
        };
        if !in_use().any(Slot::is_offline) {
            return;
        }
        self.with_offline_slot = self.with_offline_slot.saturating_add(1);
        for key in in_use().filter_map(Slot::transit).collect::<BTreeSet<_>>() {
            let files = self.offline_by_key.entry(key.clone()).or_default();
            *files = files.saturating_add(1);
        }
    }
}

/// The rows that an item belongs to, each once.
fn row_keys(content: &Content) -> BTreeSet<RowKey> {
    match content {
        Content::Header(header) => {
            let slots = header.slots.slots();
            slots
                .map(|(_, s)| (s.locator.clone(), s.kind, s.kek_id, s.version, s.state))
                .collect()
        }
        // Which cluster it is nobody says.
        Content::Wrap {
            locator, wrapped, ..
        } => {
            let key = (
                Some(locator.clone()),
                TYPE_TRANSIT,
                [0; 16],
                wrapped.version,
                SlotState::Active,
            );
            BTreeSet::from([key])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::edit::{Which, add_slot, remove_slots};
    use crate::error::Error;
    use crate::progress::NoProgress;
    use crate::recipient::Passphrase;
    use crate::store::{Directories, Durability};
    use crate::testing::{Service, envelope, locator};

    fn of(paths: &[std::path::PathBuf]) -> Census {
        let store = Directories::new(paths.to_vec(), Durability::File);
        census(&store, &NoProgress)
    }

    #[test]
    fn counts_files_and_bytes_by_version() {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::new();
        envelope(&service, dir.path(), "a.kf", b"one");
        envelope(&service, dir.path(), "b.kf", b"three");
        service.rotate();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let torn = envelope(&service, dir.path(), "sub/c.kf", b"");
        let mut bytes = std::fs::read(&torn).unwrap();
        bytes[1024..1100].fill(7);
        std::fs::write(&torn, bytes).unwrap();
        std::fs::write(dir.path().join("notes.txt"), "text").unwrap();
        std::fs::write(dir.path().join("cut.kf"), b"\x89KFLD\r\n\x1a\x01").unwrap();

        let census = of(&[dir.path().to_owned()]);
        assert_eq!((census.envelopes, census.other_files), (3, 1));
        assert_eq!(
            (census.with_damaged_slots, census.without_active_slot),
            (1, 0)
        );
        let head = 4096 + 16;
        assert_eq!(census.bytes, 3 * head + 8);
        let rows: Vec<_> = census
            .rows
            .iter()
            .map(|r| (r.version, r.files, r.bytes))
            .collect();
        assert_eq!(rows, [(1, 2, 2 * head + 8), (2, 1, head)]);
        assert!(matches!(
            census.unreadable[..],
            [Unreadable {
                error: Error::Truncated,
                ..
            }]
        ));
    }

    #[test]
    fn counts_what_opens_offline_and_under_which_keys() {
        let dir = tempfile::tempdir().unwrap();
        let (service, context) = (Service::new(), Context::new());
        let passphrase = Passphrase::cheap("x");
        for name in ["a.kf", "b.kf", "c.kf"] {
            let path = envelope(&service, dir.path(), name, b"text");
            if name != "c.kf" {
                add_slot(&path, &[&service], &context, &passphrase).unwrap();
            }
            if name == "b.kf" {
                remove_slots(&path, &Which::Key(locator()), false).unwrap();
            }
        }
        let census = of(&[dir.path().to_owned()]);
        assert_eq!((census.envelopes, census.with_offline_slot), (3, 2));
        assert_eq!(census.offline_by_key, BTreeMap::from([(locator(), 1)]));
    }

    #[test]
    fn a_path_given_by_name_must_be_an_envelope() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "text").unwrap();
        let census = of(&[dir.path().join("absent"), path]);
        assert!(matches!(census.unreadable[0].error, Error::Io(_)));
        assert!(matches!(census.unreadable[1].error, Error::NotAnEnvelope));
    }
}
