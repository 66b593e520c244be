//! [`ServiceDeks`]: a keyring in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dek::ServiceDek;
use super::document::Keyring;
use super::error::KeyringError;
use super::limits::DekOptions;
use super::reserve::Reserve;
use super::row::{DekState, Row};
use super::snapshot::{Seat, Snapshot};
use super::store::{Change, KeyringStore, Plan};
use crate::cache::{Ask, CacheCounters, DekCache, Load, Moment, Partition, Purpose};
use crate::key_service::{KeyService, ServiceError};
use crate::locator::Locator;

/// A keyring is read again after so long.
const RELOAD_AFTER: Duration = Duration::from_secs(60);
/// Where that failed, it is tried again after so long …
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// … and what was read is used for at most so long.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// New DEKs for one object before something must be wrong: others take them, or the KEK rotates.
const MOST_TRIES: u32 = 20;

/// The DEKs of a service: finds them in a keyring, has them unwrapped, keeps them in a cache, counts
/// what they encrypt, and makes new ones when they are due.
///
/// Several threads may use one value, and several processes one keyring.
pub struct ServiceDeks {
    store: Box<dyn KeyringStore>,
    keys: Arc<dyn KeyService>,
    partition: Partition,
    cache: Arc<DekCache<ServiceDek>>,
    options: DekOptions,
    known: Mutex<Known>,
    /// Held while a block is taken or a DEK is made, so that threads do it once.
    reserve: Mutex<Reserve>,
}

/// The keyring as it was read last.
struct Known {
    snapshot: Arc<Snapshot>,
    read: Moment,
    tried: Moment,
}

/// What came of taking a block.
enum Taken {
    /// The DEK it is of.
    Block(Arc<Seat>),
    /// None: the active DEK with this number is due, or there is no active one.
    Due(Option<u32>),
}

impl ServiceDeks {
    /// Reads a keyring. `keys` act for the identity `partition`.
    pub fn open(
        store: Box<dyn KeyringStore>,
        keys: Arc<dyn KeyService>,
        partition: Partition,
        cache: Arc<DekCache<ServiceDek>>,
        options: DekOptions,
    ) -> Result<Self, KeyringError> {
        let snapshot = Arc::new(Snapshot::new(store.load()?, &partition));
        let now = cache.now();
        let known = Known {
            snapshot,
            read: now,
            tried: now,
        };
        Ok(Self {
            store,
            keys,
            partition,
            cache,
            options,
            known: Mutex::new(known),
            reserve: Mutex::default(),
        })
    }

    /// Writes a new keyring with its first DEK, wrapped by the key that `keyring` names.
    pub fn create(
        store: &dyn KeyringStore,
        keys: &dyn KeyService,
        keyring: &Keyring,
        now: Moment,
    ) -> Result<Keyring, KeyringError> {
        let (service, key) = (keyring.service(), keyring.key());
        let number = keyring.next_number()?;
        let new = Row::make(keys, service, key, number, now.wall.as_secs())?;
        let made = keyring.with(&[Change { old: None, new }])?;
        store.create(&made)?;
        Ok(made)
    }

    /// The DEK for new objects, of so many uses and bytes. A new one is made where the present one
    /// is due, or its KEK was rotated and the keyring not rewrapped.
    pub fn encrypting(&self, load: Load) -> Result<Arc<ServiceDek>, KeyringError> {
        let mut replaced = false;
        for _ in 0..MOST_TRIES {
            let seat = self.reserve(load)?;
            match self.fetch(Purpose::Encrypt, &seat, load) {
                // A DEK of a moment ago is as new as the server makes them.
                Ok(dek) if replaced || dek.newest() <= seat.row.version() => return Ok(dek),
                Ok(_) => {}
                Err(KeyringError::Service(ServiceError::BelowMinimum)) if !replaced => {}
                Err(error) => return Err(error),
            }
            // A rewrap gave the DEK a wrap under the new version, or it is not used any more.
            let fresh = self.reload()?.active();
            if fresh.is_some_and(|fresh| fresh.row.wrapped == seat.row.wrapped) {
                self.replace(&mut self.lock_reserve(), Some(seat.row.dek_no))?;
                replaced = true;
            }
        }
        Err(KeyringError::Changed)
    }

    /// The DEK with this number.
    pub fn decrypting(&self, dek_no: u32) -> Result<Arc<ServiceDek>, KeyringError> {
        let unknown = || KeyringError::UnknownDek(dek_no);
        self.decrypt_by(&|known| known.numbered(dek_no), &unknown)
    }

    /// The DEK with this id.
    pub fn decrypting_id(&self, dek_id: &[u8; 16]) -> Result<Arc<ServiceDek>, KeyringError> {
        let unknown = || KeyringError::UnknownDekId(hex::encode(dek_id));
        self.decrypt_by(&|known| known.with_id(dek_id), &unknown)
    }

    /// Fails where objects would be under the DEK with this id again if they were made anew, or the keyring has none with it.
    pub fn replaced(&self, dek_id: &[u8; 16]) -> Result<(), KeyringError> {
        let unknown = || KeyringError::UnknownDekId(hex::encode(dek_id));
        let seat = self.seat(&|known| known.with_id(dek_id), &unknown)?;
        match seat.row.state {
            DekState::Active => Err(KeyringError::Current(seat.row.dek_no)),
            _ => Ok(()),
        }
    }

    /// Makes a new DEK now, for all processes that use the keyring. Its number.
    pub fn rotate(&self) -> Result<u32, KeyringError> {
        let mut reserve = self.lock_reserve();
        let active = self.reload()?.active();
        self.replace(&mut reserve, active.map(|seat| seat.row.dek_no))?;
        let seat = self.known()?.active().ok_or(KeyringError::Changed)?;
        Ok(seat.row.dek_no)
    }

    /// Destroys the wrap of a DEK: what was encrypted under it is noise from then on, also for other
    /// processes once their caches and [`RELOAD_AFTER`] have ended, but not for whoever has a copy of
    /// the keyring and may unwrap.
    pub fn destroy(&self, dek_no: u32) -> Result<(), KeyringError> {
        self.update(&mut |keyring| {
            let row = keyring.row(dek_no);
            let row = row.ok_or(KeyringError::UnknownDek(dek_no))?;
            let there = row.wrapped.is_some();
            Ok(there.then(|| destroy(row)).into_iter().collect())
        })?;
        self.cache.clear();
        Ok(())
    }

    /// Gives back what was counted ahead and is not used: for the end of a program.
    pub fn finish(&self) -> Result<(), KeyringError> {
        let Some((dek_no, unused)) = self.lock_reserve().end() else {
            return Ok(());
        };
        self.update(&mut |keyring| {
            let row = keyring.row(dek_no);
            Ok(row.map(|row| give_back(row, unused)).into_iter().collect())
        })
        .map(drop)
    }

    /// The keyring as it is known.
    pub fn keyring(&self) -> Result<Keyring, KeyringError> {
        Ok(self.known()?.keyring.clone())
    }

    /// Where the keyring is kept.
    #[must_use]
    pub fn place(&self) -> &str {
        self.store.place()
    }

    /// What the cache did so far.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        self.cache.counters()
    }

    fn decrypt_by(
        &self,
        find: &dyn Fn(&Snapshot) -> Option<Arc<Seat>>,
        unknown: &dyn Fn() -> KeyringError,
    ) -> Result<Arc<ServiceDek>, KeyringError> {
        let seat = self.seat(find, unknown)?;
        let error = match self.fetch(Purpose::Decrypt, &seat, Load::default()) {
            Ok(dek) => return Ok(dek),
            Err(error) => error,
        };
        let moved = matches!(
            error,
            KeyringError::Service(ServiceError::BelowMinimum | ServiceError::WrongKey)
                | KeyringError::WrongDek(_)
        );
        if !moved {
            return Err(error);
        }
        // Another process may have rewrapped it since.
        match find(&*self.reload()?) {
            Some(now) if now.row != seat.row => self.fetch(Purpose::Decrypt, &now, Load::default()),
            _ => Err(error),
        }
    }

    fn seat(
        &self,
        find: &dyn Fn(&Snapshot) -> Option<Arc<Seat>>,
        unknown: &dyn Fn() -> KeyringError,
    ) -> Result<Arc<Seat>, KeyringError> {
        match find(&*self.known()?) {
            Some(seat) => Ok(seat),
            // Another process may have made it.
            None => find(&*self.reload()?).ok_or_else(unknown),
        }
    }

    /// The active row, with `load` counted.
    fn reserve(&self, load: Load) -> Result<Arc<Seat>, KeyringError> {
        let mut reserve = self.lock_reserve();
        let seat = self.known()?.active();
        if let Some(seat) = seat
            && !self.is_old(&seat.row)
            && reserve.take(seat.row.dek_no, load)
        {
            return Ok(seat);
        }
        for _ in 0..MOST_TRIES {
            match self.take_block(&mut reserve, load)? {
                Taken::Block(seat) => return Ok(seat),
                Taken::Due(dek_no) => self.replace(&mut reserve, dek_no)?,
            }
        }
        Err(KeyringError::Changed)
    }

    /// Counts a block with `load` in it in the keyring.
    fn take_block(&self, reserve: &mut Reserve, load: Load) -> Result<Taken, KeyringError> {
        // What the last plan came to.
        let (mut active, mut block) = (None, None);
        let snapshot = self.update(&mut |keyring| {
            let row = keyring.active();
            active = row.map(|row| row.dek_no);
            let usable = row.filter(|row| !self.is_old(row));
            let wanted = usable.and_then(|row| {
                let lacking = reserve.lacks(row.dek_no, load);
                Some((row, self.options.limits.block(row, lacking)?))
            });
            block = wanted.map(|(_, block)| block);
            let counted = wanted.filter(|(_, block)| *block != Load::default());
            Ok(counted
                .map(|(row, block)| count(row, block))
                .into_iter()
                .collect())
        })?;
        let (Some(dek_no), Some(block)) = (active, block) else {
            return Ok(Taken::Due(active));
        };
        reserve.add(dek_no, block);
        let seat = snapshot
            .numbered(dek_no)
            .filter(|_| reserve.take(dek_no, load));
        seat.map(Taken::Block).ok_or(KeyringError::Changed)
    }

    /// Makes a DEK in place of `due`, unless another process does it first.
    fn replace(&self, _held: &mut Reserve, due: Option<u32>) -> Result<(), KeyringError> {
        let keyring = self.reload()?.keyring.clone();
        let active = |keyring: &Keyring| keyring.active().map(|row| row.dek_no);
        if active(&keyring) != due {
            return Ok(());
        }
        let number = keyring.next_number()?;
        if let Some(expected) = &self.options.key
            && expected != keyring.key()
        {
            return Err(other_key(number, keyring.key(), expected));
        }
        // Outside of the update: it asks the server.
        let (service, key, now) = (keyring.service(), keyring.key(), self.seconds());
        let new = Row::make(&*self.keys, service, key, number, now)?;
        self.update(&mut |keyring| {
            if active(keyring) != due || keyring.next_number()? != number {
                return Ok(Vec::new());
            }
            let actives = keyring.rows().iter();
            let actives = actives.filter(|row| row.state == DekState::Active);
            let mut changes: Vec<_> = actives.map(retire).collect();
            let new = new.clone();
            changes.push(Change { old: None, new });
            Ok(changes)
        })
        .map(drop)
    }

    /// The DEK of a row, out of the cache or from the server.
    fn fetch(
        &self,
        purpose: Purpose,
        seat: &Arc<Seat>,
        load: Load,
    ) -> Result<Arc<ServiceDek>, KeyringError> {
        let row = &seat.row;
        if let Some(expected) = &self.options.key
            && *expected != row.key
        {
            return Err(other_key(row.dek_no, &row.key, expected));
        }
        let id = seat.cache_id(purpose)?;
        let service = || self.lock_known().snapshot.keyring.service().to_owned();
        let dek = self.cache.fetch(id, load, || {
            let (keys, seat) = (Arc::clone(&self.keys), Arc::clone(seat));
            unwrap(keys, purpose, seat, service())
        })?;
        if dek.fits(row) {
            Ok(dek)
        } else {
            Err(KeyringError::WrongDek(row.dek_no))
        }
    }

    /// The keyring as it was read, not too long ago.
    fn known(&self) -> Result<Arc<Snapshot>, KeyringError> {
        let now = self.cache.now();
        let (snapshot, read) = {
            let mut known = self.lock_known();
            let age = now.since(known.read);
            let waits = now.since(known.tried) < RETRY_AFTER && age < LONGEST;
            if age < RELOAD_AFTER || waits {
                return Ok(Arc::clone(&known.snapshot));
            }
            // One caller reads; the others go on with what there is.
            known.tried = now;
            (Arc::clone(&known.snapshot), known.read)
        };
        match self.reload() {
            Err(_) if now.since(read) < LONGEST => {
                // It may have taken long to fail.
                self.lock_known().tried = self.cache.now();
                Ok(snapshot)
            }
            result => result,
        }
    }

    /// Reads the keyring.
    fn reload(&self) -> Result<Arc<Snapshot>, KeyringError> {
        self.learn(self.store.load()?)
    }

    /// Changes the keyring.
    fn update(&self, plan: &mut Plan<'_>) -> Result<Arc<Snapshot>, KeyringError> {
        self.learn(self.store.update(plan)?)
    }

    fn learn(&self, keyring: Keyring) -> Result<Arc<Snapshot>, KeyringError> {
        let now = self.cache.now();
        let mut known = self.lock_known();
        if known.snapshot.keyring.service() != keyring.service() {
            let other = format!("it is now that of {:?}", keyring.service());
            return Err(KeyringError::Malformed(other));
        }
        if known.snapshot.keyring != keyring {
            known.snapshot = Arc::new(Snapshot::new(keyring, &self.partition));
        }
        known.read = now;
        known.tried = now;
        Ok(Arc::clone(&known.snapshot))
    }

    fn is_old(&self, row: &Row) -> bool {
        self.options.limits.is_old(row, self.seconds())
    }

    fn seconds(&self) -> u64 {
        self.cache.now().wall.as_secs()
    }

    fn lock_known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_reserve(&self) -> MutexGuard<'_, Reserve> {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The question for a DEK. For encrypting it also asks whether the KEK was rotated.
fn unwrap(
    keys: Arc<dyn KeyService>,
    purpose: Purpose,
    seat: Arc<Seat>,
    service: String,
) -> Ask<ServiceDek> {
    Box::new(move || {
        let row = &seat.row;
        let wrapped = row.wrapped.as_ref().ok_or(ServiceError::NotFound)?;
        let newest = match purpose {
            Purpose::Encrypt => keys.versions(&row.key)?.map(|versions| versions.latest),
            Purpose::Decrypt => None,
        };
        let dek = keys.unwrap(&row.key, wrapped, row.aad(&service).as_ref())?;
        Ok(ServiceDek::new(row, &service, dek, newest))
    })
}

fn count(row: &Row, block: Load) -> Change {
    let new = Row {
        uses: row.uses.saturating_add(block.uses),
        bytes: row.bytes.saturating_add(block.bytes),
        ..row.clone()
    };
    let old = Some(row.clone());
    Change { old, new }
}

fn retire(row: &Row) -> Change {
    let new = Row {
        state: DekState::Retired,
        ..row.clone()
    };
    let old = Some(row.clone());
    Change { old, new }
}

fn give_back(row: &Row, unused: Load) -> Change {
    let new = Row {
        uses: row.uses.saturating_sub(unused.uses),
        bytes: row.bytes.saturating_sub(unused.bytes),
        ..row.clone()
    };
    let old = Some(row.clone());
    Change { old, new }
}

fn destroy(row: &Row) -> Change {
    let new = Row {
        state: DekState::Destroyed,
        wrapped: None,
        ..row.clone()
    };
    let old = Some(row.clone());
    Change { old, new }
}

fn other_key(dek_no: u32, found: &Locator, expected: &Locator) -> KeyringError {
    KeyringError::OtherKey {
        dek_no,
        found: found.clone(),
        expected: expected.clone(),
    }
}
