//! `sys/capabilities`, `sys/capabilities-self` and `sys/capabilities-accessor`: what a token may do
//! to some paths.

use std::collections::BTreeMap;

use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::Deserialize;

use super::{Row, System};
use crate::error::Error;
use crate::pipeline::{Question, Refusal, demand};
use crate::policy::{Acl, Capability, Denial, NoParams, Operation};
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::{Op, without_empty_segments};
use crate::tokens::Token;

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(Op::Write, "capabilities", "What a token may do.", |s, c| {
            Box::pin(s.capabilities(c))
        }),
        Row::new(
            Op::Write,
            "capabilities-self",
            "What the caller may do.",
            |s, c| Box::pin(s.capabilities_self(c)),
        ),
        Row::new(
            Op::Write,
            "capabilities-accessor",
            "What an accessor's token may do.",
            |s, c| Box::pin(s.capabilities_accessor(c)),
        ),
    ]
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default, deserialize_with = "weak::list")]
    paths: Option<Vec<String>>,
    /// An old name of `paths`.
    #[serde(default, deserialize_with = "weak::list")]
    path: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::secret_string")]
    token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "weak::string")]
    accessor: Option<String>,
}

impl System {
    async fn capabilities(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Asked>()?;
        let text = asked
            .token
            .as_ref()
            .filter(|text| !text.expose().is_empty());
        let text = text.ok_or_else(|| Error::bad("missing token"))?;
        let token = self.vault.tokens.find(text.expose(), call.now).await?;
        let token = token.ok_or_else(|| several("invalid token"))?;
        self.told(&token, &asked).await
    }

    async fn capabilities_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Asked>()?;
        self.told(call.caller.token()?, &asked).await
    }

    async fn capabilities_accessor(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Asked>()?;
        let accessor = asked.accessor.as_ref().filter(|text| !text.is_empty());
        let accessor = accessor.ok_or_else(|| Error::bad("missing accessor"))?;
        let token = self.vault.tokens.by_accessor(accessor).await?;
        let token = token.ok_or_else(|| several("invalid accessor"))?;
        self.told(&token, &asked).await
    }

    async fn told(&self, token: &Token, asked: &Asked) -> Result<Reply, Error> {
        let given =
            |paths: &'_ Option<Vec<String>>| paths.clone().filter(|paths| !paths.is_empty());
        let paths = given(&asked.paths).or_else(|| given(&asked.path));
        let paths = paths.ok_or_else(|| Error::bad("paths must be supplied"))?;
        if paths.iter().any(String::is_empty) {
            return Err(several("missing path"));
        }
        let acl = self.vault.acl(token).await?;
        let mut told: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
        for path in &paths {
            told.insert(path, self.granted(&acl, path));
        }
        if let [only] = paths.as_slice() {
            told.insert("capabilities", self.granted(&acl, only));
        }
        Reply::injected(&told)
    }

    /// The words of the rule that decides, without those which a rule for another name of the path
    /// makes void. What parameters are demanded besides is not asked.
    fn granted(&self, acl: &Acl, path: &str) -> Vec<&'static str> {
        let path = without_empty_segments(path.to_owned());
        let meant = demand(&self.core, &self.vault, Op::Read, &path).meant;
        let holds = |word: &&'static str| {
            let Some(operation) = Operation::from_word(word) else {
                return true;
            };
            let question = Question {
                path: &path,
                operation,
                sudo: false,
                params: &NoParams,
                meant: meant.as_ref(),
            };
            let answer = question.put_to(acl);
            let lacking = |denial: Denial| denial != Denial::Parameters;
            !answer.is_err_and(|refusal| match refusal {
                Refusal::Rule(denial) | Refusal::Meant(denial) => lacking(denial),
                Refusal::Sudo | Refusal::Twin => true,
            })
        };
        let mut words = acl.capabilities(&path);
        let before = words.len();
        words.retain(holds);
        let operates = |word: &&str| Operation::from_word(word).is_some();
        match words.len() < before && !words.iter().any(operates) {
            true => vec![Capability::Deny.word()],
            false => words,
        }
    }
}

/// A mistake in the wording that clients know for it.
fn several(what: &str) -> Error {
    Error::bad(format!("1 error occurred:\n\t* {what}\n\n"))
}
