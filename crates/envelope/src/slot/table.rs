//! The six sectors of an envelope and the slots in them.

use super::{SLOT_COUNT, SLOT_LEN, Slot, SlotState};
use crate::error::Error;
use crate::fields::{is_zero, put};

/// What stands in one sector of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sector {
    /// All zero.
    Empty,
    /// A slot starts here.
    Slot(Box<Slot>),
    /// More of the slot before.
    Continued,
    /// Neither: a write was torn, or the bytes were changed.
    Damaged,
}

/// The six sectors of an envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotTable {
    bytes: [u8; SLOT_COUNT * SLOT_LEN],
    sectors: [Sector; SLOT_COUNT],
}

impl SlotTable {
    /// A table with these slots from the first sector on, in their order of generations. Where a
    /// transit key is among them, a sector is left free: its rotation needs one.
    pub fn with(slots: Vec<Slot>) -> Result<Self, Error> {
        let spare = usize::from(slots.iter().any(|slot| slot.transit().is_some()));
        let mut bytes = Vec::with_capacity(SLOT_COUNT * SLOT_LEN);
        for (mut slot, generation) in slots.into_iter().zip(1..) {
            slot.generation = generation;
            bytes.extend(slot.encode()?);
        }
        if bytes.len() > SLOT_COUNT.saturating_sub(spare).saturating_mul(SLOT_LEN) {
            return Err(Error::NoFreeSlot);
        }
        Ok(Self::parse(&bytes))
    }

    /// Reads the six sectors. Total; bytes missing at the end count as zero.
    #[must_use]
    pub fn parse(table: &[u8]) -> Self {
        let mut bytes = [0u8; SLOT_COUNT * SLOT_LEN];
        let len = table.len().min(bytes.len());
        put(&mut bytes, 0, table.get(..len).unwrap_or_default());
        let mut continued = 0u8;
        let sectors = std::array::from_fn(|index| {
            let rest = bytes
                .get(index.saturating_mul(SLOT_LEN)..)
                .unwrap_or_default();
            if let Some(left) = continued.checked_sub(1) {
                continued = left;
                return Sector::Continued;
            }
            if rest.get(..SLOT_LEN).is_some_and(is_zero) {
                return Sector::Empty;
            }
            let Some(slot) = Slot::parse(rest) else {
                return Sector::Damaged;
            };
            continued = slot.span.saturating_sub(1);
            Sector::Slot(Box::new(slot))
        });
        Self { bytes, sectors }
    }

    /// The bytes of all sectors.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; SLOT_COUNT * SLOT_LEN] {
        &self.bytes
    }

    /// The sectors in order.
    #[must_use]
    pub fn sectors(&self) -> &[Sector; SLOT_COUNT] {
        &self.sectors
    }

    /// The readable slots with the number of their first sector.
    pub fn slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.sectors
            .iter()
            .enumerate()
            .filter_map(|(index, sector)| match sector {
                Sector::Slot(slot) => Some((index, &**slot)),
                _ => None,
            })
    }

    /// How many sectors are damaged.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.sectors
            .iter()
            .filter(|sector| **sector == Sector::Damaged)
            .count()
    }

    /// The readable slots in the order in which a reader tries them: active, pending, retired, and
    /// in each of these the newest version and generation first.
    #[must_use]
    pub fn candidates(&self) -> Vec<(usize, &Slot)> {
        let mut slots: Vec<_> = self.slots().collect();
        slots.sort_by_key(|(_, slot)| {
            (
                slot.state,
                std::cmp::Reverse((slot.version, slot.generation)),
            )
        });
        slots
    }

    /// The sector that a new slot is written to: an empty one, else a damaged one (which no reader
    /// takes), else the retired slot with the lowest generation. Never an active or pending one, and
    /// never the sector `keep`, which the new slot is made from.
    #[must_use]
    pub fn free_sector(&self, keep: usize) -> Option<usize> {
        let position = |wanted: Sector| self.sectors.iter().position(|sector| *sector == wanted);
        let retired = || {
            self.slots()
                .filter(|(index, _)| *index != keep)
                .filter(|(_, slot)| slot.state == SlotState::Retired && slot.span == 1)
                .min_by_key(|(_, slot)| slot.generation)
                .map(|(index, _)| index)
        };
        position(Sector::Empty)
            .or_else(|| position(Sector::Damaged))
            .or_else(retired)
    }

    /// The first of the sectors that a slot of any span is written to, beside all those in use, so
    /// that the transit keys can still be rotated. Of several places the one is taken that
    /// overwrites the fewest and oldest retired slots.
    #[must_use]
    pub fn free_run(&self, slot: &Slot) -> Option<usize> {
        let mut in_use = [false; SLOT_COUNT];
        let mut age = [0; SLOT_COUNT];
        let mut rotates = slot.transit().is_some();
        for (index, found) in self.slots() {
            let sectors = index..index.saturating_add(found.span.into());
            let retired = found.state == SlotState::Retired;
            rotates |= !retired && found.transit().is_some();
            in_use.get_mut(sectors.clone())?.fill(!retired);
            age.get_mut(sectors)?.fill(found.generation);
        }
        let free = in_use.iter().filter(|in_use| !**in_use).count();
        let span = usize::from(slot.span);
        if span.checked_add(usize::from(rotates))? > free {
            return None;
        }
        let runs = (0..SLOT_COUNT).filter_map(|start| {
            let sectors = start..start.checked_add(span)?;
            let in_use = in_use.get(sectors.clone())?.contains(&true);
            let ages = age.get(sectors)?;
            let retired = ages.iter().filter(|age| **age > 0).count();
            (!in_use).then_some((retired, ages.iter().max(), start))
        });
        runs.min().map(|(_, _, start)| start)
    }

    /// The generation of the next slot to be written.
    #[must_use]
    pub fn next_generation(&self) -> u32 {
        let newest = self.slots().map(|(_, slot)| slot.generation).max();
        newest.map_or(1, |generation| generation.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    fn table(slots: &[Option<Slot>]) -> SlotTable {
        let sectors = slots.iter().map(|slot| match slot {
            Some(slot) => slot.encode().unwrap(),
            None => vec![0; SLOT_LEN],
        });
        SlotTable::parse(&sectors.flatten().collect::<Vec<u8>>())
    }

    fn retired(version: u32) -> Option<Slot> {
        Some(Slot {
            state: SlotState::Retired,
            ..sample(version)
        })
    }

    #[test]
    fn a_spanned_slot_is_one_slot() {
        let mut bytes = sample(1).encode().unwrap();
        bytes[504..].fill(0);
        bytes.resize(2 * SLOT_LEN, 0);
        bytes[1] = 7;
        bytes[2] = 2;
        bytes[160..162].copy_from_slice(&512u16.to_be_bytes());
        bytes[162..674].fill(9);
        bytes[1016..1020].copy_from_slice(&5u32.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..1020]);
        bytes[1020..].copy_from_slice(&crc.to_be_bytes());
        let slot = Slot {
            generation: 5,
            blob: vec![9; 512],
            kind: 7,
            span: 2,
            ..sample(1)
        };
        assert_eq!(slot.encode().unwrap(), bytes);
        let table = SlotTable::parse(&bytes);
        let [Sector::Slot(slot), Sector::Continued, Sector::Empty, ..] = table.sectors() else {
            panic!("{:?}", table.sectors());
        };
        assert_eq!(
            (slot.generation, slot.blob.len(), slot.transit()),
            (5, 512, None)
        );
        assert_eq!(table.free_sector(0), Some(2));
    }

    #[test]
    fn a_slot_has_the_sectors_that_its_wrap_needs() {
        for (len, span) in [(1, 1), (342, 1), (343, 2), (1168, 3), (2902, 6)] {
            let slot = Slot::new(9, vec![1; len]);
            assert_eq!(slot.span, span);
            let table = SlotTable::with(vec![slot.clone()]).unwrap();
            let found = table.slots().next().unwrap().1;
            assert_eq!((&found.blob, found.generation), (&slot.blob, 1));
        }
        let slot = Slot::new(9, vec![1; 2903]);
        assert!(matches!(slot.encode(), Err(Error::WrapSize(2903))));
        let three = || Slot::new(9, vec![1; 1000]);
        assert!(SlotTable::with(vec![three(), three()]).is_ok());
        let seven = SlotTable::with(vec![three(), sample(1), three()]);
        assert!(matches!(seven.err(), Some(Error::NoFreeSlot)));
    }

    #[test]
    fn readers_try_the_newest_active_slot_first() {
        let table = table(&[retired(9), Some(sample(1)), Some(sample(3)), retired(2)]);
        let order: Vec<_> = table.candidates().iter().map(|(index, _)| *index).collect();
        assert_eq!(order, [2, 1, 0, 3]);
    }

    #[test]
    fn writers_never_take_a_slot_in_use() {
        assert_eq!(table(&[Some(sample(1)), None]).free_sector(0), Some(1));
        let full = [
            retired(3),
            retired(2),
            Some(sample(6)),
            retired(4),
            retired(5),
            retired(7),
        ];
        assert_eq!(table(&full).free_sector(2), Some(1));
        assert_eq!(table(&full).free_sector(1), Some(0), "the source is kept");
        let active = (1..=6).map(|v| Some(sample(v))).collect::<Vec<_>>();
        assert_eq!(table(&active).free_sector(0), None);
        let mut bytes = *table(&full).as_bytes();
        bytes[4 * SLOT_LEN + 100] ^= 1;
        assert_eq!(
            SlotTable::parse(&bytes).free_sector(2),
            Some(4),
            "damaged before retired"
        );
        assert_eq!(table(&full).next_generation(), 8);
        assert_eq!(table(&[]).next_generation(), 1);
    }
    #[test]
    fn a_slot_of_several_sectors_is_put_beside_those_in_use() {
        let three = Slot::new(9, vec![1; 1000]);
        let (one, active) = (Slot::new(9, vec![1]), || Some(sample(9)));
        let run = |slots: &[Option<Slot>], slot: &Slot| table(slots).free_run(slot);
        assert_eq!(run(&[], &three), Some(0));
        assert_eq!(run(&[active()], &three), Some(1));
        let three_used = [active(), active(), active()];
        assert_eq!(run(&three_used, &three), None, "a free one is left");
        assert_eq!(run(&[None, None, active()], &three), Some(3));
        assert_eq!(run(&[None, active(), None, None, active()], &three), None);
        // Empty ones first, then the oldest retired ones.
        let full = [
            retired(3),
            retired(2),
            active(),
            retired(4),
            retired(5),
            retired(6),
        ];
        assert_eq!(run(&full, &one), Some(1));
        assert_eq!(run(&full, &three), Some(3));
        assert_eq!(run(&[retired(3), active(), retired(2)], &one), Some(3));
        // What no server rotates needs no free sector.
        let other = Slot {
            kind: 9,
            ..sample(1)
        };
        let others = [(); 5].map(|()| Some(other.clone()));
        assert_eq!(run(&others, &one), Some(5));
        assert_eq!(run(&others, &sample(1)), None);
        let wide = Slot { span: 7, ..one };
        assert_eq!(run(&[], &wide), None);
    }
}
