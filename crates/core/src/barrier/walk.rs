//! Every key below a prefix, in the order of the folders, some names at a time: in the memory of a
//! page or two, however many there are, and to be taken up again after any of them.

use std::collections::VecDeque;

use crate::ports::storage::{Storage, StorageError};

/// Names that are read at once.
const NAMES: usize = 512;
/// Folders one in the other that keep the names they have read.
const KEPT: usize = 16;

/// A walk through the store.
pub(crate) struct Walk {
    prefix: String,
    /// From the prefix down to where it is.
    levels: Vec<Level>,
}

/// A folder that it is in.
struct Level {
    /// Below the prefix, empty or with its slash.
    folder: String,
    /// Read and not passed yet.
    names: VecDeque<String>,
    /// The last name that was read.
    after: String,
    more: bool,
}

impl Level {
    fn new(folder: String, after: String) -> Self {
        Self {
            folder,
            names: VecDeque::new(),
            after,
            more: true,
        }
    }
}

impl Walk {
    /// Goes on after a key, which is relative to the prefix and need not be there; from the start
    /// where it is empty.
    pub fn new(prefix: &str, after: &str) -> Self {
        let mut levels = Vec::new();
        let (mut folder, mut rest) = (String::new(), after);
        while let Some((name, below)) = rest.split_once('/') {
            levels.push(Level::new(folder.clone(), format!("{name}/")));
            folder = format!("{folder}{name}/");
            rest = below;
        }
        levels.push(Level::new(folder, rest.to_owned()));
        Self {
            prefix: prefix.to_owned(),
            levels,
        }
    }

    /// The next key, relative to the prefix. After a failure it can be asked again.
    pub async fn next(&mut self, storage: &dyn Storage) -> Result<Option<String>, StorageError> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.pop_front() else {
                if !level.more {
                    self.levels.pop();
                    continue;
                }
                let folder = format!("{}{}", self.prefix, level.folder);
                let page = storage.list(&folder, &level.after, NAMES).await?;
                level.more = page.more;
                if let Some(last) = page.names.last() {
                    level.after.clone_from(last);
                }
                level.names = page.names.into();
                continue;
            };
            let path = format!("{}{name}", level.folder);
            if !name.ends_with('/') {
                return Ok(Some(path));
            }
            if self.levels.len() > KEPT
                && let Some(level) = self.levels.last_mut()
            {
                level.names.clear();
                level.after = name;
                level.more = true;
            }
            self.levels.push(Level::new(path, String::new()));
        }
        Ok(None)
    }
}
