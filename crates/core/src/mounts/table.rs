//! The table of mounts: an immutable value, swapped as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::MountRecord;
use crate::barrier::View;
use crate::ports::engine::Dispatch;

/// A mount and what serves it.
pub struct Mount {
    /// What is stored of it.
    pub record: MountRecord,
    /// Who answers.
    pub target: Target,
}

/// Who answers below a mount.
#[derive(Clone)]
pub enum Target {
    /// Core: `sys/`.
    System,
    /// Core: `auth/token/`.
    Token,
    /// An engine over its view.
    Engine {
        /// The engine.
        engine: Arc<dyn Dispatch>,
        /// Its storage.
        view: View,
    },
}

/// All mounts by path.
#[derive(Default)]
pub struct Table(HashMap<String, Arc<Mount>>);

impl Table {
    /// From a list.
    pub fn new(mounts: impl IntoIterator<Item = Mount>) -> Self {
        Self(
            mounts
                .into_iter()
                .map(|m| (key(&m.record.path), Arc::new(m)))
                .collect(),
        )
    }

    /// The mount at just this path (with or without its last slash).
    pub fn at(&self, path: &str) -> Option<&Arc<Mount>> {
        self.0.get(path.strip_suffix('/').unwrap_or(path))
    }

    /// The longest mount that a path lies in, and the rest of the path.
    pub fn route<'a>(&self, path: &'a str) -> Option<(Arc<Mount>, &'a str)> {
        let mut end = path.len();
        loop {
            let prefix = path.get(..end)?;
            if let Some(mount) = self.0.get(prefix) {
                let rest = path.get(end..)?;
                return Some((mount.clone(), rest.strip_prefix('/').unwrap_or(rest)));
            }
            end = prefix.rfind('/')?;
        }
    }

    /// The mount that stands in the way of a new one at `path`: the same, around it or inside it.
    pub fn conflict(&self, path: &str) -> Option<&Arc<Mount>> {
        self.0.values().find(|m| {
            let taken = &m.record.path;
            taken.starts_with(path) || path.starts_with(taken.as_str())
        })
    }

    /// All mounts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.0.values()
    }

    /// All mounts by path.
    pub fn sorted(&self) -> Vec<&Arc<Mount>> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by(|a, b| a.record.path.cmp(&b.record.path));
        all
    }

    /// This table with a mount put in.
    pub(super) fn with(&self, mount: Mount) -> Self {
        let mut next = self.0.clone();
        next.insert(key(&mount.record.path), Arc::new(mount));
        Self(next)
    }

    /// This table with a mount taken out.
    pub(super) fn without(&self, path: &str) -> Self {
        let mut next = self.0.clone();
        next.remove(path.strip_suffix('/').unwrap_or(path));
        Self(next)
    }
}

fn key(path: &str) -> String {
    path.strip_suffix('/').unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::record::MountConfig;
    use super::*;

    fn table(paths: &[&str]) -> Table {
        Table::new(paths.iter().map(|path| Mount {
            record: MountRecord {
                path: (*path).to_owned(),
                kind: "system".to_owned(),
                description: String::new(),
                uuid: String::new(),
                accessor: String::new(),
                options: None,
                config: MountConfig::default(),
                local: false,
                seal_wrap: false,
                external_entropy_access: false,
            },
            target: Target::System,
        }))
    }

    fn route<'a>(table: &Table, path: &'a str) -> Option<(String, &'a str)> {
        table
            .route(path)
            .map(|(m, rest)| (m.record.path.clone(), rest))
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let table = table(&["a/", "a/b/", "sys/"]);
        assert_eq!(route(&table, "a/x"), Some(("a/".into(), "x")));
        assert_eq!(route(&table, "a/b/x/y"), Some(("a/b/".into(), "x/y")));
        assert_eq!(route(&table, "a/bb/x"), Some(("a/".into(), "bb/x")));
        assert_eq!(route(&table, "a"), Some(("a/".into(), "")));
        assert_eq!(route(&table, "a/b/"), Some(("a/b/".into(), "")));
        assert_eq!(route(&table, "ab"), None);
        assert_eq!(route(&table, ""), None);
    }

    #[test]
    fn mounts_do_not_overlap() {
        let table = table(&["a/b/", "sys/"]);
        for taken in ["a/b/", "a/", "a/b/c/", "sys/", "sys/x/"] {
            assert!(table.conflict(taken).is_some(), "{taken}");
        }
        for free in ["a/c/", "ab/", "s/"] {
            assert!(table.conflict(free).is_none(), "{free}");
        }
    }
}
