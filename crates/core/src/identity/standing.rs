//! What an entity is at a moment: itself, the groups it is in, and the policies of them all.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::limits::ALL_GROUPS;
use super::record::{Alias, Entity, Group, Metadata};
use super::{Identity, keys};
use crate::error::Error;
use crate::policies::Policies;
use crate::policy::{Acl, OfAlias, OfGroup, Selector, Subject};
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
    /// What its tokens may do, by their own policies.
    acls: ArcSwap<Vec<Compiled>>,
}

/// Sets that are kept for one entity.
const ACLS: usize = 8;

/// A compiled set of its policies and of a token's.
#[derive(Clone)]
struct Compiled {
    own: Vec<String>,
    generation: u64,
    acl: Arc<Acl>,
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

impl Standing {
    /// What a token with these policies of its own may do.
    pub async fn acl(&self, policies: &Policies, own: &[String]) -> Result<Arc<Acl>, Error> {
        // Before anything is read: what was overtaken by a change does not count.
        let generation = policies.generation();
        let known = self.acls.load();
        let holds = |set: &&Compiled| policies.holds(set.generation, &set.acl);
        if let Some(set) = known.iter().find(|set| set.own == own).filter(holds) {
            return Ok(set.acl.clone());
        }
        let names = self.with(own);
        let mut acl = policies.acl(&names).await?;
        if acl.is_templated() {
            acl = policies.filled(&names, self).await?;
        }
        let own = own.to_vec();
        let fresh = Compiled {
            own,
            generation,
            acl,
        };
        let others = known.iter().filter(|set| set.own != fresh.own).cloned();
        let kept = std::iter::once(fresh.clone()).chain(others).take(ACLS);
        self.acls.store(Arc::new(kept.collect()));
        Ok(fresh.acl)
    }

    fn group(&self, is: impl Fn(&Group) -> bool) -> Option<&Group> {
        self.groups.iter().map(Arc::as_ref).find(|group| is(group))
    }
}

impl Subject for Standing {
    fn value(&self, selector: &Selector) -> Option<&str> {
        match selector {
            Selector::EntityId => Some(&self.entity.id),
            Selector::EntityName => Some(&self.entity.name),
            Selector::EntityMetadata(key) => of_map(&self.entity.metadata, key),
            Selector::Alias(mount, asked) => of_alias(self.entity.alias_on(mount)?, asked),
            Selector::GroupOfId(id, asked) => of_group(self.group(|g| g.id == *id)?, asked),
            Selector::GroupOfName(name, asked) => of_group(self.group(|g| g.name == *name)?, asked),
            Selector::Unknown => None,
        }
    }
}

fn of_alias<'a>(alias: &'a Alias, asked: &OfAlias) -> Option<&'a str> {
    match asked {
        OfAlias::Id => Some(&alias.id),
        OfAlias::Name => Some(&alias.name),
        OfAlias::Metadata(key) => of_map(&alias.metadata, key),
        OfAlias::CustomMetadata(key) => of_map(&alias.custom_metadata, key),
    }
}

fn of_group<'a>(group: &'a Group, asked: &OfGroup) -> Option<&'a str> {
    match asked {
        OfGroup::Id => Some(&group.id),
        OfGroup::Name => Some(&group.name),
        OfGroup::Metadata(key) => of_map(&group.metadata, key),
    }
}

fn of_map<'a>(map: &'a Option<Metadata>, key: &str) -> Option<&'a str> {
    map.as_ref()?.get(key).map(String::as_str)
}

impl Identity {
    /// Who a token acts for. `None` for a token of nobody in particular; an error for one whose
    /// entity is disabled or gone, which may do nothing.
    pub async fn of_token(&self, token: &Token) -> Result<Option<Arc<Standing>>, Error> {
        let Some(id) = &token.entity else {
            return Ok(None);
        };
        let standing = Box::pin(self.standing(id)).await?.ok_or(Error::NoToken)?;
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
            acls: ArcSwap::default(),
        })
    }

    /// A group, read once for all.
    pub(crate) async fn group_now(&self, id: &str) -> Result<Option<Arc<Group>>, Error> {
        let read = || async { Ok(self.group(id).await?.map(|held| held.record)) };
        self.cache.group(id, read).await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::sync::Notify;

    use super::super::cache::Caches;
    use super::*;
    use crate::clock::Time;

    fn standing(generation: u64) -> Standing {
        Standing {
            entity: Entity::new(None, Time(0)),
            groups: Vec::new(),
            direct: 0,
            policies: Vec::new(),
            generation,
            acls: ArcSwap::default(),
        }
    }

    #[tokio::test]
    async fn who_asks_after_a_change_gets_nothing_from_before_it() {
        let (caches, gate) = (Caches::new(), Notify::new());
        let read = || async {
            let generation = caches.generation();
            gate.notified().await;
            Ok(Some(standing(generation)))
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut early = pin!(caches.standing("ann", read));
        assert!(early.as_mut().poll(&mut cx).is_pending());
        caches.forget_group("g");
        let changed = caches.generation();
        // It waits for what the other began to work out.
        let mut late = pin!(caches.standing("ann", read));
        assert!(late.as_mut().poll(&mut cx).is_pending());
        gate.notify_one();
        let early = early.await.unwrap().unwrap();
        assert!(early.generation() < changed);
        gate.notify_one();
        let late = late.await.unwrap().unwrap();
        assert_eq!(late.generation(), changed);
    }
}
