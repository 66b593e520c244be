//! Policies, and those who have them by now: groups, entities, tokens.

use super::{Holder, Known, Search};
use crate::error::Error;
use crate::ports::storage::Page;
use crate::tokens::Token;

impl Search<'_> {
    pub(super) async fn policies(&mut self, after: &str) -> Result<Option<String>, Error> {
        if after.is_empty() {
            self.found.policies.push("root".to_owned());
        }
        let (names, more) = self.vault.policies.page(after, self.left).await?;
        self.spend(names.len());
        let last = names.last().filter(|_| more).cloned();
        for name in names {
            if self.together(std::slice::from_ref(&name)).await? {
                self.found.policies.push(name);
            }
        }
        Ok(last)
    }

    pub(super) async fn groups(&mut self, after: &str) -> Result<Option<String>, Error> {
        let page = self.vault.identity.group_ids(after, self.left).await?;
        self.spend(page.names.len());
        for id in &page.names {
            let Some(group) = self.vault.identity.group_now(id).await? else {
                continue;
            };
            let policies = group.policies.clone().unwrap_or_default();
            if self.together(&policies).await? {
                self.found.groups.push(Known {
                    id: group.id.clone(),
                    name: group.name.clone(),
                    policies,
                });
            }
        }
        Ok(rest(page))
    }

    pub(super) async fn entities(&mut self, after: &str) -> Result<Option<String>, Error> {
        let page = self.vault.identity.entity_ids(after, self.left).await?;
        self.spend(page.names.len());
        for id in &page.names {
            let Some(standing) = powers(self.vault.identity.standing(id).await)?.flatten() else {
                continue;
            };
            let acl = standing.acl(&self.vault.policies, &[]).await?;
            if !standing.entity.disabled && self.permits(&acl) {
                self.found.entities.push(Known {
                    id: standing.entity.id.clone(),
                    name: standing.entity.name.clone(),
                    policies: standing.policies.clone(),
                });
            }
        }
        Ok(rest(page))
    }

    pub(super) async fn tokens(&mut self, after: &str) -> Result<Option<String>, Error> {
        let (tokens, next) = self.vault.tokens.page(after, self.left).await?;
        self.left = 0;
        for token in tokens {
            let acl = powers(self.vault.acl(&token).await)?;
            if acl.is_some_and(|acl| self.permits(&acl)) {
                self.found.tokens.push(Holder::of(token));
            }
        }
        Ok(next)
    }
}

impl Holder {
    fn of(token: Token) -> Self {
        Self {
            accessor: token.accessor.into(),
            display_name: token.display_name.into(),
            policies: token.policies.into(),
            entity_id: token.entity.map(String::from),
            expire_time: token.expires.map(crate::clock::Time::rfc3339),
        }
    }
}

/// What somebody may do; nothing, for those who are refused whatever they ask.
fn powers<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Ok(powers) => Ok(Some(powers)),
        Err(Error::NoToken | Error::DeniedBecause(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn rest(page: Page) -> Option<String> {
    page.names.into_iter().next_back().filter(|_| page.more)
}
