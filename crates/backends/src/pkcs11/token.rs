//! A token, open for one use.

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use keyfold_secret::Secret;

use super::fault::{Fault, of};
use super::library::{AtWork, Started};
use super::place::Place;

/// A session that somebody is logged in to. It ends when this is dropped, before others may end the
/// library; or it waits for the next use, see [`Open::put_back`].
pub(crate) struct Open {
    pub session: Session,
    slot: Slot,
    at_work: AtWork,
}

/// How a login went.
enum Login {
    /// With this PIN.
    Done,
    /// Somebody is logged in with another one.
    Others,
}

impl Open {
    /// A session of one's own.
    pub(crate) fn new(place: &Place) -> Result<Self, Fault> {
        Self::with(place, |_, _| None, false)
    }

    /// The same, that may change the token.
    pub(crate) fn writable(place: &Place) -> Result<Self, Fault> {
        Self::with(place, |_, _| None, true)
    }

    /// A session that waited, where there is one that was opened with the same PIN.
    pub(crate) fn pooled(place: &Place) -> Result<Self, Fault> {
        let waiting = |started: &Started, slot: u64| {
            // Asked first: what another PIN opened is not for this one.
            let proven = started.proves(slot, &place.pin);
            proven.then(|| started.take(slot)).flatten()
        };
        Self::with(place, waiting, false)
    }

    /// Keeps the session for the next use.
    pub(crate) fn put_back(self) {
        let Self {
            session,
            slot,
            at_work,
        } = self;
        if let Some(started) = &*at_work {
            started.keep(slot.id(), session);
        }
    }

    /// Ends the sessions of the token that wait: they are of no use any more.
    pub(crate) fn discard(self) {
        if let Some(started) = &*self.at_work {
            started.clear(self.slot.id());
        }
    }

    fn with(
        place: &Place,
        waiting: impl Fn(&Started, u64) -> Option<Session>,
        writes: bool,
    ) -> Result<Self, Fault> {
        let mut at_work = place.library.enter()?;
        let slot = match started(&at_work).and_then(|started| find(started, place)) {
            Ok(slot) => slot,
            // Some libraries look for their tokens once, when they start: one that was away and is
            // back is seen after another start.
            Err(away) => {
                drop(at_work);
                // Where others are at work with it, it is not known better.
                place.library.end().map_err(|_| away)?;
                at_work = place.library.enter()?;
                find(started(&at_work)?, place)?
            }
        };
        if let Some(session) = waiting(started(&at_work)?, slot.id()) {
            return Ok(Self {
                session,
                slot,
                at_work,
            });
        }
        let session = open(started(&at_work)?, slot, writes)?;
        if let Login::Done = log_in(started(&at_work)?, &session, slot, &place.pin)? {
            return Ok(Self {
                session,
                slot,
                at_work,
            });
        }
        drop((session, at_work));
        prove_alone(place, slot)?;
        let at_work = place.library.enter()?;
        let session = open(started(&at_work)?, slot, writes)?;
        match log_in(started(&at_work)?, &session, slot, &place.pin)? {
            Login::Done => Ok(Self {
                session,
                slot,
                at_work,
            }),
            Login::Others => Err(Fault::Away(
                "others are logged in to the token with another PIN".to_owned(),
            )),
        }
    }
}

/// Logs in while nobody else is: then the token itself looks at the PIN. One of two that differ is
/// wrong, so that this is rare: a PIN was changed, or a configuration has a wrong one.
fn prove_alone(place: &Place, slot: Slot) -> Result<(), Fault> {
    let alone = place.library.alone()?;
    let Some(started) = &*alone else {
        return Ok(());
    };
    started.clear(slot.id());
    let session = open(started, slot, false)?;
    match log_in(started, &session, slot, &place.pin)? {
        // The session keeps the login until the caller has one.
        Login::Done => started.keep(slot.id(), session),
        Login::Others => {
            session.logout().map_err(|e| of(&e))?;
            if let Login::Done = log_in(started, &session, slot, &place.pin)? {
                started.keep(slot.id(), session);
            }
        }
    }
    Ok(())
}

fn log_in(
    started: &Started,
    session: &Session,
    slot: Slot,
    pin: &Secret<Vec<u8>>,
) -> Result<Login, Fault> {
    let raw = RawAuthPin::new(Box::new(pin.expose().clone()));
    match session.login_with_raw(UserType::User, &raw) {
        Ok(()) => {
            started.note(slot.id(), pin);
            Ok(Login::Done)
        }
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            match started.proves(slot.id(), pin) {
                true => Ok(Login::Done),
                false => Ok(Login::Others),
            }
        }
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
            _,
        )) => Err(Fault::Pin),
        Err(error) => Err(of(&error)),
    }
}

fn open(started: &Started, slot: Slot, writes: bool) -> Result<Session, Fault> {
    let session = match writes {
        true => started.context.open_rw_session(slot),
        false => started.context.open_ro_session(slot),
    };
    session.map_err(|e| of(&e))
}

/// The library of somebody who is at work with it.
fn started(at_work: &AtWork) -> Result<&Started, Fault> {
    at_work
        .as_ref()
        .ok_or_else(|| Fault::Away("the HSM's library has ended".to_owned()))
}

/// The slot that is named, or the one whose token has the label.
fn find(started: &Started, place: &Place) -> Result<Slot, Fault> {
    let slots = started.context.get_slots_with_token();
    let slots = slots.map_err(|error| of(&error))?;
    for slot in slots {
        let numbered = place.slot.is_none_or(|id| slot.id() == id);
        let labelled = match &place.token {
            None => true,
            // One that can't be read is not the one.
            Some(label) => started
                .context
                .get_token_info(slot)
                .is_ok_and(|info| info.label() == label),
        };
        if numbered && labelled {
            return Ok(slot);
        }
    }
    Err(Fault::Away(
        "the HSM has no such token, or it is not there".to_owned(),
    ))
}
