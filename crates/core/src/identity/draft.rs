//! One change as one commit: records, and the index that follows from them.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Alias, Entity, Group, Held};
use super::{Identity, keys};
use crate::barrier::json;
use crate::error::Error;
use crate::ports::storage::{Batch, Revision};

/// What a change will write. Each record stands in it once.
#[derive(Default)]
pub(super) struct Draft {
    unchanged: BTreeMap<String, Revision>,
    absent: BTreeSet<String>,
    puts: BTreeMap<String, Vec<u8>>,
    deletes: BTreeSet<String>,
    taken: BTreeMap<String, Entry>,
    freed: BTreeSet<String>,
    entities: Vec<String>,
    groups: Vec<String>,
}

/// A key of the index.
struct Entry {
    /// The id that it leads to; empty where the key says it all.
    id: String,
    /// Nobody else may have it.
    alone: bool,
}

impl Draft {
    /// An entity becomes another, begins or ends.
    pub fn entity(
        &mut self,
        identity: &Identity,
        old: Option<&Held<Entity>>,
        new: Option<&Entity>,
    ) -> Result<(), Error> {
        let of = |entity: &Entity| entries_of_entity(identity, entity);
        let id = new.or(old.map(|old| &old.record)).map(|e| e.id.clone());
        let id = id.ok_or(Error::Bug("a change of no entity"))?;
        self.record(keys::entity(&id), old.map(|old| old.revision), new)?;
        self.index(old.map(|old| of(&old.record)), new.map(of));
        self.entities.push(id);
        Ok(())
    }

    /// A group becomes another, begins or ends.
    pub fn group(
        &mut self,
        identity: &Identity,
        old: Option<&Held<Group>>,
        new: Option<&Group>,
    ) -> Result<(), Error> {
        let of = |group: &Group| entries_of_group(identity, group);
        let id = new.or(old.map(|old| &old.record)).map(|g| g.id.clone());
        let id = id.ok_or(Error::Bug("a change of no group"))?;
        self.record(keys::group(&id), old.map(|old| old.revision), new)?;
        self.index(old.map(|old| of(&old.record)), new.map(of));
        self.groups.push(id);
        Ok(())
    }

    /// Demands that a group is as it was read.
    pub fn keep(&mut self, group: &Held<Group>) {
        let key = keys::group(&group.record.id);
        self.unchanged.entry(key).or_insert(group.revision);
    }

    /// Writes a key that holds nothing.
    pub fn note(&mut self, key: String) {
        self.puts.insert(key, Vec::new());
    }

    /// Removes a key that nothing leads to any more.
    pub fn remove(&mut self, key: String) {
        self.deletes.insert(key);
    }

    fn record<T: serde::Serialize>(
        &mut self,
        key: String,
        old: Option<Revision>,
        new: Option<&T>,
    ) -> Result<(), Error> {
        match old {
            Some(revision) => drop(self.unchanged.insert(key.clone(), revision)),
            None => drop(self.absent.insert(key.clone())),
        }
        match new {
            Some(record) => drop(self.puts.insert(key, json(record)?)),
            None => drop(self.deletes.insert(key)),
        }
        Ok(())
    }

    fn index(
        &mut self,
        old: Option<BTreeMap<String, Entry>>,
        new: Option<BTreeMap<String, Entry>>,
    ) {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let gone = old.keys().filter(|key| !new.contains_key(*key)).cloned();
        self.freed.extend(gone);
        let come = new.into_iter().filter(|(key, _)| !old.contains_key(key));
        self.taken.extend(come);
    }

    fn batch(self) -> Result<(Batch, Vec<String>, Vec<String>), Error> {
        let mut batch = Batch::new();
        for (key, revision) in self.unchanged {
            batch = batch.unchanged(key, revision);
        }
        for key in self.absent {
            batch = batch.absent(key);
        }
        // What one record gives up another may take.
        let freed = self
            .freed
            .iter()
            .filter(|key| !self.taken.contains_key(*key));
        batch.deletes.extend(freed.cloned().chain(self.deletes));
        for (key, entry) in self.taken {
            if entry.alone && !self.freed.contains(&key) {
                batch = batch.absent(key.clone());
            }
            let value = match entry.id.is_empty() {
                true => Vec::new(),
                false => json(&entry.id)?,
            };
            batch = batch.put(key, value);
        }
        batch.puts.extend(self.puts);
        Ok((batch, self.entities, self.groups))
    }
}

impl Identity {
    /// Does it, and forgets what is not so any more.
    pub(super) async fn commit(&self, draft: Draft) -> Result<(), Error> {
        let (batch, entities, groups) = draft.batch()?;
        let result = self.view.commit(batch).await;
        // After the commit, so that no reader can put the old records back; a failed one too,
        // because its end may be unknown.
        for id in &groups {
            self.cache.forget_group(id);
        }
        for id in &entities {
            self.cache.forget_entity(id);
        }
        result.map(|_| ())
    }
}

fn entries_of_entity(identity: &Identity, entity: &Entity) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    let mut add = |key: String, id: &str, alone: bool| {
        let id = id.to_owned();
        entries.insert(key, Entry { id, alone });
    };
    add(identity.entity_name_key(&entity.name), &entity.id, true);
    for alias in &entity.aliases {
        add(keys::alias(&alias.id), &entity.id, true);
        let Alias { mount, name, .. } = alias;
        add(identity.alias_name_key(mount, name), &entity.id, true);
    }
    for old in &entity.merged {
        add(keys::merged(old), &entity.id, true);
    }
    for group in &entity.groups {
        add(keys::member(group, &entity.id), "", false);
    }
    entries
}

fn entries_of_group(identity: &Identity, group: &Group) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    let mut add = |key: String, id: &str, alone: bool| {
        let id = id.to_owned();
        entries.insert(key, Entry { id, alone });
    };
    add(identity.group_name_key(&group.name), &group.id, true);
    if let Some(alias) = &group.alias {
        add(keys::group_alias(&alias.id), &group.id, true);
        let key = identity.group_alias_name_key(&alias.mount, &alias.name);
        add(key, &group.id, true);
    }
    for parent in &group.parents {
        add(keys::child(parent, &group.id), "", false);
    }
    entries
}
