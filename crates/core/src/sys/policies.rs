//! `sys/policies/acl`, and its elder `sys/policy`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::System;
use crate::error::Error;
use crate::policies::fold;
use crate::ports::engine::Call;
use crate::reply::{self, Reply};

/// Longest name of a policy, bytes.
const MAX_NAME: usize = 2048;

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::string")]
    policy: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    rules: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    policy: &'a str,
}

#[derive(Serialize)]
struct ShownOld<'a> {
    name: &'a str,
    rules: &'a str,
}

#[derive(Serialize)]
struct Names<'a> {
    keys: &'a [String],
    policies: &'a [String],
}

impl System {
    pub(super) async fn policies_list(&self, prefix: &str) -> Result<Reply, Error> {
        let mut names = self.vault.policies.list().await?;
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() {
            names.retain(|name| {
                name.strip_prefix(prefix)
                    .is_some_and(|r| r.starts_with('/'))
            });
        }
        reply::keys(names)
    }

    pub(super) async fn policies_list_old(&self) -> Result<Reply, Error> {
        let names = self.vault.policies.list().await?;
        Reply::injected(&Names {
            keys: &names,
            policies: &names,
        })
    }

    pub(super) async fn policy_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = self.policy_name(call).await?;
        let record = self
            .vault
            .policies
            .read(&name)
            .await?
            .ok_or(Error::NotFound)?;
        Reply::data(&Shown {
            name: &name,
            policy: &record.text,
        })
    }

    pub(super) async fn policy_read_old(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = self.policy_name(call).await?;
        let record = self
            .vault
            .policies
            .read(&name)
            .await?
            .ok_or(Error::NotFound)?;
        Reply::injected(&ShownOld {
            name: &name,
            rules: &record.text,
        })
    }

    pub(super) async fn policy_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let given = call.param("name");
        let name = self.policy_name(call).await?;
        let asked = call.decode::<Write>()?;
        let mut warnings = Vec::new();
        let given_text = |text: Option<String>| text.filter(|t| !t.is_empty());
        let text = match (given_text(asked.policy), given_text(asked.rules)) {
            (Some(text), _) => text,
            (None, Some(text)) => {
                warnings.push("'rules' is deprecated, please use 'policy' instead".to_owned());
                text
            }
            (None, None) => {
                return Err(Error::bad("'policy' parameter not supplied or empty"));
            }
        };
        if name != given {
            warnings.push("policy name was converted to lower case".to_owned());
        }
        warnings.extend(self.vault.policies.write(&name, &plain(text)).await?);
        Ok(Reply {
            warnings,
            ..Reply::none()
        })
    }

    pub(super) async fn policy_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = self.policy_name(call).await?;
        self.vault.policies.delete(&name).await?;
        Ok(Reply::none())
    }

    /// The policy that a call means, which the caller's own policies have to permit by that name.
    async fn policy_name(&self, call: &Call<'_>) -> Result<String, Error> {
        let given = call.param("name");
        let name = fold(given);
        if name.is_empty() {
            return Err(Error::bad("'name' parameter not supplied or empty"));
        }
        if name.len() > MAX_NAME {
            return Err(Error::bad(format!(
                "the name is longer than {MAX_NAME} bytes"
            )));
        }
        let folder = call.full_path.strip_suffix(given).unwrap_or_default();
        self.permit_meant(call, &format!("{folder}{name}")).await?;
        Ok(name)
    }
}

/// A policy may come in base64.
fn plain(text: String) -> String {
    let decoded = STANDARD
        .decode(&text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or(text)
}
