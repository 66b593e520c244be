//! The requests that a server is at, for whoever asks what it is doing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use keyfold_core::clock::{Clock as _, SystemClock, Time};
use keyfold_core::ports::host::Ongoing;

/// Requests that are known at a time. Where there are more, the oldest are not shown.
const PLACES: usize = 4096;

/// The requests under way, in a ring of places that are taken without a lock.
pub struct Underway {
    places: Box<[ArcSwapOption<Entry>]>,
    next: AtomicUsize,
}

struct Entry {
    id: String,
    began: Time,
    remote: Option<SocketAddr>,
    method: String,
    path: String,
}

/// Holds a request's place until it is answered.
pub struct Place<'a> {
    place: Option<&'a ArcSwapOption<Entry>>,
    entry: Arc<Entry>,
}

impl Default for Underway {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| ArcSwapOption::empty()).collect(),
            next: AtomicUsize::new(0),
        }
    }
}

impl Underway {
    /// A request begins.
    pub fn begin(
        &self,
        id: &str,
        remote: Option<SocketAddr>,
        method: &str,
        path: &str,
    ) -> Place<'_> {
        let entry = Arc::new(Entry {
            id: id.to_owned(),
            began: SystemClock.now(),
            remote,
            method: method.to_owned(),
            path: path.to_owned(),
        });
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let place = self.places.get(next % PLACES);
        if let Some(place) = place {
            place.store(Some(entry.clone()));
        }
        Place { place, entry }
    }

    /// As it is now.
    pub fn all(&self) -> BTreeMap<String, Ongoing> {
        let entries = self.places.iter().filter_map(ArcSwapOption::load_full);
        let shown = entries.map(|entry| {
            let ongoing = Ongoing {
                start_time: entry.began.rfc3339(),
                client_remote_address: entry.remote.map(|r| r.to_string()).unwrap_or_default(),
                request_path: entry.path.clone(),
                request_method: entry.method.clone(),
                client_id: String::new(),
            };
            (entry.id.clone(), ongoing)
        });
        shown.collect()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // Unless a later request has it by now.
            place.compare_and_swap(&self.entry, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_there_until_it_is_answered() {
        let underway = Underway::default();
        let first = underway.begin("a", None, "GET", "/v1/x");
        let second = underway.begin("b", None, "PUT", "/v1/y");
        let all = underway.all();
        assert_eq!(all["a"].request_path, "/v1/x");
        assert_eq!(all["b"].request_method, "PUT");
        drop(first);
        assert_eq!(underway.all().len(), 1);
        drop(second);
        assert!(underway.all().is_empty());
    }

    #[test]
    fn more_than_there_are_places_for() {
        let underway = Underway::default();
        let all: Vec<_> = (0..PLACES + 10)
            .map(|n| underway.begin(&n.to_string(), None, "GET", "/v1/x"))
            .collect();
        assert_eq!(underway.all().len(), PLACES);
        drop(all);
        assert!(underway.all().is_empty());
    }
}
