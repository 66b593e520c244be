//! The names that `token_policies`, `token_ttl` and their like had before: `policies`, `ttl`, … They
//! are still taken, and shown where they were the ones that were given.

use std::collections::BTreeSet;

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::policies;
use keyfold_core::ports::engine::Call;
use keyfold_core::request::Body;
use keyfold_core::tokens::{TokenMembers, TokenParams, parse_cidrs, show_cidrs};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What a body says of a role's or a user's tokens, under names of both kinds.
pub struct GrantMembers {
    former: FormerMembers,
    token: TokenMembers,
}

impl GrantMembers {
    /// Reads them from a body, beside the members that the method has of its own.
    pub fn decode<T: DeserializeOwned>(call: &Call<'_>) -> Result<(T, Self), Error> {
        let own = call.body.decode::<T>()?;
        let former = call.body.decode::<FormerMembers>()?;
        let token = call.body.decode::<TokenMembers>()?;
        let unknown = own.unknown.into_iter();
        let unknown = unknown.filter(|n| former.unknown.contains(n) && token.unknown.contains(n));
        call.note_unknown(unknown.collect());
        let (former, token) = (former.value, token.value);
        Ok((own.value, Self { former, token }))
    }

    /// Reads from a body only which policies to grant.
    pub fn policies(call: &Call<'_>) -> Result<Self, Error> {
        #[derive(Serialize, Deserialize, Default)]
        #[serde(default)]
        struct Policies {
            #[serde(skip_serializing_if = "Option::is_none")]
            policies: Option<Box<RawValue>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            token_policies: Option<Box<RawValue>>,
        }
        let only = Body::new(json(&call.decode::<Policies>()?)?);
        Ok(Self {
            former: only.decode()?.value,
            token: only.decode()?.value,
        })
    }

    /// The parameters with these members put in, checked as a whole.
    pub fn apply(self, old: &TokenParams, shown: &mut Shown) -> Result<TokenParams, Error> {
        let mut params = old.clone();
        self.former.apply(&mut params, shown)?;
        self.token.apply(&params)
    }
}

/// The former names in a body, and whether their successors came with them: those count.
#[derive(Deserialize, Default)]
#[serde(default)]
struct FormerMembers {
    #[serde(deserialize_with = "weak::list")]
    bound_cidrs: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::duration")]
    max_ttl: Option<Seconds>,
    #[serde(deserialize_with = "weak::list")]
    policies: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::duration")]
    ttl: Option<Seconds>,
    token_bound_cidrs: Option<IgnoredAny>,
    token_max_ttl: Option<IgnoredAny>,
    token_policies: Option<IgnoredAny>,
    token_ttl: Option<IgnoredAny>,
}

/// A member that was given under its former name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Former {
    /// `bound_cidrs`
    BoundCidrs,
    /// `max_ttl`
    MaxTtl,
    /// `policies`
    Policies,
    /// `ttl`
    Ttl,
}

/// Which members are shown under their former name too.
pub type Shown = BTreeSet<Former>;

impl FormerMembers {
    /// Puts the members into the parameters that the successors are applied to afterwards.
    fn apply(self, params: &mut TokenParams, shown: &mut Shown) -> Result<(), Error> {
        let mut note = |member, given: bool, replaced: bool| {
            if given {
                shown.insert(member);
            } else if replaced {
                shown.remove(&member);
            }
        };
        note(
            Former::BoundCidrs,
            self.bound_cidrs.is_some(),
            self.token_bound_cidrs.is_some(),
        );
        note(
            Former::MaxTtl,
            self.max_ttl.is_some(),
            self.token_max_ttl.is_some(),
        );
        note(
            Former::Policies,
            self.policies.is_some(),
            self.token_policies.is_some(),
        );
        note(Former::Ttl, self.ttl.is_some(), self.token_ttl.is_some());
        if let Some(cidrs) = self.bound_cidrs {
            params.bound_cidrs = parse_cidrs("bound_cidrs", &cidrs)?;
        }
        if let Some(names) = self.policies {
            params.policies = policies::names(names);
        }
        if let Some(seconds) = self.max_ttl {
            params.max_ttl = whole("max_ttl", seconds)?;
        }
        if let Some(seconds) = self.ttl {
            params.ttl = whole("ttl", seconds)?;
        }
        Ok(())
    }
}

/// Seconds that can't be negative.
pub fn whole(field: &str, seconds: Seconds) -> Result<u64, Error> {
    u64::try_from(seconds.0).map_err(|_| Error::field(field, "cannot be negative"))
}

/// The members under their former names, as a role or a user shows them.
#[derive(Serialize)]
pub struct FormerView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_cidrs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

impl<'a> FormerView<'a> {
    /// Of these parameters; what is empty or zero is left out.
    pub fn new(params: &'a TokenParams, shown: &Shown) -> Self {
        let seconds = |member, value: u64| (shown.contains(&member) && value > 0).then_some(value);
        Self {
            bound_cidrs: (shown.contains(&Former::BoundCidrs) && !params.bound_cidrs.is_empty())
                .then(|| show_cidrs(&params.bound_cidrs)),
            max_ttl: seconds(Former::MaxTtl, params.max_ttl),
            policies: (shown.contains(&Former::Policies) && !params.policies.is_empty())
                .then_some(&*params.policies),
            ttl: seconds(Former::Ttl, params.ttl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn apply(body: Value, params: &mut TokenParams, shown: &mut Shown) -> Value {
        let members: FormerMembers = serde_json::from_value(body).unwrap();
        members.apply(params, shown).unwrap();
        serde_json::to_value(FormerView::new(params, shown)).unwrap()
    }

    #[test]
    fn former_names_are_shown_until_their_successors_come() {
        let (mut params, mut shown) = (TokenParams::default(), Shown::new());
        let body = json!({"policies": "B, a", "ttl": "5m"});
        assert_eq!(
            apply(body, &mut params, &mut shown),
            json!({"policies": ["a", "b"], "ttl": 300})
        );
        assert_eq!(params.ttl, 300);
        let body = json!({"token_policies": "x", "max_ttl": 600});
        assert_eq!(
            apply(body, &mut params, &mut shown),
            json!({"max_ttl": 600, "ttl": 300})
        );
        assert_eq!(
            apply(json!({"ttl": 0}), &mut params, &mut shown),
            json!({"max_ttl": 600})
        );
    }
}
