//! The place where the uses of a version are counted.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use super::Open;
use super::callers::User;
use super::sheet::Sheet;
use super::uses::Uses;

/// Whose uses these are, and the sheet that is open for them, if one is.
pub(in super::super) struct Tally {
    /// The key's name when it was loaded.
    pub(super) name: Arc<str>,
    /// The key's id.
    pub(super) id: Arc<str>,
    pub(super) version: u32,
    sheet: ArcSwapOption<Sheet>,
    open: Weak<Open>,
}

impl Tally {
    pub(super) fn new(name: &str, id: &str, version: u32, open: &Arc<Open>) -> Self {
        Self {
            name: name.into(),
            id: id.into(),
            version,
            sheet: ArcSwapOption::empty(),
            open: Arc::downgrade(open),
        }
    }

    /// Adds what a call did.
    pub fn add(self: &Arc<Self>, uses: &Uses, user: User) {
        if let Some(sheet) = &*self.sheet.load() {
            return sheet.add(uses, user);
        }
        // The first use since the last turn: the sheet is written before anybody can close it.
        let fresh = Arc::new(Sheet::default());
        fresh.add(uses, user);
        let before = self
            .sheet
            .compare_and_swap(&None::<Arc<Sheet>>, Some(fresh));
        match &*before {
            Some(sheet) => sheet.add(uses, user),
            None => {
                if let Some(open) = self.open.upgrade() {
                    open.push(self.clone());
                }
            }
        }
    }

    /// Takes the sheet away. Calls that found it before may still add to it: it is whole when
    /// nobody else has it.
    pub(super) fn close(&self) -> Option<Arc<Sheet>> {
        self.sheet.swap(None)
    }
}
