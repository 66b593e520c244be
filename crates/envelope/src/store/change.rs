//! [`Change`]: what a job wants of one item, guarded by what it was planned on.

use crate::error::Error;
use crate::header::{HEADER_LEN, Header, Prelude, SLOTS_AT};
use crate::key_service::WrappedDek;
use crate::slot::{SLOT_LEN, Sector, Slot, SlotState};

use super::Written;

/// A change of one item's wraps.
///
/// A store of single wraps replaces [`Change::old_wrap`] by [`Change::new_wrap`], where the old one
/// still stands. A store that replaces headers as a whole asks for [`Change::whole`]. A store that
/// writes sectors in place takes two steps, and makes the first durable before the second:
/// [`Change::add`], then [`Change::retire`].
#[derive(Clone)]
pub struct Change {
    /// The envelope; `None` for a wrap that stands alone.
    pub(crate) prelude: Option<Prelude>,
    /// The wrap that the new one was made from, and its sector.
    pub(crate) source: (usize, Slot),
    /// Older wraps to retire as well.
    pub(crate) superseded: Vec<(usize, Slot)>,
    /// The new wrap; without one only `superseded` is retired. Its generation is set by `add`.
    pub(crate) new: Option<Slot>,
    /// The source stays in use beside the new wrap.
    pub(crate) keeps_source: bool,
}

/// What the first step writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// Nothing: there are old wraps to retire only.
    Nothing,
    /// This slot, to the sector of that number.
    Slot(usize, Box<Slot>),
    /// Nothing, and no second step: another run was faster.
    Overtaken,
}

impl Change {
    /// The wrap that has to be there for the change to be made.
    #[must_use]
    pub fn old_wrap(&self) -> WrappedDek {
        wrap_of(&self.source.1)
    }

    /// The wrap to put in its place; without one there is nothing to do for a single wrap.
    #[must_use]
    pub fn new_wrap(&self) -> Option<WrappedDek> {
        self.new.as_ref().map(wrap_of)
    }

    /// The first step on a header as it stands: the new wrap and its sector, one that holds nothing
    /// in use.
    pub fn add(&self, header: &Header) -> Result<Added, Error> {
        let (source_index, source) = &self.source;
        if !self.is_of(header) || !holds(header, *source_index, source) {
            return match &self.new {
                Some(new) if self.has_newer(header, new) => Ok(Added::Overtaken),
                _ => Err(Error::SlotsChanged),
            };
        }
        let Some(new) = &self.new else {
            return Ok(Added::Nothing);
        };
        let sector = header
            .slots
            .free_sector(*source_index)
            .ok_or(Error::NoFreeSlot)?;
        let new = Slot {
            generation: header.slots.next_generation(),
            ..new.clone()
        };
        Ok(Added::Slot(sector, Box::new(new)))
    }

    /// The second step, on the header as it stands after the first: the sectors to write, with the
    /// old wraps marked retired. [`Error::SlotsChanged`] where another envelope took this one's place
    /// meanwhile, [`Error::WriteLost`] where the new wrap is not there.
    pub fn retire(&self, header: &Header, added: &Added) -> Result<Vec<(usize, Slot)>, Error> {
        let mut old: Vec<&(usize, Slot)> = Vec::new();
        match added {
            Added::Overtaken => return Ok(Vec::new()),
            Added::Nothing => {}
            Added::Slot(sector, new) => {
                if !self.is_of(header) {
                    return Err(Error::SlotsChanged);
                }
                if !holds(header, *sector, new) {
                    // Another run may have gone further meanwhile.
                    return match self.has_newer(header, new) {
                        true => Ok(Vec::new()),
                        false => Err(Error::WriteLost),
                    };
                }
                if !self.keeps_source && self.source.1.state != SlotState::Retired {
                    old.push(&self.source);
                }
            }
        }
        old.extend(&self.superseded);
        // Another run may have retired a left-over meanwhile.
        old.retain(|(index, slot)| holds(header, *index, slot));
        let retired = old.into_iter().map(|(index, slot)| {
            let state = SlotState::Retired;
            let slot = slot.clone();
            (*index, Slot { state, ..slot })
        });
        Ok(retired.collect())
    }

    /// Both steps at once: the header to put in the place of this one; `None` where another run was
    /// faster.
    pub fn whole(&self, header: &Header) -> Result<Option<([u8; HEADER_LEN], Written)>, Error> {
        let added = self.add(header)?;
        let mut bytes = header.encode();
        let mut written = Written::default();
        match &added {
            Added::Overtaken => return Ok(None),
            Added::Nothing => {}
            Added::Slot(sector, slot) => {
                put_sector(&mut bytes, *sector, slot)?;
                written.new_wrap = true;
            }
        }
        for (sector, slot) in self.retire(&Header::parse(&bytes)?, &added)? {
            put_sector(&mut bytes, sector, &slot)?;
        }
        written.bytes = HEADER_LEN as u64;
        Ok(Some((bytes, written)))
    }

    /// The same envelope: a header of another one is not changed whatever its slots are.
    fn is_of(&self, header: &Header) -> bool {
        self.prelude.as_ref() == Some(&header.prelude)
    }

    /// True where another run was faster: the same envelope has an active wrap at least as new.
    fn has_newer(&self, header: &Header, new: &Slot) -> bool {
        let mut slots = header.slots.slots();
        self.is_of(header)
            && slots.any(|(_, slot)| {
                slot.state == SlotState::Active
                    && slot.locator == new.locator
                    && slot.kek_id == new.kek_id
                    && slot.version >= new.version
            })
    }
}

/// True where the sector holds exactly this slot.
fn holds(header: &Header, index: usize, slot: &Slot) -> bool {
    matches!(header.slots.sectors().get(index), Some(Sector::Slot(found)) if **found == *slot)
}

fn wrap_of(slot: &Slot) -> WrappedDek {
    WrappedDek {
        version: slot.version,
        blob: slot.blob.clone(),
    }
}

/// Where a sector starts in the file.
pub(super) fn sector_at(sector: usize) -> usize {
    sector.saturating_mul(SLOT_LEN).saturating_add(SLOTS_AT)
}

fn put_sector(header: &mut [u8; HEADER_LEN], sector: usize, slot: &Slot) -> Result<(), Error> {
    let at = sector_at(sector);
    let bytes = slot.encode()?;
    let place = header.get_mut(at..at.saturating_add(bytes.len()));
    place.ok_or(Error::NoFreeSlot)?.copy_from_slice(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::labels::Labels;
    use crate::slot::SlotTable;
    use crate::slot::tests::sample;

    fn header() -> Header {
        Header {
            prelude: Prelude::new([7; 16], &Context::new(), &Labels::default()).unwrap(),
            slots: SlotTable::with(vec![sample(1)]).unwrap(),
            salt: [3; 24],
            commitment: [4; 32],
        }
    }

    fn change(header: &Header, version: u32) -> Change {
        Change {
            prelude: Some(header.prelude.clone()),
            source: (0, sample(1)),
            superseded: Vec::new(),
            new: Some(sample(version)),
            keeps_source: false,
        }
    }

    #[test]
    fn a_header_replaced_whole_has_both_steps() {
        let before = header();
        let (bytes, written) = change(&before, 2).whole(&before).unwrap().unwrap();
        let after = Header::parse(&bytes).unwrap();
        let states: Vec<_> = after
            .slots
            .slots()
            .map(|(_, s)| (s.version, s.state))
            .collect();
        assert_eq!(states, [(1, SlotState::Retired), (2, SlotState::Active)]);
        assert_eq!((written.bytes, written.new_wrap), (4096, true));
        assert!(after.prelude == before.prelude && after.commitment == before.commitment);

        // The same change again is overtaken by itself; one that wants more finds another state.
        assert!(change(&before, 2).whole(&after).unwrap().is_none());
        let refused = change(&before, 3).whole(&after).err();
        assert!(matches!(refused, Some(Error::SlotsChanged)));
    }

    #[test]
    fn a_header_of_another_envelope_is_left_alone() {
        let before = header();
        let other = Header {
            prelude: Prelude::new([8; 16], &Context::new(), &Labels::default()).unwrap(),
            ..header()
        };
        let change = change(&before, 2);
        assert!(matches!(change.add(&other), Err(Error::SlotsChanged)));
        let added = change.add(&before).unwrap();
        assert!(matches!(
            change.retire(&other, &added),
            Err(Error::SlotsChanged)
        ));
    }

    #[test]
    fn nothing_is_retired_before_the_new_wrap_stands() {
        let before = header();
        let change = change(&before, 2);
        let added = change.add(&before).unwrap();
        assert!(matches!(
            change.retire(&before, &added),
            Err(Error::WriteLost)
        ));
    }

    #[test]
    fn a_source_that_stays_is_not_retired() {
        let before = header();
        let change = Change {
            keeps_source: true,
            ..change(&before, 2)
        };
        let (bytes, _) = change.whole(&before).unwrap().unwrap();
        let slots = Header::parse(&bytes).unwrap().slots;
        assert!(
            slots
                .slots()
                .all(|(_, slot)| slot.state == SlotState::Active)
        );
        assert_eq!(slots.slots().count(), 2);
    }

    #[test]
    fn a_single_wrap_is_replaced_by_its_text() {
        let change = Change {
            prelude: None,
            ..change(&header(), 5)
        };
        assert_eq!(change.old_wrap().version, 1);
        assert_eq!(change.new_wrap().unwrap().version, 5);
    }
}
