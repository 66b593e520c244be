//! `sys/internal/ui/resultant-acl`: all that the caller's policies permit, for user interfaces.

use std::collections::BTreeMap;

use keyfold_api::Seconds;
use serde::Serialize;

use super::{Row, System};
use crate::error::Error;
use crate::policy::{Capability, Permissions, Table};
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::Op;

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    vec![Row::new(
        Op::Read,
        "internal/ui/resultant-acl",
        "What the caller's policies permit.",
        |s, c| Box::pin(s.resultant_acl(c)),
    )]
}

#[derive(Serialize)]
struct Resultant<'a> {
    root: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exact_paths: Option<BTreeMap<&'a str, Permitted<'a>>>,
    /// Without the `*` at their ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    glob_paths: Option<BTreeMap<&'a str, Permitted<'a>>>,
}

/// What a path permits.
#[derive(Serialize)]
pub(super) struct Permitted<'a> {
    capabilities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Table::is_empty")]
    allowed_parameters: &'a Table,
    #[serde(skip_serializing_if = "Table::is_empty")]
    denied_parameters: &'a Table,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    required_parameters: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    min_wrapping_ttl: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_wrapping_ttl: Option<i64>,
}

impl System {
    async fn resultant_acl(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let acl = self.vault.acl(call.caller.token()?).await?;
        let rules = !acl.is_root();
        let exact = acl
            .exact_rules()
            .map(|(path, rule)| (path, permitted(rule)));
        let prefixes = acl
            .prefix_rules()
            .map(|(path, rule)| (path, permitted(rule)));
        Reply::data(&Resultant {
            root: acl.is_root(),
            exact_paths: rules.then(|| exact.collect()),
            glob_paths: rules.then(|| prefixes.collect()),
        })
    }
}

pub(super) fn permitted(rule: &Permissions) -> Permitted<'_> {
    let seconds = |ttl: Option<Seconds>| ttl.map(|ttl| ttl.0);
    Permitted {
        capabilities: in_order(rule.capabilities.words()),
        allowed_parameters: &rule.params.allowed,
        denied_parameters: &rule.params.denied,
        required_parameters: &rule.params.required,
        min_wrapping_ttl: seconds(rule.min_wrapping_ttl),
        max_wrapping_ttl: seconds(rule.max_wrapping_ttl),
    }
}

/// The order that interfaces know: those that came later stand at the end.
fn in_order(mut words: Vec<&'static str>) -> Vec<&'static str> {
    let late = [Capability::Patch.word(), Capability::Scan.word()];
    words.sort_by_key(|word| {
        late.iter()
            .position(|late| late == word)
            .map_or(0, |at| at + 1)
    });
    words
}
