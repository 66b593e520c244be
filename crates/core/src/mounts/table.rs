//! The table of mounts: an immutable value, swapped as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::MountRecord;
use crate::barrier::View;
use crate::ports::engine::Dispatch;
use crate::tokens::Token;

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
    /// Core: `identity/`.
    Identity,
    /// Core: `cubbyhole/`.
    Cubbyhole,
    /// An engine over its view.
    Engine {
        /// The engine.
        engine: Arc<dyn Dispatch>,
        /// Its storage.
        view: View,
    },
}

/// All mounts by path, and the auth methods by accessor too.
#[derive(Default, Clone)]
pub struct Table {
    paths: HashMap<String, Arc<Mount>>,
    auths: HashMap<String, Arc<Mount>>,
}

impl Table {
    /// From a list.
    pub fn new(mounts: impl IntoIterator<Item = Mount>) -> Self {
        let mut table = Self::default();
        for mount in mounts {
            table.put(mount);
        }
        table
    }

    /// The mount at just this path (with or without its last slash).
    pub fn at(&self, path: &str) -> Option<&Arc<Mount>> {
        self.paths.get(path.strip_suffix('/').unwrap_or(path))
    }

    /// The auth method of an accessor.
    pub fn auth(&self, accessor: &str) -> Option<&Arc<Mount>> {
        self.auths.get(accessor)
    }

    /// The longest mount that a path lies in, and the rest of the path.
    pub fn route<'a>(&self, path: &'a str) -> Option<(&Arc<Mount>, &'a str)> {
        let mut end = path.len();
        loop {
            let prefix = path.get(..end)?;
            if let Some(mount) = self.paths.get(prefix) {
                let rest = path.get(end..)?;
                return Some((mount, rest.strip_prefix('/').unwrap_or(rest)));
            }
            end = prefix.rfind('/')?;
        }
    }

    /// The mount that stands in the way of a new one at `path`: the same, around it or inside it.
    pub fn conflict(&self, path: &str) -> Option<&Arc<Mount>> {
        self.paths.values().find(|m| {
            let taken = &m.record.path;
            taken.starts_with(path) || path.starts_with(taken.as_str())
        })
    }

    /// All mounts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.paths.values()
    }

    /// All mounts by path.
    pub fn sorted(&self) -> Vec<&Arc<Mount>> {
        let mut all: Vec<_> = self.paths.values().collect();
        all.sort_by(|a, b| a.record.path.cmp(&b.record.path));
        all
    }

    /// Whether what made a token is still there and still answers for it: tokens of a removed auth
    /// method, and those from before it moved, are nobody's.
    pub fn owns(&self, token: &Token) -> bool {
        let Some(accessor) = &token.mount else {
            return true;
        };
        self.auths.get(&**accessor).is_some_and(|mount| {
            token.path.starts_with(&mount.record.path)
                && mount
                    .record
                    .logins_since
                    .is_none_or(|since| token.created >= since)
        })
    }

    /// This table with a mount put in.
    pub(super) fn with(&self, mount: Mount) -> Self {
        let mut next = self.clone();
        next.put(mount);
        next
    }

    /// This table with a mount taken out.
    pub(super) fn without(&self, path: &str) -> Self {
        let mut next = self.clone();
        if let Some(gone) = next.paths.remove(path.strip_suffix('/').unwrap_or(path)) {
            next.auths.remove(&gone.record.accessor);
        }
        next
    }

    fn put(&mut self, mount: Mount) {
        let mount = Arc::new(mount);
        if mount.record.is_auth() {
            let accessor = mount.record.accessor.clone();
            self.auths.insert(accessor, mount.clone());
        }
        self.paths.insert(key(&mount.record.path), mount);
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
                logins_since: None,
                created: None,
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
