//! The requests that a server is at, for whoever asks what it is doing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Method, Uri};
use keyfold_core::clock::{Clock as _, SystemClock, Time};
use keyfold_core::ports::host::Ongoing;

/// Requests that are known at a time. Where there are more, the oldest are not shown.
const PLACES: usize = 4096;

/// The requests under way, in a ring of places. A place is its request's own until the ring has come
/// round, so its lock is free.
pub struct Underway {
    places: Box<[Mutex<Option<Entry>>]>,
    next: AtomicUsize,
}

/// What is kept of a request is what it has already: nothing is copied but its id.
struct Entry {
    /// Which request of all it is.
    number: usize,
    id: String,
    began: Time,
    remote: Option<SocketAddr>,
    method: Method,
    uri: Uri,
}

/// Holds a request's place until it is answered.
pub struct Place<'a> {
    place: Option<&'a Mutex<Option<Entry>>>,
    number: usize,
}

impl Default for Underway {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
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
        method: &Method,
        uri: &Uri,
    ) -> Place<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let place = self.places.get(number % PLACES);
        if let Some(place) = place {
            *lock(place) = Some(Entry {
                number,
                id: id.to_owned(),
                began: SystemClock.now(),
                remote,
                method: method.clone(),
                uri: uri.clone(),
            });
        }
        Place { place, number }
    }

    /// As it is now.
    pub fn all(&self) -> BTreeMap<String, Ongoing> {
        let shown = self.places.iter().filter_map(|place| {
            let place = lock(place);
            let entry = place.as_ref()?;
            let ongoing = Ongoing {
                start_time: entry.began.rfc3339(),
                client_remote_address: entry.remote.map(|r| r.to_string()).unwrap_or_default(),
                request_path: entry.uri.path().to_owned(),
                request_method: entry.method.to_string(),
                client_id: String::new(),
            };
            Some((entry.id.clone(), ongoing))
        });
        shown.collect()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // Unless a later request has it by now.
            lock(place).take_if(|entry| entry.number == self.number);
        }
    }
}

/// Nothing panics while it holds a place.
fn lock(place: &Mutex<Option<Entry>>) -> MutexGuard<'_, Option<Entry>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_there_until_it_is_answered() {
        let underway = Underway::default();
        let first = underway.begin(
            "a",
            None,
            &Method::GET,
            &Uri::from_static("/v1/x?list=true"),
        );
        let second = underway.begin("b", None, &Method::PUT, &Uri::from_static("/v1/y"));
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
            .map(|n| {
                underway.begin(
                    &n.to_string(),
                    None,
                    &Method::GET,
                    &Uri::from_static("/v1/x"),
                )
            })
            .collect();
        assert_eq!(underway.all().len(), PLACES);
        drop(all);
        assert!(underway.all().is_empty());
    }
}
