//! Which key versions hold what: counted from headers, without any key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::locator::Locator;
use crate::progress::Progress;
use crate::slot::{Slot, SlotState};
use crate::walk::{self, Found, Unreadable, Visit};

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
    /// Which KEK of which cluster.
    pub kek_id: [u8; 16],
    /// Version of the KEK.
    pub version: u32,
    /// State of the slots.
    pub state: SlotState,
    /// Envelopes.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

type RowKey = (Option<Locator>, [u8; 16], u32, SlotState);

/// Reads the header of each envelope at or below `paths` and counts. Never fails as a whole: what
/// cannot be read is listed.
#[must_use]
pub fn census(paths: &[PathBuf], progress: &dyn Progress) -> Census {
    progress.total(walk::count(paths));
    let mut census = Census::default();
    let mut rows = BTreeMap::<RowKey, (u64, u64)>::new();
    walk::walk(paths, |visit| {
        match visit {
            Visit::Envelope(found) => {
                census.count(&found);
                for key in row_keys(&found) {
                    let (files, bytes) = rows.entry(key).or_default();
                    *files = files.saturating_add(1);
                    *bytes = bytes.saturating_add(found.file_len);
                }
            }
            Visit::Other => census.other_files = census.other_files.saturating_add(1),
            Visit::Unreadable(unreadable) => census.unreadable.push(unreadable),
        }
        progress.advance(1);
        true
    });
    census.rows = rows
        .into_iter()
        .map(
            |((locator, kek_id, version, state), (files, bytes))| CensusRow {
                locator,
                kek_id,
                version,
                state,
                files,
                bytes,
            },
        )
        .collect();
    census
}

impl Census {
    fn count(&mut self, found: &Found) {
        let slots = &found.header.slots;
        let has_active = slots
            .slots()
            .any(|(_, slot)| slot.state == SlotState::Active);
        self.envelopes = self.envelopes.saturating_add(1);
        self.bytes = self.bytes.saturating_add(found.file_len);
        self.with_damaged_slots = self
            .with_damaged_slots
            .saturating_add(u64::from(slots.damaged() > 0));
        self.without_active_slot = self
            .without_active_slot
            .saturating_add(u64::from(!has_active));
        let in_use = || {
            let slots = slots.slots().map(|(_, slot)| slot);
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

/// The rows that an envelope belongs to, each once.
fn row_keys(found: &Found) -> BTreeSet<RowKey> {
    let slots = found.header.slots.slots();
    slots
        .map(|(_, s)| (s.locator.clone(), s.kek_id, s.version, s.state))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::edit::{Which, add_slot, remove_slots};
    use crate::error::Error;
    use crate::progress::NoProgress;
    use crate::recipient::Passphrase;
    use crate::testing::{Service, envelope, locator};

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

        let census = census(&[dir.path().to_owned()], &NoProgress);
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
        let census = census(&[dir.path().to_owned()], &NoProgress);
        assert_eq!((census.envelopes, census.with_offline_slot), (3, 2));
        assert_eq!(census.offline_by_key, BTreeMap::from([(locator(), 1)]));
    }

    #[test]
    fn a_path_given_by_name_must_be_an_envelope() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "text").unwrap();
        let census = census(&[path, dir.path().join("absent")], &NoProgress);
        assert!(matches!(census.unreadable[0].error, Error::NotAnEnvelope));
        assert!(matches!(census.unreadable[1].error, Error::Io(_)));
    }
}
