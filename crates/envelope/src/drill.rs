//! The rehearsal of a day without the server: a sample of envelopes is opened offline.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use keyfold_keys::rng;

use crate::context::Context;
use crate::decrypt::read_header;
use crate::error::Error;
use crate::file;
use crate::header::HEADER_LEN;
use crate::progress::{NoProgress, Progress};
use crate::recipient::Identity;
use crate::slot::SlotState;
use crate::store::{Content, Directories, Durability, Found, Store as _, Unreadable};
use crate::unlock::unlock;

/// How to drill.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrillOptions {
    /// Envelopes to open, drawn at random; all where `None`.
    pub sample: Option<NonZeroUsize>,
    /// Only unwrap the DEK and check that the payload commits to it: 4 KiB of each file are read.
    pub commitment_only: bool,
}

/// How a drill went.
#[derive(Debug, Default)]
pub struct DrillReport {
    /// Envelopes found.
    pub envelopes: u64,
    /// Files in directories that are no envelopes.
    pub other_files: u64,
    /// Envelopes with a slot in use that an offline key or a passphrase opens, whichever it is. What
    /// an exported key opens is not counted: no header tells that.
    pub with_offline_slot: u64,
    /// Envelopes that were tried.
    pub tried: u64,
    /// Those that opened.
    pub opened: u64,
    /// Bytes of authentic plaintext in them, where the payload was read.
    pub plaintext_bytes: u64,
    /// Those that did not.
    pub failures: Vec<Unreadable>,
    /// What could not be read as an envelope at all.
    pub unreadable: Vec<Unreadable>,
}

/// Opens a random sample of the envelopes at or below `paths`. Nothing is written, and the plaintext
/// is released to nobody. Never fails as a whole: what did not open is listed.
pub fn drill(
    paths: &[PathBuf],
    identities: &[&dyn Identity],
    context: &Context,
    options: DrillOptions,
    progress: &dyn Progress,
) -> DrillReport {
    let mut report = DrillReport::default();
    let mut sample = Sample::new(options.sample);
    let store = Directories::new(paths.to_vec(), Durability::File);
    for listed in store.list() {
        let spot = match listed {
            Ok(spot) => spot,
            Err(unreadable) => {
                report.unreadable.push(unreadable);
                continue;
            }
        };
        let path = store.name(&spot);
        for found in store.read(&mut [spot]) {
            match found {
                Ok(Some(found)) => {
                    add(&mut report.envelopes, 1);
                    add(
                        &mut report.with_offline_slot,
                        has_offline_slot(&found).into(),
                    );
                    sample.offer(path.clone());
                }
                Ok(None) => add(&mut report.other_files, 1),
                Err(error) => report.unreadable.push(Unreadable {
                    path: path.clone(),
                    error,
                }),
            }
        }
    }
    let drawn = sample.drawn();
    progress.total(drawn.len() as u64);
    for path in drawn {
        add(&mut report.tried, 1);
        match open(&path, identities, context, options.commitment_only) {
            Ok(plaintext) => {
                add(&mut report.opened, 1);
                add(&mut report.plaintext_bytes, plaintext);
            }
            Err(error) => report.failures.push(Unreadable { path, error }),
        }
        progress.advance(1);
    }
    report
}

/// Opens one envelope and tells how many bytes of plaintext were read.
fn open(
    path: &Path,
    identities: &[&dyn Identity],
    context: &Context,
    commitment_only: bool,
) -> Result<u64, Error> {
    let mut source = File::open(path)?;
    let header = read_header(&mut source)?;
    let unlocked = unlock(identities, &header, context)?;
    if commitment_only {
        return Ok(0);
    }
    let sealed_len = source.metadata()?.len().saturating_sub(HEADER_LEN as u64);
    let workers = file::worker_count(None);
    file::decrypt(
        &unlocked.key,
        &source,
        None,
        sealed_len,
        workers,
        &NoProgress,
    )
}

fn has_offline_slot(found: &Found) -> bool {
    let Content::Header(header) = &found.content else {
        return false;
    };
    let mut slots = header.slots.slots();
    slots.any(|(_, slot)| slot.is_offline() && slot.state != SlotState::Retired)
}

/// A sample of a stream whose length nobody knows: each item is in it with the same chance.
struct Sample {
    most: Option<NonZeroUsize>,
    offered: u64,
    drawn: Vec<PathBuf>,
}

impl Sample {
    fn new(most: Option<NonZeroUsize>) -> Self {
        Self {
            most,
            offered: 0,
            drawn: Vec::new(),
        }
    }

    fn offer(&mut self, path: PathBuf) {
        self.offered = self.offered.saturating_add(1);
        if self.most.is_none_or(|most| self.drawn.len() < most.get()) {
            return self.drawn.push(path);
        }
        let chance = u64::from_be_bytes(rng::bytes()).checked_rem(self.offered);
        let place = chance.and_then(|place| usize::try_from(place).ok());
        if let Some(place) = place.and_then(|place| self.drawn.get_mut(place)) {
            *place = path;
        }
    }

    /// The sample, in the order of the names.
    fn drawn(mut self) -> Vec<PathBuf> {
        self.drawn.sort_unstable();
        self.drawn
    }
}

fn add(counter: &mut u64, amount: u64) {
    *counter = counter.saturating_add(amount);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::add_slot;
    use crate::recipient::Passphrase;
    use crate::testing::{Service, envelope};
    use std::collections::HashSet;

    #[test]
    fn tells_what_opens_and_what_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (service, context) = (Service::new(), Context::new());
        let paths: Vec<_> = (0..3)
            .map(|n| envelope(&service, dir.path(), &format!("{n}.kf"), &[7; 100]))
            .collect();
        let passphrase = Passphrase::cheap("correct horse");
        for path in &paths[..2] {
            add_slot(path, &[&service], &context, &passphrase).unwrap();
        }
        std::fs::write(dir.path().join("notes.txt"), "text").unwrap();
        std::fs::write(dir.path().join("cut.kf"), b"\x89KFLD\r\n\x1a\x01").unwrap();
        let mut corrupt = std::fs::read(&paths[1]).unwrap();
        corrupt[4096] ^= 1;
        std::fs::write(&paths[1], corrupt).unwrap();

        let roots = [dir.path().to_owned()];
        let run = |options| drill(&roots, &[&passphrase], &context, options, &NoProgress);
        let report = run(DrillOptions::default());
        assert_eq!((report.envelopes, report.with_offline_slot), (3, 2));
        assert_eq!((report.other_files, report.unreadable.len()), (1, 1));
        assert_eq!(
            (report.tried, report.opened, report.plaintext_bytes),
            (3, 1, 100)
        );
        let [corrupt, none] = &report.failures[..] else {
            panic!("{:?}", report.failures);
        };
        assert_eq!((&corrupt.path, &none.path), (&paths[1], &paths[2]));
        assert!(matches!(corrupt.error, Error::EndDamaged { chunk: 0 }));
        assert!(matches!(none.error, Error::NoUsableSlot));

        let report = run(DrillOptions {
            commitment_only: true,
            sample: NonZeroUsize::new(2),
        });
        assert_eq!(report.tried, 2);
        assert_eq!(report.plaintext_bytes, 0);
        assert_eq!(report.opened + report.failures.len() as u64, 2);
    }

    #[test]
    fn each_one_may_be_drawn() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let mut sample = Sample::new(NonZeroUsize::new(2));
            (0..5).for_each(|n| sample.offer(PathBuf::from(n.to_string())));
            let drawn = sample.drawn();
            assert!(drawn.len() == 2 && drawn[0] < drawn[1]);
            seen.extend(drawn);
        }
        assert_eq!(seen.len(), 5);
    }
}
