//! How far a walk went, as callers bring it back.

use crate::error::Error;

/// What is gone through, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Policies,
    Groups,
    Entities,
    TokenRoles,
    AuthRoles,
    Tokens,
}

/// A stage, and the record in it after which to go on; what that is called, the stage knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub stage: Stage,
    pub after: String,
}

impl Stage {
    const ALL: [Self; 6] = [
        Self::Policies,
        Self::Groups,
        Self::Entities,
        Self::TokenRoles,
        Self::AuthRoles,
        Self::Tokens,
    ];

    /// The one after it.
    pub(super) fn next(self) -> Option<Self> {
        let mut rest = Self::ALL.into_iter().skip_while(|stage| *stage != self);
        rest.nth(1)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Policies => "policies",
            Self::Groups => "groups",
            Self::Entities => "entities",
            Self::TokenRoles => "token-roles",
            Self::AuthRoles => "auth-roles",
            Self::Tokens => "tokens",
        }
    }
}

impl Place {
    /// The first record of a stage.
    pub(super) fn start(stage: Stage) -> Self {
        let after = String::new();
        Self { stage, after }
    }

    /// Reads `next` of an answer; of nothing, the first place.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::start(Stage::Policies));
        }
        let place = text.split_once(':').and_then(|(word, after)| {
            let stage = Stage::ALL.into_iter().find(|stage| stage.word() == word)?;
            let after = after.to_owned();
            Some(Self { stage, after })
        });
        place.ok_or_else(|| Error::field("after", "has to be 'next' of an answer"))
    }

    /// As `next` says it.
    pub(super) fn write(&self) -> String {
        format!("{}:{}", self.stage.word(), self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back_and_stages_end() {
        let mut stage = Some(Stage::Policies);
        let mut count = 0;
        while let Some(here) = stage {
            let after = "a:b/c".to_owned();
            let place = Place { stage: here, after };
            assert_eq!(Place::read(&place.write()).unwrap(), place);
            stage = here.next();
            count += 1;
        }
        assert_eq!(count, Stage::ALL.len());
        assert!(Place::read("nowhere:").is_err() && Place::read("tokens").is_err());
    }
}
