//! Which policies a new token gets: what was asked for, within what the caller or the role may
//! give.

use crate::error::Error;
use crate::policies;
use crate::tokens::record::Token;
use crate::tokens::role::Role;

/// What was asked for, and by whom.
pub(super) struct Choice<'a> {
    pub asked: Vec<String>,
    pub no_default: bool,
    pub role: Option<&'a Role>,
    pub parent: &'a Token,
    /// The caller has `sudo` or the root policy.
    pub privileged: bool,
}

impl Choice<'_> {
    /// The policies: lower case, sorted, each once.
    pub fn policies(mut self) -> Result<Vec<String>, Error> {
        self.asked = policies::names(self.asked);
        policies::check_assignable(&self.asked)?;
        self.no_default |= self.role.is_some_and(|role| role.no_default_policy);
        let (no_default, parent_is_root) = (self.no_default, self.parent.is_root());
        let (mut chosen, adds_default) = match self.role.filter(|r| r.decides_policies()) {
            Some(role) => self.by_role(role)?,
            None => self.by_parent()?,
        };
        // A role may name what nobody could ask for.
        policies::check_assignable(&chosen)?;
        if chosen.iter().any(|p| p == "root") {
            if !parent_is_root {
                return Err(Error::bad(
                    "root tokens may not be created without parent token being root",
                ));
            }
            return Ok(vec!["root".to_owned()]);
        }
        if no_default {
            chosen.retain(|p| p != "default");
        } else if adds_default {
            chosen.push("default".to_owned());
        }
        chosen.sort();
        chosen.dedup();
        Ok(chosen)
    }

    /// No more than the parent has, unless the caller is privileged.
    fn by_parent(self) -> Result<(Vec<String>, bool), Error> {
        let has = |policy: &str| self.parent.policies.iter().any(|p| p == policy);
        // `default` comes by itself only where that gives nothing that the parent has not.
        let adds_default = !self.asked.is_empty() && (self.privileged || has("default"));
        let chosen = if self.asked.is_empty() {
            self.parent.policies.to_vec()
        } else {
            self.asked
        };
        if !self.privileged && chosen.iter().any(|p| !has(p)) {
            return Err(Error::bad("child policies must be subset of parent"));
        }
        Ok((chosen, adds_default))
    }

    /// What the role allows, whatever the parent has.
    fn by_role(self, role: &Role) -> Result<(Vec<String>, bool), Error> {
        let by_itself = self.asked.is_empty();
        let mut chosen = match (by_itself, role.allows_some()) {
            (false, _) => self.asked,
            (true, true) => role.allowed_policies.clone(),
            (true, false) => self.parent.policies.to_vec(),
        };
        if role.allows_some() && !chosen.iter().all(|p| role.allows(p)) {
            return Err(not_allowed(&chosen, role));
        }
        let adds_default = !role.disallows("default");
        if by_itself && !adds_default {
            chosen.retain(|p| p != "default");
        }
        match chosen.iter().find(|p| role.disallows(p)) {
            Some(name) => Err(Error::bad(format!(
                "token policy \"{name}\" is disallowed by this role"
            ))),
            None => Ok((chosen, adds_default)),
        }
    }
}

fn not_allowed(chosen: &[String], role: &Role) -> Error {
    let list = |names: &[String]| {
        let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
        format!("([{}])", quoted.join(" "))
    };
    let mut text = format!(
        "token policies {} must be subset of the role's allowed policies {}",
        list(chosen),
        list(&role.allowed_policies)
    );
    if !role.allowed_policies_glob.is_empty() {
        text.push_str(" or glob policies ");
        text.push_str(&list(&role.allowed_policies_glob));
    }
    Error::bad(text)
}
