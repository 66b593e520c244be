//! `sys/internal/explain`: which rule of which policy decides about a request, and how.

use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::resultant::{Permitted, permitted};
use super::{Row, System};
use crate::error::Error;
use crate::pipeline::{Demand, Question, Refusal, demand};
use crate::policies;
use crate::policy::{Acl, Denial, Operation, ParamSource, Said};
use crate::ports::engine::{Access, Call};
use crate::reply::Reply;
use crate::request::{Op, without_empty_segments};

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    vec![Row::new(
        Op::Write,
        "internal/explain",
        "Which rule of which policy decides about a request.",
        |s, c| Box::pin(s.explain(c)),
    )]
}

/// Whose policies: one of the three, or the caller's.
#[derive(Deserialize)]
struct Whose {
    #[serde(default, deserialize_with = "weak::secret_string")]
    token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "weak::string")]
    accessor: Option<String>,
    #[serde(default, deserialize_with = "weak::list")]
    policies: Option<Vec<String>>,
}

/// A request that might be made.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default, deserialize_with = "weak::string")]
    path: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    operation: Option<String>,
    /// The members of its body.
    #[serde(default, deserialize_with = "weak::object")]
    parameters: Option<Map<String, Value>>,
}

#[derive(Serialize)]
struct Explained<'a> {
    path: &'a str,
    operation: &'static str,
    allowed: bool,
    reason: &'static str,
    /// The policies that were looked at.
    policies: &'a [String],
    /// Names that no policy has.
    missing_policies: Vec<String>,
    /// The rule that decides.
    rule: Option<Rule<'a>>,
    /// Those that are about the path too, but less specific.
    overruled: Vec<Rule<'a>>,
}

#[derive(Serialize)]
struct Rule<'a> {
    path: String,
    #[serde(flatten)]
    permitted: Permitted<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination_limit: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    list_scan_response_keys_filter_path: Vec<&'a str>,
    sources: Vec<Source<'a>>,
}

#[derive(Serialize)]
struct Source<'a> {
    policy: &'a str,
    line: u32,
    capabilities: Vec<&'static str>,
}

impl System {
    async fn explain(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (whose, wanted) = call.decode_both::<Whose, Wanted>()?;
        let asked = wanted.asked()?;
        let given = |set: bool| usize::from(set);
        let named = given(whose.token.is_some())
            + given(whose.accessor.is_some())
            + given(whose.policies.is_some());
        if named > 1 {
            return Err(Error::bad(
                "one of 'token', 'accessor' and 'policies' says whose policies are meant, not more",
            ));
        }
        let (acl, names) = if let Some(names) = whose.policies {
            let names = policies::names(names);
            (self.vault.policies.acl(&names).await?, names)
        } else {
            let token = if let Some(text) = &whose.token {
                let found = self.vault.tokens.find(text.expose(), call.now).await?;
                found.ok_or_else(|| Error::field("token", "no such token"))?
            } else if let Some(accessor) = &whose.accessor {
                let found = self.vault.tokens.by_accessor(accessor).await?;
                found.ok_or_else(|| Error::field("accessor", "no such accessor"))?
            } else {
                call.caller.token()?.clone()
            };
            (self.vault.acl(&token).await?, token.policies.to_vec())
        };
        let demand = self.demand(&asked);
        let (allowed, reason) = asked.verdict(&acl, &demand);
        let (path, operation) = (asked.path.as_str(), asked.operation);
        let known = acl.policies();
        Reply::data(&Explained {
            path,
            operation: operation.word(),
            allowed,
            reason,
            policies: known,
            missing_policies: names.into_iter().filter(|n| !known.contains(n)).collect(),
            rule: acl.deciding(path, operation).map(shown),
            overruled: acl
                .overruled(path, operation)
                .into_iter()
                .map(shown)
                .collect(),
        })
    }

    /// What is demanded for a request besides its capability.
    pub(super) fn demand(&self, asked: &Asked) -> Demand {
        let op = match asked.operation {
            Operation::Create | Operation::Update => Op::Write,
            Operation::Read => Op::Read,
            Operation::Delete => Op::Delete,
            Operation::Patch => Op::Patch,
            Operation::List => Op::List,
            Operation::Scan => Op::Scan,
        };
        demand(&self.core, &self.vault, op, &asked.path)
    }
}

/// A request that might be made, checked.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) operation: Operation,
    parameters: Map<String, Value>,
}

impl Wanted {
    pub(super) fn asked(self) -> Result<Asked, Error> {
        let path = without_empty_segments(self.path.unwrap_or_default());
        if path.is_empty() {
            return Err(Error::field("path", "missing"));
        }
        let word = self.operation.unwrap_or_default();
        let operation = Operation::from_word(&word).ok_or_else(|| {
            let words = Operation::ALL.map(Operation::word).join(", ");
            Error::field("operation", format!("has to be one of {words}"))
        })?;
        Ok(Asked {
            path,
            operation,
            parameters: self.parameters.unwrap_or_default(),
        })
    }
}

impl ParamSource for Map<String, Value> {
    fn params(&self) -> Option<Map<String, Value>> {
        Some(self.clone())
    }
}

impl Asked {
    /// Whether a set of policies permits it where that is demanded.
    pub(super) fn permitted(&self, acl: &Acl, demand: &Demand) -> Result<(), Refusal> {
        let question = Question {
            path: &self.path,
            operation: self.operation,
            sudo: demand.access == Some(Access::Sudo),
            params: &self.parameters,
            meant: demand.meant.as_ref(),
        };
        question.put_to(acl).map(|_| ())
    }

    fn verdict(&self, acl: &Acl, demand: &Demand) -> (bool, &'static str) {
        if matches!(demand.access, Some(Access::Open | Access::Door)) {
            return (true, "the path takes no token, so policies have no say");
        }
        let reason = match self.permitted(acl, demand) {
            Ok(()) if acl.is_root() => return (true, "the policy root permits everything"),
            Ok(()) => return (true, "the rule grants it"),
            Err(Refusal::Rule(Denial::NoRule)) => "no rule is about the path",
            Err(Refusal::Rule(Denial::Deny)) => "the rule denies",
            Err(Refusal::Rule(Denial::Capability)) => "the rule is without the capability",
            Err(Refusal::Rule(Denial::Parameters)) => "the rule refuses the parameters",
            Err(Refusal::Sudo) => "the path demands sudo, which the rule is without",
            Err(Refusal::Twin) => "the rule grants it, but another denies the path's other name",
            Err(Refusal::Meant(_)) => {
                "the rule grants it, but another refuses the path that is meant by it"
            }
        };
        (false, reason)
    }
}

fn shown(said: Said<'_>) -> Rule<'_> {
    let filters = said.permissions.keys_filters.iter();
    let sources = said.sources.into_iter().map(|origin| Source {
        policy: origin.policy,
        line: origin.line,
        capabilities: origin.capabilities,
    });
    Rule {
        path: said.path,
        permitted: permitted(said.permissions),
        pagination_limit: said.permissions.pagination_limit,
        list_scan_response_keys_filter_path: filters.map(|filter| filter.text()).collect(),
        sources: sources.collect(),
    }
}
