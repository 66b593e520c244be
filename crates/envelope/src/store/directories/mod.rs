//! [`Directories`]: envelopes that are files of this machine.

mod sectors;
mod walk;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::cobblestone::PayloadKey;
use crate::decrypt::read_header;
use crate::error::Error;
use crate::file;
use crate::header::HEADER_LEN;
use crate::progress::NoProgress;

use super::{Added, Change, Found, Store, Unreadable, Written};

use sectors::{add, retire};

#[cfg(test)]
pub(crate) use sectors::apply;
pub(crate) use sectors::{Sectors, lock};
pub use walk::Spot;

/// Envelopes at or below some paths. Links below a path are not followed. A path given by name must
/// be an envelope; what lies in a directory may be anything.
pub struct Directories {
    roots: Vec<PathBuf>,
    durability: Durability,
    /// A file of each file system that was written to, by its device number: what is synced.
    written: Mutex<BTreeMap<u64, File>>,
}

/// When new wraps are made durable. Either way a new wrap is durable before an old one is retired,
/// and everything is at the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Each file by itself, twice: `fdatasync`.
    #[default]
    File,
    /// Many files together: `syncfs`. Faster by far where a disk is slow to sync, and it writes out
    /// what others have written to that file system, too.
    Batch,
}

impl Directories {
    /// Envelopes at or below `roots`.
    #[must_use]
    pub fn new(roots: Vec<PathBuf>, durability: Durability) -> Self {
        Self {
            roots,
            durability,
            written: Mutex::new(BTreeMap::new()),
        }
    }

    /// One file, durable when this returns.
    fn change_one(&self, spot: &Spot, change: &Change) -> Result<Written, Error> {
        let file = open(spot)?;
        lock(&file)?;
        let (added, mut written) = add(&file, change)?;
        if added != Added::Overtaken {
            // Also where nothing was added: what stays in use may be of a run that was interrupted
            // before it was durable.
            file.sync_data()?;
        }
        let retired = retire(&file, change, &added)?;
        if retired > 0 {
            file.sync_data()?;
        }
        written.bytes = written.bytes.saturating_add(retired);
        Ok(written)
    }

    /// The first step, whose result is not yet durable. The lock is given back, so that nobody has
    /// to wait for the sync; the second step looks at the file again.
    fn begin(&self, spot: &Spot, change: &Change) -> Result<Begun, Error> {
        let file = open(spot)?;
        let device = file.metadata()?.dev();
        lock(&file)?;
        let (added, written) = add(&file, change)?;
        file.unlock()?;
        let mut known = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(device).or_insert(file);
        Ok(Begun {
            device,
            added,
            written,
        })
    }

    /// The second step, after the sync.
    fn finish(&self, spot: &Spot, change: &Change, begun: &Begun) -> Result<Written, Error> {
        let file = open(spot)?;
        lock(&file)?;
        let retired = retire(&file, change, &begun.added)?;
        Ok(Written {
            bytes: begun.written.bytes.saturating_add(retired),
            ..begun.written
        })
    }

    /// Makes what was written to some file systems durable; an error for each that fails.
    fn sync(&self, wanted: impl Fn(u64) -> bool) -> BTreeMap<u64, std::io::Error> {
        let mut failed = BTreeMap::new();
        let files: Vec<_> = {
            let known = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = known.iter().filter(|(device, _)| wanted(**device));
            let files = wanted.map(|(device, file)| (*device, file.try_clone()));
            files.collect()
        };
        for (device, file) in files {
            let synced = file.and_then(|file| Ok(rustix::fs::syncfs(file.as_fd())?));
            if let Err(error) = synced {
                failed.insert(device, error);
            }
        }
        failed
    }
}

/// A file whose first step is done.
struct Begun {
    device: u64,
    added: Added,
    written: Written,
}

impl Store for Directories {
    type Entry = Spot;

    fn list(&self) -> Box<dyn Iterator<Item = Result<Spot, Unreadable>> + Send + '_> {
        Box::new(walk::list(&self.roots))
    }

    fn count(&self) -> Option<u64> {
        Some(walk::list(&self.roots).count() as u64)
    }

    fn batch(&self) -> usize {
        match self.durability {
            Durability::File => 256,
            Durability::Batch => 2048,
        }
    }

    fn name(&self, spot: &Spot) -> PathBuf {
        spot.path.clone()
    }

    fn read(&self, spots: &mut [Spot]) -> Vec<Result<Option<Found>, Error>> {
        spots.iter().map(walk::read).collect()
    }

    fn change(&self, changes: &[(&Spot, &Change)]) -> Vec<Result<Written, Error>> {
        if self.durability == Durability::File {
            let one = |(spot, change): &(&Spot, &Change)| self.change_one(spot, change);
            return changes.iter().map(one).collect();
        }
        let begin = |(spot, change): &(&Spot, &Change)| self.begin(spot, change);
        let begun: Vec<_> = changes.iter().map(begin).collect();
        let used = |device| {
            let mut begun = begun.iter().flatten();
            begun.any(|one| one.device == device && one.added != Added::Overtaken)
        };
        let failed = self.sync(used);
        let finish = |((spot, change), begun): (&(&Spot, &Change), Result<Begun, Error>)| {
            let begun = begun?;
            match failed.get(&begun.device) {
                // The error can't be copied; its kind says what it was.
                Some(error) => Err(std::io::Error::from(error.kind()).into()),
                None => self.finish(spot, change, &begun),
            }
        };
        changes.iter().zip(begun).map(finish).collect()
    }

    fn check_payload(&self, spot: &Spot, key: &PayloadKey) -> Result<(), Error> {
        let mut file = File::open(&spot.path)?;
        read_header(&mut file)?.attached()?;
        let sealed_len = file.metadata()?.len().saturating_sub(HEADER_LEN as u64);
        file::decrypt(key, &file, None, sealed_len, 1, &NoProgress)?;
        Ok(())
    }

    fn settle(&self) -> Result<(), Error> {
        match self.sync(|_| true).into_values().next() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

fn open(spot: &Spot) -> Result<File, Error> {
    Ok(OpenOptions::new().read(true).write(true).open(&spot.path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Header;
    use crate::key_service::KeyService as _;
    use crate::slot::Slot;
    use crate::testing::{Service, envelope, locator};

    /// A change of the envelope at `path` to a wrap of the newest version.
    fn newest(service: &Service, path: &std::path::Path) -> Change {
        let header = Header::parse_prefix(&std::fs::read(path).unwrap()).unwrap();
        let (index, slot) = header.slots.slots().next().unwrap();
        let item = crate::key_service::RewrapItem {
            wrapped: crate::key_service::WrappedDek {
                version: slot.version,
                blob: slot.blob.clone(),
            },
            aad: Some(header.prelude.aad()),
        };
        let wrapped = service
            .rewrap(&locator(), &[item])
            .unwrap()
            .remove(0)
            .unwrap();
        let source = (index, slot.clone());
        Change {
            prelude: Some(header.prelude.clone()),
            new: Some(Slot {
                version: wrapped.version,
                blob: wrapped.blob,
                ..source.1.clone()
            }),
            source,
            superseded: Vec::new(),
            keeps_source: false,
        }
    }

    #[test]
    fn a_batch_has_an_answer_for_each_file() {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::new();
        let paths = ["a.kf", "b.kf", "c.kf"];
        for name in paths {
            envelope(&service, dir.path(), name, b"text");
        }
        service.rotate();
        let changes: Vec<_> = paths
            .iter()
            .map(|name| newest(&service, &dir.path().join(name)))
            .collect();
        // One is gone, one was replaced by another envelope meanwhile.
        std::fs::remove_file(dir.path().join("a.kf")).unwrap();
        envelope(&service, dir.path(), "d.kf", b"other");
        std::fs::rename(dir.path().join("d.kf"), dir.path().join("b.kf")).unwrap();
        let store = Directories::new(vec![dir.path().to_owned()], Durability::Batch);
        let spots: Vec<_> = paths
            .iter()
            .map(|name| Spot::named(dir.path().join(name)))
            .collect();
        let pairs: Vec<_> = spots.iter().zip(&changes).collect();
        let answers = store.change(&pairs);
        assert!(matches!(
            answers[..],
            [
                Err(Error::Io(_)),
                Err(Error::SlotsChanged),
                Ok(Written {
                    bytes: 1024,
                    new_wrap: true
                })
            ]
        ));
        store.settle().unwrap();
    }

    #[test]
    fn the_list_is_counted_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["a", "b", "sub/c"] {
            std::fs::write(dir.path().join(name), "text").unwrap();
        }
        let roots = vec![dir.path().to_owned(), dir.path().join("absent")];
        let store = Directories::new(roots, Durability::File);
        let names = || -> Vec<_> {
            let listed = store.list().flatten();
            listed.map(|spot| store.name(&spot)).collect()
        };
        assert_eq!(names().len(), 3);
        assert_eq!(names(), names());
        assert_eq!(store.count(), Some(4), "what can't be listed is told, too");
    }
}
