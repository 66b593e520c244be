//! What one call did with one version.

use super::kind::Kind;

/// Counts of one call, added to the sheet when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Uses {
    operations: [u64; Kind::COUNT],
    bytes: u64,
}

impl Uses {
    /// One operation more, on so many bytes.
    pub fn add(&mut self, kind: Kind, bytes: usize) {
        if let Some(count) = self.operations.get_mut(kind.index()) {
            *count += 1;
        }
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// One operation, on so many bytes.
    pub fn one(kind: Kind, bytes: usize) -> Self {
        let mut uses = Self::default();
        uses.add(kind, bytes);
        uses
    }

    /// Counts by the index of their kind.
    pub fn operations(&self) -> &[u64; Kind::COUNT] {
        &self.operations
    }

    /// Bytes of plaintexts and inputs.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Operations of all kinds.
    pub fn total(&self) -> u64 {
        self.operations.iter().sum()
    }
}
