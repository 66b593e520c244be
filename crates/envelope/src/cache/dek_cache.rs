//! [`DekCache`]: the rules of [`super::table`] between threads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyfold_keys::rng;

use super::clock::{Clock, Moment, SystemClock};
use super::counters::CacheCounters;
use super::flight::Flight;
use super::id::CacheId;
use super::limits::CacheLimits;
use super::table::{Found, Load, Table};
use super::worker::{Job, Worker};
use crate::key_service::ServiceError;

/// A question to the server, to be put at most once.
pub type Ask<V> = Box<dyn FnOnce() -> Result<V, ServiceError> + Send>;

/// DEKs, or what is made of them, that a server gave. `V` keeps its key bytes in protected pages and
/// wipes them when it is dropped.
///
/// Several threads and several identities may use one cache. A call for a DEK that is not there asks
/// the server; calls for the same one meanwhile wait for that answer. A DEK that is used near the
/// end of its age is asked for again on a thread of the cache's own.
pub struct DekCache<V> {
    clock: Arc<dyn Clock>,
    state: Mutex<State<V>>,
    worker: Worker<V>,
}

struct State<V> {
    table: Table<V>,
    /// Questions without an answer yet.
    flights: HashMap<CacheId, Arc<Flight>>,
    /// Grows with each [`DekCache::clear`]: an answer to a question of before is not kept.
    epoch: u64,
    counters: CacheCounters,
}

/// What a caller has to do.
enum Step<V> {
    Done(Arc<V>),
    Refresh(Arc<V>),
    Wait(Arc<Flight>),
    Lead(Arc<Flight>, u64),
}

impl<V: Send + Sync + 'static> DekCache<V> {
    /// An empty cache.
    #[must_use]
    pub fn new(limits: CacheLimits) -> Arc<Self> {
        Self::with_clock(limits, Arc::new(SystemClock::new()))
    }

    /// An empty cache with another clock.
    #[must_use]
    pub fn with_clock(limits: CacheLimits, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State {
            table: Table::new(limits),
            flights: HashMap::new(),
            epoch: 0,
            counters: CacheCounters::default(),
        };
        Arc::new(Self {
            clock,
            state: Mutex::new(state),
            worker: Worker::new(),
        })
    }

    /// The DEK of this name for one use of so much `load`; `question` makes the question for when
    /// the server has to be asked.
    ///
    /// # Errors
    ///
    /// The server's. There is no answer without it but what [`CacheLimits`] allows.
    pub fn fetch(
        self: &Arc<Self>,
        id: CacheId,
        load: Load,
        question: impl FnOnce() -> Ask<V>,
    ) -> Result<Arc<V>, ServiceError> {
        let mut counted = false;
        loop {
            match self.step(id, load, &mut counted) {
                Step::Done(value) => return Ok(value),
                Step::Refresh(value) => {
                    let ask = question();
                    self.worker.push(Job { id, ask });
                    return Ok(value);
                }
                Step::Lead(flight, epoch) => {
                    let lead = Lead::new(self, id, flight, epoch);
                    return self.answer(&lead, load, question());
                }
                // The answer is looked up like any other: this use counts, too.
                Step::Wait(flight) => {
                    if let Err(error) = flight.wait() {
                        return self.without_answer(&id, error);
                    }
                }
            }
        }
    }

    /// Drops everything, also what is being asked for: after a revocation or a shredding.
    pub fn clear(&self) {
        let mut state = self.state();
        state.table.clear();
        state.epoch = state.epoch.wrapping_add(1);
    }

    /// What it did so far.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        let state = self.state();
        CacheCounters {
            entries: state.table.len() as u64,
            ..state.counters
        }
    }

    /// What time its clock says.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Asks again for a DEK whose age is about to end. On the worker's thread.
    pub(super) fn refresh(self: &Arc<Self>, job: Job<V>) {
        let now = self.clock.now();
        let lead = {
            let mut state = self.state();
            // An earlier job may have done it, and a caller may be about to.
            let wanted = state.table.wants_refresh(&job.id, now);
            if !wanted || state.flights.contains_key(&job.id) {
                return;
            }
            let flight = Arc::new(Flight::default());
            state.flights.insert(job.id, Arc::clone(&flight));
            Lead::new(self, job.id, flight, state.epoch)
        };
        let done = self.answer(&lead, Load::default(), job.ask);
        let mut state = self.state();
        let counters = &mut state.counters;
        let count = match done {
            Ok(_) => &mut counters.refreshes,
            Err(_) => &mut counters.failed_refreshes,
        };
        *count = count.saturating_add(1);
    }

    /// Wipes what may not be used any more.
    pub(super) fn sweep(&self) {
        let now = self.clock.now();
        self.state().table.sweep(now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().table.len() == 0
    }

    pub(super) fn worker(&self) -> &Worker<V> {
        &self.worker
    }

    fn step(&self, id: CacheId, load: Load, counted: &mut bool) -> Step<V> {
        let now = self.clock.now();
        let mut state = self.state();
        let found = state.table.find(&id, load, now);
        let counters = &mut state.counters;
        let count = match &found {
            Found::Fresh { .. } => &mut counters.hits,
            Found::Offline(_) => &mut counters.offline_uses,
            Found::Missing => &mut counters.misses,
        };
        // One call counts once, also where it waits and looks again.
        if !std::mem::replace(counted, true) {
            *count = count.saturating_add(1);
        }
        match found {
            Found::Fresh {
                value,
                refresh: true,
            } => Step::Refresh(value),
            Found::Fresh { value, .. } | Found::Offline(value) => Step::Done(value),
            Found::Missing => {
                if let Some(flight) = state.flights.get(&id) {
                    return Step::Wait(Arc::clone(flight));
                }
                let flight = Arc::new(Flight::default());
                state.flights.insert(id, Arc::clone(&flight));
                Step::Lead(flight, state.epoch)
            }
        }
    }

    /// Puts the question and keeps what its answer is worth.
    fn answer(
        self: &Arc<Self>,
        lead: &Lead<'_, V>,
        load: Load,
        ask: Ask<V>,
    ) -> Result<Arc<V>, ServiceError> {
        let created = self.clock.now();
        let answer = ask();
        let now = self.clock.now();
        match answer {
            Ok(value) => {
                let value = Arc::new(value);
                {
                    let mut state = self.state();
                    if state.epoch == lead.epoch {
                        let [jitter] = rng::bytes();
                        let times = (created, now);
                        let kept = Arc::clone(&value);
                        let evicted = state.table.insert(lead.id, kept, load, times, jitter);
                        let evictions = &mut state.counters.evictions;
                        *evictions = evictions.saturating_add(evicted);
                    }
                }
                self.worker.start(self);
                lead.end_with(Ok(()));
                Ok(value)
            }
            Err(error) => {
                if is_final(&error) {
                    let mut state = self.state();
                    let removed = state.table.remove(&lead.id);
                    let refusals = &mut state.counters.refusals;
                    *refusals = refusals.saturating_add(u64::from(removed));
                }
                lead.end_with(Err(error.clone()));
                self.without_answer(&lead.id, error)
            }
        }
    }

    /// The error, or the DEK of before where nobody answered and that is allowed.
    fn without_answer(&self, id: &CacheId, error: ServiceError) -> Result<Arc<V>, ServiceError> {
        if !is_outage(&error) {
            return Err(error);
        }
        let now = self.clock.now();
        let mut state = self.state();
        let Some(value) = state.table.offline(id, now) else {
            return Err(error);
        };
        let uses = &mut state.counters.offline_uses;
        *uses = uses.saturating_add(1);
        Ok(value)
    }

    fn state(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever asks for the others. Dropped on the way, by a panic, it tells them that nothing came.
struct Lead<'a, V: Send + Sync + 'static> {
    cache: &'a DekCache<V>,
    id: CacheId,
    flight: Arc<Flight>,
    epoch: u64,
}

impl<'a, V: Send + Sync + 'static> Lead<'a, V> {
    fn new(cache: &'a DekCache<V>, id: CacheId, flight: Arc<Flight>, epoch: u64) -> Self {
        Self {
            cache,
            id,
            flight,
            epoch,
        }
    }

    /// After this the next call for the DEK finds it, or asks anew.
    fn end_with(&self, result: Result<(), ServiceError>) {
        let mut state = self.cache.state();
        if let Some(flight) = state.flights.get(&self.id)
            && Arc::ptr_eq(flight, &self.flight)
        {
            state.flights.remove(&self.id);
        }
        drop(state);
        self.flight.end_with(result);
    }
}

impl<V: Send + Sync + 'static> Drop for Lead<'_, V> {
    fn drop(&mut self) {
        let unfinished = "the request was not finished".to_owned();
        self.end_with(Err(ServiceError::Other(unfinished)));
    }
}

/// The server answered, and does not give the DEK any more.
fn is_final(error: &ServiceError) -> bool {
    matches!(
        error,
        ServiceError::Denied
            | ServiceError::NotFound
            | ServiceError::BelowMinimum
            | ServiceError::WrongKey
    )
}

fn is_outage(error: &ServiceError) -> bool {
    matches!(error, ServiceError::Unreachable(_) | ServiceError::Sealed)
}
