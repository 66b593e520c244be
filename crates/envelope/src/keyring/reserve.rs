//! What a process has counted in a keyring and not used yet.

use crate::cache::Load;

/// A block of uses and bytes of one DEK.
#[derive(Default)]
pub(super) struct Reserve {
    dek_no: u32,
    left: Load,
}

impl Reserve {
    /// Uses what is left for `load`, where that is enough and of the right DEK.
    pub(super) fn take(&mut self, dek_no: u32, load: Load) -> bool {
        let uses = self.left.uses.checked_sub(load.uses);
        let bytes = self.left.bytes.checked_sub(load.bytes);
        match (uses, bytes) {
            (Some(uses), Some(bytes)) if self.dek_no == dek_no => {
                self.left = Load { uses, bytes };
                true
            }
            _ => false,
        }
    }

    /// What has to be counted before `load` can be taken.
    pub(super) fn lacks(&self, dek_no: u32, load: Load) -> Load {
        if self.dek_no != dek_no {
            return load;
        }
        Load {
            uses: load.uses.saturating_sub(self.left.uses),
            bytes: load.bytes.saturating_sub(self.left.bytes),
        }
    }

    /// Adds a block. What was left of another DEK stays counted there: too much, not too little.
    pub(super) fn add(&mut self, dek_no: u32, block: Load) {
        if self.dek_no != dek_no {
            let left = Load::default();
            *self = Self { dek_no, left };
        }
        self.left.uses = self.left.uses.saturating_add(block.uses);
        self.left.bytes = self.left.bytes.saturating_add(block.bytes);
    }

    /// Forgets what is left, and tells it.
    pub(super) fn end(&mut self) -> Option<(u32, Load)> {
        let Self { dek_no, left } = std::mem::take(self);
        (left != Load::default()).then_some((dek_no, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(uses: u64, bytes: u64) -> Load {
        Load { uses, bytes }
    }

    #[test]
    fn nothing_is_taken_twice_or_of_another_dek() {
        let mut reserve = Reserve::default();
        assert!(!reserve.take(1, load(1, 0)));
        reserve.add(1, load(3, 10));
        assert!(reserve.take(1, load(1, 10)));
        assert!(!reserve.take(1, load(1, 1)), "no bytes are left");
        assert_eq!(reserve.lacks(1, load(5, 1)), load(3, 1));
        assert_eq!(reserve.lacks(2, load(5, 1)), load(5, 1));
        assert!(!reserve.take(2, load(1, 0)));
        reserve.add(1, load(1, 5));
        assert_eq!(reserve.end(), Some((1, load(3, 5))));
        assert_eq!(reserve.end(), None);
        reserve.add(1, load(3, 5));
        reserve.add(2, load(1, 1));
        assert_eq!(reserve.end(), Some((2, load(1, 1))));
    }
}
