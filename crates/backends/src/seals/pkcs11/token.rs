//! A token, open for one use.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use keyfold_core::ports::seal::SealError;

use super::fault::{self, Fault};
use super::terms::Terms;

/// Libraries of this process: each is initialised once, and stays.
static LIBRARIES: Mutex<Option<HashMap<String, Pkcs11>>> = Mutex::new(None);

/// Shared by whoever is at work with a library; alone has it who starts one anew, as nobody may be in
/// one that ends.
static AT_WORK: RwLock<()> = RwLock::new(());

/// A session that somebody is logged in to; it ends when this is dropped, before others may end the
/// library.
pub(super) struct Open {
    pub session: Session,
    _at_work: RwLockReadGuard<'static, ()>,
}

impl Open {
    pub(super) fn new(terms: &Terms) -> Result<Self, Fault> {
        let other = |error: Error| Fault::Other(fault::of(&error));
        let mut at_work = read();
        let mut library = library(&terms.library).map_err(other)?;
        let slot = match slot(&library, terms) {
            Ok(slot) => slot,
            // Some libraries look for their tokens once, when they start: one that was away and is
            // back is seen after another start.
            Err(_) => {
                drop((library, at_work));
                end(&terms.library).map_err(other)?;
                at_work = read();
                library = self::library(&terms.library).map_err(other)?;
                slot(&library, terms).map_err(Fault::Other)?
            }
        };
        let session = library.open_ro_session(slot).map_err(other)?;
        let pin = RawAuthPin::new(Box::new(terms.pin.expose().clone()));
        match session.login_with_raw(UserType::User, &pin) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(Self {
                session,
                _at_work: at_work,
            }),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => Err(Fault::Pin),
            Err(error) => Err(other(error)),
        }
    }
}

/// Nothing is behind the lock that a panic could spoil.
fn read() -> RwLockReadGuard<'static, ()> {
    AT_WORK.read().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a library when nobody is at work with it; the next use starts it anew.
fn end(path: &str) -> Result<(), Error> {
    let _alone = AT_WORK.write().unwrap_or_else(PoisonError::into_inner);
    let mut all = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    match all.get_or_insert_default().remove(path) {
        Some(library) => library.finalize(),
        None => Ok(()),
    }
}

fn library(path: &str) -> Result<Pkcs11, Error> {
    // A map is whole after every operation.
    let mut all = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    if let Some(library) = all.get(path) {
        return Ok(library.clone());
    }
    let library = Pkcs11::new(path)?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(error),
    }
    all.insert(path.to_owned(), library.clone());
    Ok(library)
}

/// The slot that is named, or the one whose token has the label.
fn slot(library: &Pkcs11, terms: &Terms) -> Result<Slot, SealError> {
    let slots = library.get_slots_with_token();
    let slots = slots.map_err(|error| fault::of(&error))?;
    for slot in slots {
        let numbered = terms.slot.is_none_or(|id| slot.id() == id);
        let labelled = match &terms.token {
            None => true,
            // One that can't be read is not the one.
            Some(label) => library
                .get_token_info(slot)
                .is_ok_and(|info| info.label() == label),
        };
        if numbered && labelled {
            return Ok(slot);
        }
    }
    Err(SealError::Down(
        "the HSM has no such token, or it is not there".into(),
    ))
}
