//! [`Watcher`]: whoever looks at a long job over many items: a bar, lines for programs, a journal.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use keyfold_client::Setup;
use keyfold_envelope::{Done, Error, Outcome, Progress, Watch};
use serde_json::Value;

use super::events::Events;
use super::interrupt::Stop;
use super::journal::Journal;
use crate::error::{CliError, envelope_hint};
use crate::exit::{self, Exit};
use crate::output::{self, Output};
use crate::progress::Bar;
use crate::session::Session;

/// Watches one job.
pub(super) struct Watcher {
    output: Output,
    setup: Setup,
    bar: Bar,
    events: Option<Events>,
    journal: Option<Journal>,
    stop: Stop,
    seen: Mutex<Seen>,
}

/// What is watched, and how.
pub(super) struct Watched<'a> {
    /// The command.
    pub(super) what: &'a str,
    pub(super) dry_run: bool,
    /// Lines for programs.
    pub(super) json: bool,
    pub(super) journal: Option<&'a Path>,
}

#[derive(Default)]
struct Seen {
    /// The exit codes of the failures.
    codes: BTreeSet<u8>,
    /// What went wrong with the journal: the job ends then.
    journal: Option<CliError>,
}

impl Watcher {
    pub(super) fn start(
        session: &Session,
        bar: Bar,
        watched: &Watched<'_>,
    ) -> Result<Self, CliError> {
        let journal = watched.journal.map(Journal::open).transpose()?;
        if let Some(earlier) = journal.as_ref().map(|journal| &journal.earlier)
            && earlier.changed > 0
        {
            output::note(&format!(
                "the journal tells of {} items that earlier runs changed, and {} failures",
                earlier.changed, earlier.failed
            ));
        }
        Ok(Self {
            output: session.output.clone(),
            setup: session.setup(),
            bar,
            events: watched
                .json
                .then(|| Events::start(watched.what, watched.dry_run))
                .transpose()?,
            journal,
            stop: Stop::on_signal()?,
            seen: Mutex::new(Seen::default()),
        })
    }

    /// Object ids of the envelopes that earlier runs made, as their journal tells.
    pub(super) fn made(&self) -> HashSet<[u8; 16]> {
        let made = self.journal.as_ref().map(|journal| &journal.earlier.made);
        made.cloned().unwrap_or_default()
    }

    /// Prints the result: as the last line for programs, or as other commands do.
    pub(super) fn finish(
        self,
        result: Value,
        table: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let Self {
            output,
            bar,
            events,
            journal,
            seen,
            ..
        } = self;
        drop(bar);
        if let Some(journal) = journal {
            journal.settle()?;
        }
        if let Some(error) = lock(&seen).journal.take() {
            return Err(error);
        }
        match events {
            Some(events) => events.finish(result),
            None => output.result(&result, table),
        }
    }

    /// The exit code, where `good` items did not fail: that of a signal; of the only cause where
    /// there is nothing but failures; else that of a job that is partly done.
    pub(super) fn exit(&self, good: u64) -> Exit {
        if let Some(signal) = self.stop.code() {
            return signal;
        }
        exit::of_many(lock(&self.seen).codes.iter().map(|code| Exit(*code)), good)
    }

    fn failed(&self, place: &Path, error: &Error) {
        let code = exit::of_envelope(error);
        match &self.events {
            Some(events) => events.failure(place, &error.to_string(), code),
            None => self.bar.above(|| {
                output::note(&format!("{}: {error}", place.display()));
                // One hint is enough for a thousand files.
                if lock(&self.seen).codes.is_empty()
                    && let Some(hint) = envelope_hint(error, &self.setup)
                {
                    output::note(&format!("  {hint}"));
                }
            }),
        }
        lock(&self.seen).codes.insert(code.0);
    }
}

impl Progress for Watcher {
    fn total(&self, amount: u64) {
        self.bar.total(amount);
        if let Some(events) = &self.events {
            events.total(amount);
        }
    }

    fn advance(&self, amount: u64) {
        self.bar.advance(amount);
        if let Some(events) = &self.events {
            events.advance(amount);
        }
    }

    fn watches(&self) -> bool {
        self.events.is_some() || self.bar.watches()
    }
}

impl Watch for Watcher {
    fn done(&self, done: &Done<'_>) {
        if let Outcome::Failed(error) = &done.outcome {
            self.failed(done.place, error);
        }
        if let Some(journal) = &self.journal
            && let Err(error) = journal.done(done)
        {
            lock(&self.seen).journal.get_or_insert(error);
        }
    }

    fn stops(&self) -> bool {
        self.stop.is_wanted() || lock(&self.seen).journal.is_some()
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
