//! A library of an HSM's vendor, in this process. Each is loaded when it is used first and stays:
//! one that is missing keeps no server from starting.

use std::collections::{BTreeMap, HashMap};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::thread::sleep;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;
use keyfold_secret::Secret;
use tokio::sync::Semaphore;

use super::fault::{Fault, of};

/// Calls that are inside of one library at a time. Others wait for their turn, so that a library
/// that hangs takes no more threads than these.
const AT_ONCE: usize = 8;
/// Sessions of a slot that are kept for the next use.
const IDLE: usize = AT_ONCE;
/// How long somebody tries to be alone with a library.
const TRIES: u32 = 200;
const STEP: Duration = Duration::from_millis(10);

/// One for each path that the configuration names: few, so that they may live for ever.
static LIBRARIES: Mutex<BTreeMap<String, &'static Library>> = Mutex::new(BTreeMap::new());

/// A library.
pub(crate) struct Library {
    path: String,
    /// Shared by whoever is at work with it; alone has it who starts or ends it.
    started: RwLock<Option<Started>>,
    turns: Arc<Semaphore>,
    making: Mutex<()>,
}

/// What there is of a library that is initialised. The order counts: sessions end before it does.
pub(super) struct Started {
    idle: Mutex<Vec<(u64, Session)>>,
    /// The PIN of the login that a slot has. All sessions of a process share one login, so that a
    /// second login succeeds whatever PIN it comes with: this is what it is compared with.
    logins: Mutex<HashMap<u64, Secret<Vec<u8>>>>,
    pub context: Pkcs11,
}

pub(super) type AtWork = RwLockReadGuard<'static, Option<Started>>;

impl Library {
    /// The library at a path that the operator configured.
    pub(crate) fn at(path: &str) -> &'static Self {
        let mut all = whole(&LIBRARIES);
        if let Some(known) = all.get(path) {
            return known;
        }
        let new: &'static Self = Box::leak(Box::new(Self {
            path: path.to_owned(),
            started: RwLock::new(None),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            making: Mutex::new(()),
        }));
        all.insert(path.to_owned(), new);
        new
    }

    /// Turns to be inside of it.
    pub(crate) fn turns(&self) -> Arc<Semaphore> {
        self.turns.clone()
    }

    /// Held by who makes a key that is not there, so that two do not make one each.
    pub(crate) fn making(&self) -> MutexGuard<'_, ()> {
        whole(&self.making)
    }

    /// Begins work with it, after it was started where it was not.
    pub(super) fn enter(&'static self) -> Result<AtWork, Fault> {
        for _ in 0..TRIES {
            let at_work = self.started.read().unwrap_or_else(PoisonError::into_inner);
            if at_work.is_some() {
                return Ok(at_work);
            }
            drop(at_work);
            let mut started = self.started.write().unwrap_or_else(PoisonError::into_inner);
            if started.is_none() {
                *started = Some(self.start().map_err(|e| of(&e))?);
            }
        }
        Err(busy())
    }

    /// Ends it when nobody is at work with it; the next use starts it anew.
    pub(super) fn end(&'static self) -> Result<(), Fault> {
        let mut started = self.alone()?;
        let Some(Started { idle, context, .. }) = started.take() else {
            return Ok(());
        };
        drop(idle);
        context.finalize().map_err(|e| of(&e))
    }

    /// Waits until nobody is at work with it, and keeps others out. Whoever wants to work meanwhile
    /// is not held up by the wait.
    pub(super) fn alone(
        &'static self,
    ) -> Result<RwLockWriteGuard<'static, Option<Started>>, Fault> {
        for _ in 0..TRIES {
            match self.started.try_write() {
                Ok(alone) => return Ok(alone),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => sleep(STEP),
            }
        }
        Err(busy())
    }

    fn start(&self) -> Result<Started, Error> {
        let context = Pkcs11::new(&self.path)?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error),
        }
        Ok(Started {
            idle: Mutex::default(),
            logins: Mutex::default(),
            context,
        })
    }
}

impl Started {
    /// Whether the login of a slot was made with this PIN.
    pub(super) fn proves(&self, slot: u64, pin: &Secret<Vec<u8>>) -> bool {
        let logins = whole(&self.logins);
        logins
            .get(&slot)
            .is_some_and(|known| known.ct_eq(pin.expose()))
    }

    /// Keeps the PIN that a slot was logged in to with.
    pub(super) fn note(&self, slot: u64, pin: &Secret<Vec<u8>>) {
        let pin = Secret::new(pin.expose().clone());
        whole(&self.logins).insert(slot, pin);
    }

    /// A session that waits for its next use.
    pub(super) fn take(&self, slot: u64) -> Option<Session> {
        let mut idle = whole(&self.idle);
        let at = idle.iter().rposition(|(of, _)| *of == slot)?;
        Some(idle.swap_remove(at).1)
    }

    /// Keeps a session for the next use, unless there are enough.
    pub(super) fn keep(&self, slot: u64, session: Session) {
        let mut idle = whole(&self.idle);
        if idle.iter().filter(|(of, _)| *of == slot).count() < IDLE {
            idle.push((slot, session));
        }
    }

    /// Ends the sessions of a slot that wait.
    pub(super) fn clear(&self, slot: u64) {
        whole(&self.idle).retain(|(of, _)| *of != slot);
    }
}

fn busy() -> Fault {
    Fault::Away("the HSM's library is busy".to_owned())
}

/// What is behind these locks is whole after every operation, so that no panic spoils it.
fn whole<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
