//! Roles by which somebody gets policies: of tokens, and of auth methods.

use std::sync::Arc;

use super::{LoginRole, Search};
use crate::error::Error;
use crate::mounts::{Mount, Target};
use crate::policies;
use crate::tokens::Role;

impl Search<'_> {
    /// After the role `name`; after `name/policy` among the policies that this role may give.
    pub(super) async fn token_roles(&mut self, after: &str) -> Result<Option<String>, Error> {
        let mut after = after.to_owned();
        if let Some((name, policy)) = after.split_once('/') {
            let name = name.to_owned();
            let reached = match self.vault.tokens.role(&name).await? {
                Some(role) => self.open_role(&role, policy.to_owned()).await?,
                None => Reached::No,
            };
            if let Some(policy) = self.note(&name, reached) {
                return Ok(Some(format!("{name}/{policy}")));
            }
            after = name;
        }
        loop {
            if self.left == 0 {
                return Ok(Some(after));
            }
            let (names, more) = self.vault.tokens.roles_page(&after, 1).await?;
            self.spend(names.len());
            let Some(name) = names.into_iter().next() else {
                return Ok(None);
            };
            if let Some(role) = self.vault.tokens.role(&name).await? {
                let reached = self.role(&role).await?;
                if let Some(policy) = self.note(&name, reached) {
                    return Ok(Some(format!("{name}/{policy}")));
                }
            }
            if !more {
                return Ok(None);
            }
            after = name;
        }
    }

    /// Whether the policies of a role permit it, each by itself or all that it names together.
    async fn role(&mut self, role: &Role) -> Result<Reached, Error> {
        let named = role.named();
        self.spend(named.len());
        if self.together(&named).await? {
            return Ok(Reached::Yes);
        }
        for name in &named {
            if self.together(std::slice::from_ref(name)).await? {
                return Ok(Reached::Yes);
            }
        }
        match role.is_open() {
            true => self.open_role(role, String::new()).await,
            false => Ok(Reached::No),
        }
    }

    /// Whether one of the policies does that a role gives without naming them, from one on.
    async fn open_role(&mut self, role: &Role, mut after: String) -> Result<Reached, Error> {
        while self.left > 0 {
            let (names, more) = self.vault.policies.page(&after, self.left).await?;
            self.spend(names.len());
            for name in names {
                if role.gives(&name) && self.together(std::slice::from_ref(&name)).await? {
                    return Ok(Reached::Yes);
                }
                after = name;
            }
            if !more {
                return Ok(Reached::No);
            }
        }
        Ok(Reached::Undecided(after))
    }

    /// Keeps the role where it does; where it is not decided yet, the policy to go on after.
    fn note(&mut self, name: &str, reached: Reached) -> Option<String> {
        match reached {
            Reached::Yes => self.found.token_roles.push(name.to_owned()),
            Reached::No => {}
            Reached::Undecided(policy) => return Some(policy),
        }
        None
    }

    /// After `<path of the mount>/<role>`.
    pub(super) async fn auth_roles(&mut self, after: &str) -> Result<Option<String>, Error> {
        let (path, name) = match after.rfind('/') {
            Some(slash) => after.split_at(slash + 1),
            None => ("", ""),
        };
        for mount in self.auth_methods(path) {
            let Target::Engine { engine, .. } = &mount.target else {
                continue;
            };
            let mut after = match mount.record.path == path {
                true => name.to_owned(),
                false => String::new(),
            };
            loop {
                if self.left == 0 {
                    return Ok(Some(format!("{}{after}", mount.record.path)));
                }
                let grants = engine.grants(&after, self.left).await?;
                self.spend(grants.grants.len());
                for (name, params) in grants.grants {
                    let own = policies::names(params.policies);
                    let policies = policies::granted(&own, !params.no_default_policy);
                    if self.together(&policies).await? {
                        self.found.auth_roles.push(LoginRole {
                            mount: mount.record.path.clone(),
                            name,
                            policies,
                        });
                    }
                }
                match grants.next {
                    Some(next) => after = next,
                    None => break,
                }
            }
        }
        Ok(None)
    }

    /// By path, from one on.
    fn auth_methods(&self, from: &str) -> Vec<Arc<Mount>> {
        let table = self.vault.mounts.table();
        let auths = table.sorted().into_iter();
        auths
            .filter(|mount| mount.record.is_auth() && mount.record.path.as_str() >= from)
            .cloned()
            .collect()
    }
}

/// Whether a role gives what permits it.
enum Reached {
    Yes,
    No,
    /// All that may be looked at was; to be gone on with after this policy.
    Undecided(String),
}
