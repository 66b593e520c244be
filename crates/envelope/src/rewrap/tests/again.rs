//! What somebody else holds or changes at the same time is tried again.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::cobblestone::PayloadKey;
use crate::key_service::{KeyService as _, RewrapItem, WrappedDek};
use crate::store::Found;

/// One wrap, whose changes are refused as a script says before one is made.
pub(super) struct Row {
    held: Mutex<Option<WrappedDek>>,
    script: Mutex<VecDeque<Refusal>>,
}

pub(super) enum Refusal {
    Busy,
    /// Somebody puts this in its place.
    Changed(WrappedDek),
    Gone,
}

impl Row {
    pub(super) fn new(held: WrappedDek, script: impl IntoIterator<Item = Refusal>) -> Self {
        Self {
            held: Mutex::new(Some(held)),
            script: Mutex::new(script.into_iter().collect()),
        }
    }

    pub(super) fn held(&self) -> Option<WrappedDek> {
        self.held.lock().unwrap().clone()
    }

    fn version(&self) -> Option<u32> {
        self.held().map(|wrapped| wrapped.version)
    }
}

impl Store for Row {
    type Entry = ();

    fn list(&self) -> Box<dyn Iterator<Item = Result<(), Unreadable>> + Send + '_> {
        Box::new(std::iter::once(Ok(())))
    }

    fn count(&self) -> Option<u64> {
        Some(1)
    }

    fn batch(&self) -> usize {
        1
    }

    fn name(&self, _: &()) -> PathBuf {
        PathBuf::from("row")
    }

    fn read(&self, entries: &mut [()]) -> Vec<Result<Option<Found>, Error>> {
        let held = self.held.lock().unwrap().clone();
        let found = |wrapped| Found {
            content: Content::Wrap {
                locator: locator(),
                wrapped,
                aad: None,
            },
            len: 0,
        };
        entries
            .iter()
            .map(|()| Ok(held.clone().map(found)))
            .collect()
    }

    fn change(&self, changes: &[(&(), &Change)]) -> Vec<Result<Written, Error>> {
        let one = |(_, change): &(&(), &Change)| {
            let mut held = self.held.lock().unwrap();
            match self.script.lock().unwrap().pop_front() {
                Some(Refusal::Busy) => return Err(Error::Busy),
                Some(Refusal::Changed(other)) => *held = Some(other),
                Some(Refusal::Gone) => *held = None,
                None => {}
            }
            if *held != Some(change.old_wrap()) {
                return Err(Error::SlotsChanged);
            }
            *held = change.new_wrap();
            Ok(Written {
                bytes: 1,
                new_wrap: true,
            })
        };
        changes.iter().map(one).collect()
    }

    fn check_payload(&self, _: &(), _: &PayloadKey) -> Result<(), Error> {
        Ok(())
    }

    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) fn wrap(service: &Service) -> WrappedDek {
    let dek = keyfold_secret::Protected::init_with(|dek| dek.fill(7));
    service.wrap(&locator(), &dek, None).unwrap()
}

fn rewrapped(service: &Service, row: &Row) -> RewrapReport {
    rewrap(service, row, &RewrapOptions::default(), &NoProgress).unwrap()
}

#[test]
fn what_was_held_is_tried_again() {
    let service = Service::unbound();
    let old = wrap(&service);
    service.rotate();
    let row = Row::new(old, [Refusal::Busy, Refusal::Busy]);
    let report = rewrapped(&service, &row);
    assert_eq!(
        (report.envelopes, report.rewrapped, report.failed),
        (1, 1, 0)
    );
    assert_eq!(row.version(), Some(2));
}

#[test]
fn what_stays_held_is_named() {
    let service = Service::unbound();
    let old = wrap(&service);
    service.rotate();
    let row = Row::new(old, (0..9).map(|_| Refusal::Busy));
    let report = rewrapped(&service, &row);
    assert_eq!((report.rewrapped, report.failed), (0, 1));
    assert!(matches!(
        report.failures[..],
        [Unreadable {
            error: Error::Busy,
            ..
        }]
    ));
    assert_eq!(row.version(), Some(1));
}

#[test]
fn what_changed_meanwhile_is_read_again_and_never_gets_the_wrap_of_what_it_was() {
    let service = Service::unbound();
    let (old, other) = (wrap(&service), wrap(&service));
    service.rotate();
    let row = Row::new(old, [Refusal::Changed(other.clone())]);
    let report = rewrapped(&service, &row);
    assert_eq!(
        (report.envelopes, report.rewrapped, report.failed),
        (1, 1, 0)
    );
    assert_eq!(
        service.calls().rewrap_items,
        2,
        "the wrap that came was sent, too"
    );
    let held = row.held.lock().unwrap().clone().unwrap();
    let item = RewrapItem {
        wrapped: other,
        aad: None,
    };
    assert_eq!(
        service.rewrap(&locator(), &[item]).unwrap()[0]
            .as_ref()
            .unwrap()
            .version,
        held.version
    );
    assert!(service.unwrap(&locator(), &held, None).is_ok());
}

#[test]
fn what_somebody_else_moved_needs_nothing() {
    let service = Service::unbound();
    let old = wrap(&service);
    service.rotate();
    let row = Row::new(old, [Refusal::Changed(wrap(&service))]);
    let report = rewrapped(&service, &row);
    assert_eq!(
        (report.already_newest, report.rewrapped, report.failed),
        (1, 0, 0)
    );
}

#[test]
fn what_changes_each_time_is_named() {
    let service = Service::unbound();
    let wraps: Vec<_> = (0..4).map(|_| wrap(&service)).collect();
    service.rotate();
    let changes = wraps[1..].iter().cloned().map(Refusal::Changed);
    let row = Row::new(wraps[0].clone(), changes);
    let report = rewrapped(&service, &row);
    assert!(matches!(
        report.failures[..],
        [Unreadable {
            error: Error::SlotsChanged,
            ..
        }]
    ));
    assert_eq!(row.version(), Some(1));
}

#[test]
fn what_is_gone_needs_nothing() {
    let service = Service::unbound();
    let old = wrap(&service);
    service.rotate();
    let report = rewrapped(&service, &Row::new(old, [Refusal::Gone]));
    assert_eq!((report.failed, report.rewrapped), (0, 0));
}
