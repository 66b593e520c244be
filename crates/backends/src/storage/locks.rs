//! Named locks for stores that only one process can have open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyfold_core::ports::storage::LockGuard;

/// The locks of one store.
#[derive(Clone, Default)]
pub(super) struct Locks(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    holders: HashMap<String, Holder>,
    taken: u64,
}

struct Holder {
    /// Tells this holder from one that had the name before and comes late: the fencing token.
    id: u64,
    /// `None`: later than the clock can say.
    until: Option<Instant>,
}

impl Holder {
    fn current(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Locks {
    /// Takes a name unless another holds it.
    pub(super) fn take(&self, name: &str, ttl: Duration) -> Option<Box<dyn LockGuard>> {
        self.table(|table| {
            if table.holders.get(name).is_some_and(Holder::current) {
                return None;
            }
            table.taken += 1;
            let id = table.taken;
            let until = Instant::now().checked_add(ttl);
            table.holders.insert(name.to_owned(), Holder { id, until });
            let guard = Guard {
                locks: self.clone(),
                name: name.to_owned(),
                id,
            };
            Some(Box::new(guard) as Box<dyn LockGuard>)
        })
    }

    /// The name is held under just this fencing token.
    pub(super) fn holds(&self, name: &str, fence: u64) -> bool {
        self.table(|table| {
            let holder = table.holders.get(name);
            holder.is_some_and(|h| h.id == fence && h.current())
        })
    }

    fn table<T>(&self, f: impl FnOnce(&mut Table) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Guard {
    locks: Locks,
    name: String,
    id: u64,
}

impl LockGuard for Guard {
    fn held(&self) -> bool {
        self.locks.holds(&self.name, self.id)
    }

    fn fence(&self) -> u64 {
        self.id
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.locks.table(|table| {
            if table
                .holders
                .get(&self.name)
                .is_some_and(|h| h.id == self.id)
            {
                table.holders.remove(&self.name);
            }
        });
    }
}
