//! What a version is used for.

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// A plaintext was encrypted.
    Encrypt,
    /// A ciphertext was opened, and its plaintext given out.
    Decrypt,
    /// A ciphertext of this version was moved to another by rewrap.
    Rewrap,
    /// Rewrap opened a ciphertext of this version, and gave it back as it was.
    RewrapSame,
    /// Rewrap made a ciphertext of this version.
    RewrapInto,
    /// A data key was made and wrapped.
    DataKey,
    /// A signature was made.
    Sign,
    /// A signature or a tag was looked at.
    Verify,
    /// An HMAC was made.
    Hmac,
    /// A CMAC was made.
    Cmac,
    /// A key was agreed on.
    DeriveKey,
}

impl Kind {
    /// How many there are.
    pub const COUNT: usize = 11;
    /// All of them, each at its index.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::Rewrap,
        Self::RewrapSame,
        Self::RewrapInto,
        Self::DataKey,
        Self::Sign,
        Self::Verify,
        Self::Hmac,
        Self::Cmac,
        Self::DeriveKey,
    ];

    /// Its name in records and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Rewrap => "rewrap",
            Self::RewrapSame => "rewrap_same",
            Self::RewrapInto => "rewrap_into",
            Self::DataKey => "datakey",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Hmac => "hmac",
            Self::Cmac => "cmac",
            Self::DeriveKey => "derive_key",
        }
    }

    /// It makes a ciphertext, under a nonce of its own.
    pub const fn seals(self) -> bool {
        matches!(self, Self::Encrypt | Self::RewrapInto | Self::DataKey)
    }

    /// Its place among counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_at_its_index() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }
}
