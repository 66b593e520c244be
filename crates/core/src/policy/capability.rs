//! What a rule can allow, and what a request can ask for.

/// A right on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Capability {
    /// Write what is not there.
    Create = 1,
    /// Delete.
    Delete = 1 << 1,
    /// Nothing at all, whatever else is granted.
    Deny = 1 << 2,
    /// List.
    List = 1 << 3,
    /// Change parts.
    Patch = 1 << 4,
    /// Read.
    Read = 1 << 5,
    /// List with everything below.
    Scan = 1 << 6,
    /// Use paths that are protected beyond that.
    Sudo = 1 << 7,
    /// Write what is there.
    Update = 1 << 8,
}

/// What a request does to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Write what is not there.
    Create,
    /// Read.
    Read,
    /// Write what is there.
    Update,
    /// Delete.
    Delete,
    /// List.
    List,
    /// Change parts.
    Patch,
    /// List with everything below.
    Scan,
}

/// A set of capabilities. Holds `deny` or others, never both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

impl Capability {
    /// All of them, in the order of their words.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Delete,
        Self::Deny,
        Self::List,
        Self::Patch,
        Self::Read,
        Self::Scan,
        Self::Sudo,
        Self::Update,
    ];

    /// Its word in policies and answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Deny => "deny",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Scan => "scan",
            Self::Sudo => "sudo",
            Self::Update => "update",
        }
    }

    /// The one with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.word() == word)
    }
}

impl Operation {
    /// All of them, in the order of their words.
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::Delete,
        Self::List,
        Self::Patch,
        Self::Read,
        Self::Scan,
        Self::Update,
    ];

    /// The word for it, which is that of the capability.
    pub const fn word(self) -> &'static str {
        self.needs().word()
    }

    /// The one with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.word() == word)
    }

    /// The capability it needs.
    pub const fn needs(self) -> Capability {
        match self {
            Self::Create => Capability::Create,
            Self::Read => Capability::Read,
            Self::Update => Capability::Update,
            Self::Delete => Capability::Delete,
            Self::List => Capability::List,
            Self::Patch => Capability::Patch,
            Self::Scan => Capability::Scan,
        }
    }

    /// Asks for what is below a path, so that the slash at its end means nothing.
    pub const fn lists(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }
}

impl Capabilities {
    /// Whether it is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability as u16 != 0
    }

    /// Nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With one more. `deny` drives out all others and lets none in again.
    pub const fn with(self, capability: Capability) -> Self {
        self.union(Self(capability as u16))
    }

    /// Both together; `deny` in either leaves `deny` alone.
    pub const fn union(self, other: Self) -> Self {
        let both = Self(self.0 | other.0);
        if both.contains(Capability::Deny) {
            Self(Capability::Deny as u16)
        } else {
            both
        }
    }

    /// The words in order; `deny` when there is nothing.
    pub fn words(self) -> Vec<&'static str> {
        let held = |capability: &Capability| self.contains(*capability);
        let words: Vec<_> = Capability::ALL
            .into_iter()
            .filter(held)
            .map(Capability::word)
            .collect();
        if words.is_empty() {
            vec![Capability::Deny.word()]
        } else {
            words
        }
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_wins_in_any_order() {
        let read = Capabilities::default().with(Capability::Read);
        let denied = Capabilities::default().with(Capability::Deny);
        for set in [
            read.union(denied),
            denied.union(read),
            denied.with(Capability::Sudo),
        ] {
            assert_eq!(set.words(), ["deny"]);
            assert!(!set.contains(Capability::Read) && !set.contains(Capability::Sudo));
        }
    }

    #[test]
    fn words_are_sorted_and_read_back() {
        let all: Capabilities = Capability::ALL
            .into_iter()
            .filter(|c| *c != Capability::Deny)
            .collect();
        let words = all.words();
        assert!(words.is_sorted() && words.len() == 8);
        assert_eq!(Capability::from_word("sudo"), Some(Capability::Sudo));
        assert_eq!(Capability::from_word("Read"), None);
        assert_eq!(Capabilities::default().words(), ["deny"]);
    }
}
