//! Who takes a step.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use serde::{Deserialize, Serialize};

use super::super::Transit;

/// Whoever called, as far as one can be told from another: by the entity, and by the hash of the
/// token's accessor that the census has, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Actor {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
}

impl Actor {
    /// The caller of a request.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for one who is nobody in particular: a batch token without entity.
    pub fn of(transit: &Transit, call: &Call<'_>) -> Result<Self, Error> {
        let token = call.caller.token.as_ref();
        let standing = call.caller.identity.as_ref();
        let entity = standing
            .map(|standing| standing.entity.id.clone())
            .or_else(|| token.and_then(|token| token.entity.as_deref().map(str::to_owned)));
        let accessor = token.map(|token| &*token.accessor);
        let accessor = accessor.filter(|accessor| !accessor.is_empty());
        let actor = Self {
            entity,
            caller: accessor.map(|accessor| transit.census.caller(call, accessor)),
        };
        match actor {
            Self {
                entity: None,
                caller: None,
            } => Err(Error::bad(
                "who shreds a key has to be somebody: the token has neither an accessor nor an entity",
            )),
            actor => Ok(actor),
        }
    }

    /// It is known that this is another one: of two entities, or, where one of them has none, by two
    /// accessors. Two tokens in one hand are for the policies to keep apart.
    pub fn is_another(&self, other: &Self) -> bool {
        let differ = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => Some(one != other),
            _ => None,
        };
        differ(&self.entity, &other.entity)
            .or_else(|| differ(&self.caller, &other.caller))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(entity: &str, caller: &str) -> Actor {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Actor {
            entity: some(entity),
            caller: some(caller),
        }
    }

    #[test]
    fn one_is_another_only_where_that_is_known() {
        for (one, other, is) in [
            (actor("e", "1"), actor("f", "2"), true),
            (actor("e", "1"), actor("e", "2"), false),
            (actor("", "1"), actor("", "2"), true),
            (actor("", "1"), actor("", "1"), false),
            (actor("e", "1"), actor("", "2"), true),
            (actor("e", "1"), actor("", "1"), false),
            // Of a batch token there is the entity only.
            (actor("e", ""), actor("", "2"), false),
            (actor("e", ""), actor("f", ""), true),
            (actor("e", ""), actor("e", "2"), false),
        ] {
            assert_eq!(one.is_another(&other), is, "{one:?} {other:?}");
            assert_eq!(other.is_another(&one), is, "{other:?} {one:?}");
        }
    }
}
