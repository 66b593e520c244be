//! `sys/policies/password`: password policies, and passwords made by them.

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::policies::plain;
use super::{Row, System};
use crate::error::{Error, UnsupportedReason};
use crate::ports::engine::Call;
use crate::reply::{self, Reply};
use crate::request::Op;

/// At the end of a policy's path: a password instead of the policy.
const GENERATE: &str = "/generate";

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            Op::List,
            "policies/password",
            "Lists the password policies.",
            |s, _| Box::pin(s.password_policies()),
        ),
        Row::new(
            Op::List,
            "policies/password/",
            "Lists the password policies.",
            |s, _| Box::pin(s.password_policies()),
        ),
        Row::new(
            Op::Read,
            "policies/password/{name...}",
            "Reads a password policy, or makes a password by it.",
            |s, c| Box::pin(s.password_policy_read(c)),
        ),
        Row::new(
            Op::Write,
            "policies/password/{name...}",
            "Writes a password policy.",
            |s, c| Box::pin(s.password_policy_write(c)),
        ),
        Row::new(
            Op::Delete,
            "policies/password/{name...}",
            "Removes a password policy.",
            |s, c| Box::pin(s.password_policy_delete(c)),
        ),
    ]
}

#[derive(Deserialize)]
struct Written {
    #[serde(default, deserialize_with = "weak::string")]
    policy: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    policy: String,
}

#[derive(Serialize)]
struct Generated<'a> {
    password: &'a str,
}

impl System {
    async fn password_policies(&self) -> Result<Reply, Error> {
        reply::keys(self.vault.passwords.list().await?)
    }

    async fn password_policy_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let missing = || {
            Error::NotFoundBecause("1 error occurred:\n\t* policy does not exist\n\n".to_owned())
        };
        let path = call.param("name");
        if path.is_empty() {
            return Err(Error::Unsupported(UnsupportedReason::Operation));
        }
        if let Some(name) = path.strip_suffix(GENERATE) {
            let recipe = self.vault.passwords.recipe(name).await?;
            let password = recipe.ok_or_else(missing)?.password();
            return Reply::data(&Generated {
                password: password.expose(),
            });
        }
        let policy = self.vault.passwords.read(path).await?;
        let policy = policy.ok_or_else(missing)?;
        Reply::data(&Shown { policy })
    }

    async fn password_policy_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = name(call)?;
        let text = call.decode::<Written>()?.policy;
        let text = text.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Error::bad("1 error occurred:\n\t* missing policy\n\n"))?;
        self.vault.passwords.write(name, &plain(text)).await?;
        Ok(Reply::none())
    }

    async fn password_policy_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.vault.passwords.delete(name(call)?).await?;
        Ok(Reply::none())
    }
}

/// The policy that is written or removed; what makes passwords can be neither.
fn name<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    match call.param("name") {
        "" => Err(Error::Unsupported(UnsupportedReason::Operation)),
        path if path.ends_with(GENERATE) => Err(Error::Unsupported(UnsupportedReason::Operation)),
        path => Ok(path),
    }
}
