//! Which generation of entries counts. A restore fills another one and then puts its name here, in
//! one step; whoever reads or commits demands that the name is still the one it knows.

use std::sync::{Arc, PoisonError};

use keyfold_core::ports::storage::StorageError;

use super::super::failure::Failure;
use super::Shared;
use super::wire::{Compare, Done, KeyValue, Op, Range, Txn};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    pub generation: Arc<str>,
    /// That of etcd's at which it was put there.
    pub revision: i64,
}

impl Root {
    /// What stands at the root's key; `None` for what nobody put there.
    pub fn read(kv: &KeyValue) -> Option<Self> {
        let generation = std::str::from_utf8(&kv.value).ok()?;
        let is_name = !generation.is_empty() && generation.bytes().all(|b| b.is_ascii_hexdigit());
        is_name.then(|| Self {
            generation: generation.into(),
            revision: kv.mod_revision,
        })
    }
}

impl Shared {
    /// The root as this node knows it.
    pub fn root(&self) -> Root {
        let root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        root.clone()
    }

    /// Reads below the root, which is the newest: asks again where it was not.
    pub async fn under_root(
        &self,
        ops: impl Fn(&Root) -> Vec<Op>,
    ) -> Result<(Root, Done), StorageError> {
        loop {
            let root = self.root();
            let done = self.links.ask(&self.demanding(&root, ops(&root))).await?;
            if done.succeeded {
                return Ok((root, done));
            }
            self.follow_root(done.one(0))?;
        }
    }

    /// The root was replaced: this stands there now.
    pub fn follow_root(&self, kv: Option<&KeyValue>) -> Result<(), StorageError> {
        let kv = kv.ok_or_else(|| Failure::Lasting("the store is gone from etcd".to_owned()))?;
        let found = Root::read(kv);
        let found = found.ok_or_else(|| Failure::strange("a root that nobody put there"))?;
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if root.revision < found.revision {
            *root = found;
        }
        Ok(())
    }

    fn demanding(&self, root: &Root, ops: Vec<Op>) -> Txn {
        let key = self.keys.root();
        Txn {
            compare: vec![Compare::modified(key.clone(), root.revision)],
            success: ops,
            failure: vec![Op::range(Range::one(key))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_name_of_a_generation() {
        let kv = |value: &[u8]| KeyValue {
            mod_revision: 7,
            value: value.to_vec(),
            ..KeyValue::default()
        };
        let root = Root::read(&kv(b"00ff")).unwrap();
        assert_eq!((&*root.generation, root.revision), ("00ff", 7));
        for bad in [&b""[..], b"a/b", b"\xff", b"xyz"] {
            assert_eq!(Root::read(&kv(bad)), None);
        }
    }
}
