//! `sys/internal/who-can`: who reaches a path.
//!
//! ```text
//!   policies ─► groups ─► entities ─► roles of tokens ─► roles of auth methods ─► tokens
//! ```
//!
//! All of them are gone through in this order, a bounded number of records in one answer; `next`
//! says where another call goes on. Batch tokens leave no record and are not found.

mod holders;
mod place;
mod roles;

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use self::place::{Place, Stage};
use super::explain::{Asked, Wanted};
use super::{Row, System};
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::pipeline::Demand;
use crate::policy::Acl;
use crate::ports::engine::{Access, Call};
use crate::reply::Reply;
use crate::request::Op;

/// Records that one answer looks at, unless the caller asks for less.
const LOOKED_AT: usize = 1000;

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            Op::Write,
            "internal/who-can",
            "Who reaches a path.",
            |s, c| Box::pin(s.who_can(c)),
        )
        .sudo(),
    ]
}

#[derive(Deserialize)]
struct Page {
    /// `next` of the answer before.
    #[serde(default, deserialize_with = "weak::string")]
    after: Option<String>,
    /// Records to look at.
    #[serde(default, deserialize_with = "weak::uint")]
    limit: Option<u64>,
}

#[derive(Default, Serialize)]
struct Reaching {
    /// The path needs no token at all.
    anybody: bool,
    /// Policies that permit it by themselves.
    policies: Vec<String>,
    /// Groups whose policies do.
    groups: Vec<Known>,
    /// Entities who may by their own policies and those of their groups, whatever they log in by.
    entities: Vec<Known>,
    /// Token roles that give policies which do.
    token_roles: Vec<String>,
    /// Roles and users of auth methods whose policies do.
    auth_roles: Vec<LoginRole>,
    /// By their own policies and their entity's.
    tokens: Vec<Holder>,
    /// Where to go on; empty when all was looked at.
    next: String,
}

/// An entity or a group.
#[derive(Serialize)]
struct Known {
    id: String,
    name: String,
    policies: Vec<String>,
}

#[derive(Serialize)]
struct LoginRole {
    /// The path of the auth method.
    mount: String,
    name: String,
    policies: Vec<String>,
}

#[derive(Serialize)]
struct Holder {
    accessor: String,
    display_name: String,
    policies: Vec<String>,
    /// Absent for a token of nobody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<String>,
    /// Absent for a token that does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
}

/// A walk through those who may.
struct Search<'a> {
    vault: &'a Unsealed,
    asked: &'a Asked,
    demand: Demand,
    /// Records that may still be looked at.
    left: usize,
    found: Reaching,
}

impl System {
    async fn who_can(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (wanted, page) = call.decode_both::<Wanted, Page>()?;
        let asked = wanted.asked()?;
        let demand = self.demand(&asked);
        let anybody = matches!(demand.access, Some(Access::Open | Access::Door));
        let limit = page.limit.and_then(|limit| usize::try_from(limit).ok());
        let mut search = Search {
            vault: &self.vault,
            asked: &asked,
            demand,
            left: match limit.unwrap_or(LOOKED_AT) {
                0 => LOOKED_AT,
                limit => limit.min(LOOKED_AT),
            },
            found: Reaching {
                anybody,
                ..Reaching::default()
            },
        };
        let mut place = Some(Place::read(&page.after.unwrap_or_default())?);
        while let Some(here) = &place
            && search.left > 0
        {
            place = search.go(here).await?;
        }
        search.found.next = place.map_or_else(String::new, |place| place.write());
        Reply::data(&search.found)
    }
}

impl Search<'_> {
    /// Looks at records from a place on; the place to go on at.
    async fn go(&mut self, from: &Place) -> Result<Option<Place>, Error> {
        let after = from.after.as_str();
        let rest = match from.stage {
            Stage::Policies => self.policies(after).await?,
            Stage::Groups => self.groups(after).await?,
            Stage::Entities => self.entities(after).await?,
            Stage::TokenRoles => self.token_roles(after).await?,
            Stage::AuthRoles => self.auth_roles(after).await?,
            Stage::Tokens => self.tokens(after).await?,
        };
        Ok(match rest {
            Some(after) => Some(Place {
                stage: from.stage,
                after,
            }),
            None => from.stage.next().map(Place::start),
        })
    }

    /// Records were looked at. A look that finds none counts too, so that each has an end.
    fn spend(&mut self, looked_at: usize) {
        self.left = self.left.saturating_sub(looked_at.max(1));
    }

    fn permits(&self, acl: &Acl) -> bool {
        self.asked.permitted(acl, &self.demand).is_ok()
    }

    /// Whether policies that somebody has together permit it.
    async fn together(&self, names: &[String]) -> Result<bool, Error> {
        let policies = self.vault.policies.parsed(names).await?;
        Ok(self.permits(&Acl::new(&policies, self.vault.clock.now())))
    }
}
