//! What people do together on an open vault: shares, given one after another, for one purpose.
//!
//! A ceremony is known in memory only: sealing, or the end of the process, ends it and changes
//! nothing. There is one of a kind at a time, and it holds no more shares than its threshold.

mod gathering;
mod rekey;
mod root_token;

use tokio::sync::Mutex;

pub(crate) use self::rekey::{
    Backup, Family, NewShares, RekeyStatus, Rekeyed, Terms, Verification, Verified,
};
pub(crate) use self::root_token::{Cover, RootTokenStatus, uncover};

/// The ceremonies of an open vault.
#[derive(Default)]
pub(crate) struct Ceremonies {
    root_token: Mutex<Option<root_token::Attempt>>,
    /// Of the shares of a store that nothing else opens, or with a new root key.
    shares: Mutex<Option<rekey::Attempt>>,
    /// Of the shares beside seals.
    recovery: Mutex<Option<rekey::Attempt>>,
}

impl Ceremonies {
    fn rekey(&self, family: Family) -> &Mutex<Option<rekey::Attempt>> {
        match family {
            Family::Rekey | Family::RotateRoot => &self.shares,
            Family::RekeyRecovery | Family::RotateRecovery => &self.recovery,
        }
    }
}

/// What an outsider does not have: whoever is to end, or to begin anew, what others are at shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Insider<'a> {
    /// A token that may.
    Token,
    /// The nonce, as given.
    Nonce(Option<&'a str>),
}

/// What an outsider is told.
const NOT_YOURS: &str = "shares were given already, or it was begun with a token: to end this takes \
                         its nonce, or a token that may";

impl Insider<'_> {
    /// Whether a ceremony may be ended: by anybody one that needed no token to begin and that no
    /// share was given to yet, as nothing is lost with it.
    fn may_end(self, nonce: &str, at_stake: bool) -> bool {
        match self {
            Self::Token => true,
            Self::Nonce(given) => !at_stake || given == Some(nonce),
        }
    }
}
