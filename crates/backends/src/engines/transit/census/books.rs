//! From sheets to storage: sums of what was counted and is not stored yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;

use super::super::Transit;
use super::super::key::policy_key;
use super::Census;
use super::record::{Record, load, place};
use super::sheet::Sheet;
use super::tally::Tally;

/// Versions that one commit stores.
const AT_ONCE: usize = 256;

/// What was counted of some versions of a key.
pub(in super::super) type Sums = BTreeMap<u32, Record>;

/// A key: its id, and the name it had.
type Owner = (Arc<str>, Arc<str>);

/// What is counted and not stored.
#[derive(Default)]
pub(super) struct Books {
    /// Sheets that somebody may still add to.
    closed: Vec<(Arc<Tally>, Arc<Sheet>)>,
    unstored: BTreeMap<Owner, Sums>,
}

impl Books {
    /// Closes the open sheets, and adds up those that are whole.
    pub fn collect(&mut self, open: Vec<Arc<Tally>>) {
        for tally in open {
            if let Some(sheet) = tally.close() {
                self.closed.push((tally, sheet));
            }
        }
        for (tally, sheet) in std::mem::take(&mut self.closed) {
            match Arc::try_unwrap(sheet) {
                Ok(sheet) => self.add(&tally, &sheet),
                Err(shared) => self.closed.push((tally, shared)),
            }
        }
    }

    fn add(&mut self, tally: &Tally, sheet: &Sheet) {
        let owner = (tally.id.clone(), tally.name.clone());
        let sums = self.unstored.entry(owner).or_default();
        sums.entry(tally.version).or_default().add(&sheet.read());
    }

    /// What is not stored of a key.
    pub fn of(&self, id: &str) -> Sums {
        let mut sums = Sums::new();
        for (_, more) in self
            .unstored
            .iter()
            .filter(|((owner, _), _)| &**owner == id)
        {
            for (version, record) in more {
                sums.entry(*version).or_default().add(record);
            }
        }
        sums
    }
}

impl Census {
    /// Stores what was counted; what can't be stored now is kept for the next time.
    ///
    /// # Errors
    ///
    /// Those of the store, and of a damaged record, which keeps other keys from nothing.
    pub async fn settle(&self, transit: &Transit) -> Result<(), Error> {
        let mut books = self.books.lock().await;
        books.collect(self.open.take());
        let mut damaged = None;
        for (owner, sums) in std::mem::take(&mut books.unstored) {
            let mut rest = sums;
            while !rest.is_empty() {
                let (part, later) = split(rest);
                match store(transit, &owner, &part).await {
                    Ok(()) => rest = later,
                    Err(error) => {
                        rest = part;
                        rest.extend(later);
                        damaged = Some(error);
                        break;
                    }
                }
            }
            if !rest.is_empty() {
                books.unstored.insert(owner, rest);
            }
        }
        damaged.map_or(Ok(()), Err)
    }

    /// All that is known of some versions of a key, stored or not.
    pub async fn of(
        &self,
        transit: &Transit,
        id: &str,
        versions: impl Iterator<Item = u32>,
    ) -> Result<Sums, Error> {
        // Held, so that nothing is stored between the looks at both.
        let mut books = self.books.lock().await;
        books.collect(self.open.take());
        let mut unstored = books.of(id);
        let mut sums = Sums::new();
        for version in versions {
            let stored = load(&transit.view, id, version).await?;
            let mut sum = stored.map(|(record, _)| record);
            if let Some(more) = unstored.remove(&version) {
                sum.get_or_insert_default().add(&more);
            }
            if let Some(sum) = sum {
                sums.insert(version, sum);
            }
        }
        Ok(sums)
    }
}

/// The first of them, and the rest.
fn split(mut sums: Sums) -> (Sums, Sums) {
    let after = sums.keys().nth(AT_ONCE).copied();
    let later = after.map(|version| sums.split_off(&version));
    (sums, later.unwrap_or_default())
}

/// Adds to what is stored of a key. One that is there no more has no census.
async fn store(transit: &Transit, (id, name): &Owner, sums: &Sums) -> Result<(), Error> {
    transit
        .view
        .change(name, || async {
            let Some((settings, revision)) = transit.stored(name).await? else {
                return Ok(());
            };
            if settings.id != **id {
                return Ok(());
            }
            let mut batch = Batch::new().unchanged(policy_key(name), revision);
            for (version, more) in sums {
                let at = place(id, *version);
                let mut record = Record::default();
                batch = match load(&transit.view, id, *version).await? {
                    Some((stored, revision)) => {
                        record = stored;
                        batch.unchanged(at.clone(), revision)
                    }
                    None => batch.absent(at.clone()),
                };
                record.add(more);
                batch = batch.put(at, json(&record)?);
            }
            transit.view.commit(batch).await.map(drop)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::super::super::key::Settings;
    use super::super::{Kind, User, Uses};
    use super::*;
    use keyfold_keys::transit::KeyType;

    #[test]
    fn a_sheet_is_read_when_nobody_writes_on_it() {
        let census = Census::default();
        let settings = Settings::new(KeyType::default());
        let tally = census.tally("k", &settings, 1);
        let user = User {
            caller: None,
            at: 1,
        };
        let use_once = || tally.add(&Uses::one(Kind::Encrypt, 1), user);
        use_once();
        let held = tally.close().unwrap();
        let mut books = Books::default();
        books.closed.push((tally.clone(), held.clone()));
        books.collect(Vec::new());
        assert!(books.of(&settings.id).is_empty());
        held.add(&Uses::one(Kind::Encrypt, 1), user);
        drop(held);
        use_once();
        books.collect(census.open.take());
        assert_eq!(books.of(&settings.id)[&1].of(Kind::Encrypt), 3);
        assert!(census.open.take().is_empty());
    }

    #[test]
    fn parts_are_bounded() {
        let sums: Sums = (1..=600).map(|v| (v, Record::default())).collect();
        let (first, rest) = split(sums);
        assert_eq!((first.len(), rest.len()), (AT_ONCE, 600 - AT_ONCE));
        assert_eq!(rest.first_key_value().unwrap().0, &257);
    }
}
