//! `sys/internal/who-can`: who reaches a path. Policies that permit it, and live tokens whose
//! policies together do.
//!
//! All policies and then all tokens are gone through, a bounded number of records in one answer;
//! `next` says where another call goes on. Batch tokens leave no record and are not found.

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::explain::{Asked, Wanted};
use super::{Row, System};
use crate::error::Error;
use crate::policy::Acl;
use crate::ports::engine::{Access, Call};
use crate::reply::Reply;
use crate::request::Op;
use crate::tokens::Token;

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
    tokens: Vec<Holder>,
    /// Where to go on; empty when all was looked at.
    next: String,
}

#[derive(Serialize)]
struct Holder {
    accessor: String,
    display_name: String,
    policies: Vec<String>,
    /// Absent for a token that does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
}

/// How far it went.
enum Place {
    Policies(String),
    Tokens(String),
}

impl System {
    async fn who_can(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (wanted, page) = call.decode_both::<Wanted, Page>()?;
        let asked = wanted.asked()?;
        let demand = self.demand(&asked);
        let mut reaching = Reaching {
            anybody: matches!(demand, Some(Access::Open | Access::Door)),
            ..Reaching::default()
        };
        let limit = page.limit.and_then(|limit| usize::try_from(limit).ok());
        let mut left = match limit.unwrap_or(LOOKED_AT) {
            0 => LOOKED_AT,
            limit => limit.min(LOOKED_AT),
        };
        let mut place = Some(Place::read(&page.after.unwrap_or_default())?);
        while let Some(here) = &place
            && left > 0
        {
            place = match here {
                Place::Policies(after) => {
                    let search = (&asked, demand);
                    self.policies_that(search, after, &mut left, &mut reaching)
                        .await?
                }
                Place::Tokens(after) => {
                    let search = (&asked, demand);
                    self.tokens_that(search, after, &mut left, &mut reaching)
                        .await?
                }
            };
        }
        reaching.next = place.map_or_else(String::new, |place| place.write());
        Reply::data(&reaching)
    }

    async fn policies_that(
        &self,
        (asked, demand): (&Asked, Option<Access>),
        after: &str,
        left: &mut usize,
        reaching: &mut Reaching,
    ) -> Result<Option<Place>, Error> {
        if after.is_empty() {
            reaching.policies.push("root".to_owned());
        }
        let (names, more) = self.vault.policies.page(after, *left).await?;
        *left = left.saturating_sub(names.len().max(1));
        let last = names.last().filter(|_| more).cloned();
        for name in names {
            let policy = self.vault.policies.parsed(std::slice::from_ref(&name));
            let acl = Acl::new(&policy.await?, self.vault.clock.now());
            if asked.permitted(&acl, demand).is_ok() {
                reaching.policies.push(name);
            }
        }
        Ok(Some(last.map_or_else(
            || Place::Tokens(String::new()),
            Place::Policies,
        )))
    }

    async fn tokens_that(
        &self,
        (asked, demand): (&Asked, Option<Access>),
        after: &str,
        left: &mut usize,
        reaching: &mut Reaching,
    ) -> Result<Option<Place>, Error> {
        let (tokens, next) = self.vault.tokens.page(after, *left).await?;
        *left = 0;
        for token in tokens {
            let acl = self.vault.acl(&token).await?;
            if asked.permitted(&acl, demand).is_ok() {
                reaching.tokens.push(Holder::of(token));
            }
        }
        Ok(next.map(Place::Tokens))
    }
}

impl Holder {
    fn of(token: Token) -> Self {
        Self {
            accessor: token.accessor.into(),
            display_name: token.display_name.into(),
            policies: token.policies.into(),
            expire_time: token.expires.map(crate::clock::Time::rfc3339),
        }
    }
}

impl Place {
    fn read(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::Policies(String::new()));
        }
        match text.split_once(':') {
            Some(("policies", name)) => Ok(Self::Policies(name.to_owned())),
            Some(("tokens", name)) => Ok(Self::Tokens(name.to_owned())),
            _ => Err(Error::field("after", "has to be 'next' of an answer")),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Policies(name) => format!("policies:{name}"),
            Self::Tokens(name) => format!("tokens:{name}"),
        }
    }
}
