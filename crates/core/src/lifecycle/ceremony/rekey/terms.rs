//! What a rekey is to make, and by which calls it is spoken of.

use crate::clock::Time;
use crate::error::Error;
use crate::lifecycle::Shares;
use crate::lifecycle::seals::{Seals, Wraps};
use crate::openpgp::Recipient;

/// The calls by which it is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `sys/rekey`: the shares of a store that nothing else opens.
    Rekey,
    /// `sys/rekey-recovery-key`: the shares beside seals.
    RekeyRecovery,
    /// `sys/rotate/root`: new shares, and a new root key. With a token.
    RotateRoot,
    /// `sys/rotate/recovery`: the shares beside seals. With a token.
    RotateRecovery,
}

/// What is asked for.
pub(crate) struct Terms {
    /// By which calls.
    pub family: Family,
    /// The new shares.
    pub split: Shares,
    /// They have to be shown before the old ones go.
    pub verify: bool,
    /// Whose keys they are encrypted for, one each; or nobody's.
    pub recipients: Vec<Recipient>,
    /// They are kept too, encrypted.
    pub backup: bool,
}

impl Terms {
    /// The numbers of a request.
    pub(crate) fn new(
        family: Family,
        (shares, threshold): (i64, i64),
        verify: bool,
        (keys, backup): (Option<Vec<String>>, bool),
        now: Time,
    ) -> Result<Self, Error> {
        let of = match family {
            Family::Rekey => "rekey seal",
            Family::RotateRoot => "rotate seal",
            Family::RekeyRecovery | Family::RotateRecovery => "recovery",
        };
        let split = Shares::checked(of, shares, threshold)?;
        let recipients = Recipient::parse_all(keys, split.shares, of, now)?;
        if backup && recipients.is_empty() {
            return Err(Error::bad(
                "cannot request a backup of the new keys without providing PGP keys for encryption",
            ));
        }
        Ok(Self {
            family,
            split,
            verify,
            recipients,
            backup,
        })
    }

    /// Whose keys they are encrypted for, by fingerprint.
    pub(super) fn fingerprints(&self) -> Option<Vec<String>> {
        let names = self.recipients.iter().map(Recipient::fingerprint);
        let names: Vec<_> = names.map(str::to_owned).collect();
        (!names.is_empty()).then_some(names)
    }

    /// Whether the store as it is can be rekeyed so.
    pub(super) fn check(&self, wraps: &Wraps) -> Result<(), Error> {
        if wraps.shares.is_some() {
            return Ok(());
        }
        match self.family {
            Family::RotateRecovery if wraps.quorum.is_none() => Ok(()),
            Family::RotateRecovery => Err(Error::bad(
                "where several ways have to open the store together, share holders can't join \
                 later",
            )),
            Family::RotateRoot => Err(Error::bad(
                "this store has no shares: `sys/rotate/root` rotates its root key by the seals \
                 alone",
            )),
            Family::Rekey | Family::RekeyRecovery => Err(Error::bad(
                "this store has no shares that could be shown: `sys/rotate/recovery/init` makes \
                 the first ones, with a token",
            )),
        }
    }
}

impl Family {
    /// A new root key is made too.
    pub(crate) fn is_root(self) -> bool {
        self == Self::RotateRoot
    }

    /// Whoever calls has shown a token.
    pub(crate) fn has_token(self) -> bool {
        matches!(self, Self::RotateRoot | Self::RotateRecovery)
    }

    /// Refused where there are no such shares.
    pub(crate) fn check(self, seals: &Seals) -> Result<(), Error> {
        let beside = seals.first().is_some();
        match self {
            Self::RotateRoot => Ok(()),
            Self::Rekey if !beside => Ok(()),
            Self::Rekey => Err(Error::bad(
                "the shares of this store are recovery keys beside its seals: \
                 `sys/rekey-recovery-key` and `sys/rotate/recovery` make new ones",
            )),
            Self::RekeyRecovery | Self::RotateRecovery if beside => Ok(()),
            Self::RekeyRecovery => Err(Error::bad("recovery rekeying not supported")),
            Self::RotateRecovery => Err(Error::bad("recovery keys not supported")),
        }
    }

    /// What clients know it by.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Rekey | Self::RekeyRecovery => "rekey",
            Self::RotateRoot | Self::RotateRecovery => "rotation",
        }
    }

    pub(super) fn says(self, what: &str) -> String {
        format!("{} {what}", self.word())
    }

    pub(super) fn says_none(self) -> String {
        match self {
            Self::RekeyRecovery => "no recovery rekey in progress".to_owned(),
            _ => format!("no {} in progress", self.word()),
        }
    }

    pub(super) fn wrong_nonce(self) -> String {
        format!(
            "incorrect nonce supplied: it is not that of this {}",
            self.word()
        )
    }

    pub(super) fn again(self) -> String {
        format!(
            "given key has already been provided during this {}",
            self.word()
        )
    }
}
