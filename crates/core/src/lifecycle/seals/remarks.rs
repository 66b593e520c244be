//! Where the configuration of the seals says one thing and the store another: what counts, and what
//! to do.

use std::sync::Arc;

use super::{Seals, Slot, Wraps};
use crate::lifecycle::Core;

impl Core {
    /// What is configured of the seals and does not count, or not yet, in words for people.
    pub fn seal_remarks(&self) -> Vec<String> {
        let mut remarks = self.seals.remarks();
        remarks.extend(self.seals.remark_on_waiting());
        remarks
    }
}

impl Seals {
    /// The same for the log: when a configuration is taken up.
    pub(in crate::lifecycle) fn remark(&self) {
        for remark in self.remarks() {
            tracing::warn!("{remark}");
        }
    }

    fn remarks(&self) -> Vec<String> {
        let wraps = self.wraps();
        if wraps.shares.is_none() && wraps.seals.is_empty() {
            return Vec::new();
        }
        let all = [
            self.remark_on_require(&wraps),
            self.remark_on_shares(&wraps),
            self.remark_on_last_way(&wraps),
        ];
        all.into_iter().flatten().collect()
    }

    fn remark_on_require(&self, wraps: &Wraps) -> Option<String> {
        let wished = self.wish().require.map_or(1, usize::from);
        let counts = wraps.required();
        (wished != counts).then(|| {
            format!(
                "seals {{ require = {wished} }} is configured, and this store was begun with \
                 {counts}, which counts: {counts} of its ways open it together. Configure require = \
                 {counts}; another number takes a new store"
            )
        })
    }

    fn remark_on_shares(&self, wraps: &Wraps) -> Option<String> {
        let shares = &wraps.shares.as_ref()?.record;
        let wished = self.wish().shares_unseal;
        // Without seals it does not matter what is wished: see the last way.
        if shares.opens() == wished || self.first().is_none() {
            return None;
        }
        let (stored, what) = match (wished, wraps.quorum.is_some()) {
            (_, true) => (
                !wished,
                "where several ways open a store together, it stays as it was when that began",
            ),
            (true, false) => (
                false,
                "they are nobody's to wrap the root key for. New shares will open it: `keyfold \
                 operator rekey -init -target=recovery`",
            ),
            (false, false) if shares.idle().is_some() => (
                true,
                "it counts as soon as the seals are known to give the root key",
            ),
            (false, false) => (
                true,
                "they are of an older version. New shares will not open it: `keyfold operator rekey \
                 -init -target=recovery`",
            ),
        };
        let open = if stored { "open" } else { "do not open" };
        Some(format!(
            "seals {{ shares_unseal = {wished} }} is configured, and the shares {open} this store: \
             {what}"
        ))
    }

    /// Seals that work, and have no part yet. At the moment of a change that is nothing to speak of.
    fn remark_on_waiting(&self) -> Option<String> {
        let (slots, wraps) = (self.slots(), self.wraps());
        let require = wraps.quorum.as_ref()?.record.require;
        let waits = |slot: &&Arc<Slot>| {
            slot.is_active()
                && !slot.condition().is_ailing()
                && !wraps.seals.contains_key(&slot.name)
        };
        let waiting: Vec<_> = slots.iter().filter(waits).collect();
        let names: Vec<_> = waiting.iter().map(|slot| slot.name.as_str()).collect();
        (!names.is_empty()).then(|| {
            format!(
                "seal {} has no part of what opens this store yet: it gets one as soon as {require} \
                 ways are at hand together, which is when seals that have one work, or when the \
                 store is opened with shares",
                names.join(", ")
            )
        })
    }

    /// A wrap that no active seal stands behind and that is kept, as nothing else opens the store.
    fn remark_on_last_way(&self, wraps: &Wraps) -> Option<String> {
        let owned = wraps.seals.keys().filter(|name| self.has(name)).count();
        let ways = owned + usize::from(wraps.shares_open());
        let left: Vec<_> = wraps.seals.keys().filter(|name| !self.has(name)).collect();
        if ways >= wraps.required() || left.is_empty() {
            return None;
        }
        let left: Vec<_> = left.into_iter().map(String::as_str).collect();
        let left = left.join(", ");
        let instead = match &wraps.shares {
            Some(_) if wraps.quorum.is_none() => {
                "Make shares that open it (`keyfold operator rekey -init`, while its stanza says \
                 disabled), or configure another seal beside it"
            }
            _ => "Configure it as before, and another seal beside it",
        };
        Some(format!(
            "seal {left} is disabled or not configured any more, and nothing else opens this store: \
             its wrap is kept, and its stanza is needed to open the store. {instead}; then it can go"
        ))
    }
}
