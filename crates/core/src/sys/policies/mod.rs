//! `sys/policies/acl`, and its elder `sys/policy`.

mod shown;
mod unserved;
mod write;

use self::shown::{Shown, Text};
pub(super) use self::write::plain;
use super::{Row, System};
use crate::error::Error;
use crate::policies::fold;
use crate::ports::engine::Call;
use crate::reply::{self, Reply};
use crate::request::Op;

/// Longest name of a policy, bytes.
const MAX_NAME: usize = 2048;

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(Op::List, "policies/acl", "Lists the policies.", |s, _| {
            Box::pin(s.policies_list(""))
        }),
        Row::new(
            Op::List,
            "policies/acl/{prefix...}",
            "Lists some policies.",
            |s, c| Box::pin(s.policies_list(c.param("prefix"))),
        ),
        Row::new(
            Op::Read,
            "policies/acl/{name...}",
            "Reads a policy.",
            |s, c| Box::pin(s.policy_read(c, Text::Policy)),
        ),
        Row::new(
            Op::Write,
            "policies/acl/{name...}",
            "Writes a policy.",
            |s, c| Box::pin(s.policy_write(c)),
        ),
        Row::new(
            Op::Patch,
            "policies/acl/{name...}",
            "Changes parts of a policy.",
            |s, c| Box::pin(s.policy_patch(c)),
        ),
        Row::new(
            Op::Delete,
            "policies/acl/{name...}",
            "Removes a policy.",
            |s, c| Box::pin(s.policy_delete(c)),
        ),
        Row::new(
            Op::List,
            "policies/detailed/acl",
            "Lists the policies with all that is known of them.",
            |s, _| Box::pin(s.policies_detailed("")),
        ),
        Row::new(
            Op::List,
            "policies/detailed/acl/{prefix...}",
            "Lists some policies with all that is known of them.",
            |s, c| Box::pin(s.policies_detailed(c.param("prefix"))),
        ),
        Row::new(Op::Read, "policy", "Lists the policies.", |s, _| {
            Box::pin(s.policies_list_old(""))
        }),
        Row::new(Op::Read, "policy/", "Lists the policies.", |s, _| {
            Box::pin(s.policies_list_old(""))
        }),
        Row::new(
            Op::List,
            "policy/{prefix...}",
            "Lists some policies.",
            |s, c| Box::pin(s.policies_list_old(c.param("prefix"))),
        ),
        Row::new(Op::Read, "policy/{name...}", "Reads a policy.", |s, c| {
            Box::pin(s.policy_read(c, Text::Rules))
        }),
        Row::new(Op::Write, "policy/{name...}", "Writes a policy.", |s, c| {
            Box::pin(s.policy_write(c))
        }),
        Row::new(
            Op::Delete,
            "policy/{name...}",
            "Removes a policy.",
            |s, c| Box::pin(s.policy_delete(c)),
        ),
    ]
}

impl System {
    async fn policies_list(&self, prefix: &str) -> Result<Reply, Error> {
        reply::keys(self.policy_names(prefix).await?)
    }

    async fn policies_list_old(&self, prefix: &str) -> Result<Reply, Error> {
        let names = self.policy_names(prefix).await?;
        if names.is_empty() {
            return Err(Error::NotFound);
        }
        Reply::injected(&shown::Names {
            keys: &names,
            policies: &names,
        })
    }

    async fn policies_detailed(&self, prefix: &str) -> Result<Reply, Error> {
        let names = self.policy_names(prefix).await?;
        let mut keys = Vec::with_capacity(names.len());
        let mut key_info = std::collections::BTreeMap::new();
        for name in names {
            // One that was removed since the listing is no error.
            if let Some(record) = self.vault.policies.read(&name).await? {
                key_info.insert(name.clone(), Shown::all(name.clone(), record));
                keys.push(name);
            }
        }
        if keys.is_empty() {
            return Err(Error::NotFound);
        }
        Reply::data(&shown::Detailed { keys, key_info })
    }

    /// The names below a prefix, all for the empty one.
    async fn policy_names(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let mut names = self.vault.policies.list().await?;
        let prefix = fold(prefix);
        let prefix = prefix.strip_suffix('/').unwrap_or(&prefix);
        if !prefix.is_empty() {
            let below = format!("{prefix}/");
            names.retain(|name| name.starts_with(&below));
        }
        Ok(names)
    }

    async fn policy_read(&self, call: &Call<'_>, text: Text) -> Result<Reply, Error> {
        let name = named(call)?;
        let detailed = call.decode::<shown::Asked>()?.detailed.unwrap_or(false);
        let record = self.vault.policies.read(&name).await?;
        let record = record.ok_or(Error::NotFound)?;
        let shown = match detailed {
            true => Shown::all(name, record),
            false => Shown::brief(name, record),
        };
        match text {
            Text::Policy => Reply::data(&shown),
            Text::Rules => Reply::injected(&shown.with_rules()),
        }
    }

    async fn policy_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = named(call)?;
        self.vault.policies.delete(&name).await?;
        Ok(Reply::none())
    }
}

/// The policy that a call means.
fn named(call: &Call<'_>) -> Result<String, Error> {
    let name = fold(call.param("name"));
    if name.is_empty() {
        return Err(Error::bad("'name' parameter not supplied or empty"));
    }
    if name.len() > MAX_NAME {
        return Err(Error::bad(format!(
            "the name is longer than {MAX_NAME} bytes"
        )));
    }
    Ok(name)
}
