//! What an entity is at a moment: itself, the groups it is in, and the policies of them all.

use std::collections::HashSet;
use std::sync::Arc;

use super::limits::ALL_GROUPS;
use super::record::{Entity, Group};
use super::{Identity, keys};
use crate::error::Error;
use crate::tokens::Token;

/// An entity with what follows from its groups.
pub struct Standing {
    /// The entity.
    pub entity: Entity,
    /// The groups that it is in: first those that it is in itself.
    pub groups: Vec<Arc<Group>>,
    /// How many of these it is in itself.
    pub direct: usize,
    /// Its own policies and those of its groups: names, sorted.
    pub policies: Vec<String>,
    generation: u64,
}

impl Standing {
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// A token's policies and those of its entity: names, sorted, each once.
    pub fn with(&self, policies: &[String]) -> Vec<String> {
        let mut all = [policies, &self.policies].concat();
        all.sort();
        all.dedup();
        all
    }
}

impl Identity {
    /// Who a token acts for. `None` for a token of nobody in particular; an error for one whose
    /// entity is disabled or gone, which may do nothing.
    pub async fn of_token(&self, token: &Token) -> Result<Option<Arc<Standing>>, Error> {
        let Some(id) = &token.entity else {
            return Ok(None);
        };
        let standing = self.standing(id).await?.ok_or(Error::NoToken)?;
        match standing.entity.disabled {
            true => Err(Error::NoToken),
            false => Ok(Some(standing)),
        }
    }

    /// What an entity is, by its id or by that of one that was merged into it.
    pub async fn standing(&self, id: &str) -> Result<Option<Arc<Standing>>, Error> {
        if let Some(standing) = self.cached(id).await? {
            return Ok(Some(standing));
        }
        if !keys::is_id(id) {
            return Ok(None);
        }
        match self.leads_to(&keys::merged(id)).await? {
            Some(other) => self.cached(&other).await,
            None => Ok(None),
        }
    }

    async fn cached(&self, id: &str) -> Result<Option<Arc<Standing>>, Error> {
        let read = || async {
            // Before anything is read: what was overtaken by a change does not count.
            let generation = self.cache.generation();
            match self.entity(id).await? {
                Some(entity) => Ok(Some(self.work_out(entity.record, generation).await?)),
                None => Ok(None),
            }
        };
        self.cache.standing(id, read).await
    }

    /// Walks up from the entity's groups, each once.
    pub(super) async fn work_out(
        &self,
        entity: Entity,
        generation: u64,
    ) -> Result<Standing, Error> {
        let mut groups: Vec<Arc<Group>> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut next: Vec<String> = entity.groups.clone();
        let mut direct = None;
        while !next.is_empty() {
            let mut above = Vec::new();
            for id in next {
                if !seen.insert(id.clone()) {
                    continue;
                }
                // One that was removed grants nothing any more.
                if let Some(group) = self.group_now(&id).await?.filter(|group| group.counts()) {
                    above.extend(group.parents.iter().cloned());
                    groups.push(group);
                }
            }
            if seen.len() > ALL_GROUPS {
                // To leave some out might leave out what denies.
                return Err(Error::DeniedBecause(
                    "the entity is in too many groups".to_owned(),
                ));
            }
            direct.get_or_insert(groups.len());
            next = above;
        }
        let of_groups = groups.iter().filter_map(|group| group.policies.as_ref());
        let mut policies: Vec<String> = of_groups.flatten().cloned().collect();
        policies.extend(entity.policies.iter().cloned());
        policies.sort();
        policies.dedup();
        Ok(Standing {
            direct: direct.unwrap_or_default(),
            entity,
            groups,
            policies,
            generation,
        })
    }

    /// A group, read once for all.
    pub(super) async fn group_now(&self, id: &str) -> Result<Option<Arc<Group>>, Error> {
        let read = || async { Ok(self.group(id).await?.map(|held| held.record)) };
        self.cache.group(id, read).await
    }
}
