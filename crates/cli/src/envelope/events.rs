//! [`Events`]: a run as lines of JSON on stdout, for programs that watch it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;

/// Time between two lines about progress.
const TICK: Duration = Duration::from_secs(1);

/// Lines of one run. While it lives, progress is told each second.
pub(super) struct Events {
    amounts: Arc<Amounts>,
    /// Why a line could not be printed.
    failed: Mutex<Option<CliError>>,
    /// Dropped to end the thread.
    end: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Amounts {
    /// 0 while it is not known.
    total: AtomicU64,
    done: AtomicU64,
}

impl Events {
    /// Prints the first line. `what` is the command.
    pub(super) fn start(what: &str, dry_run: bool) -> Result<Self, CliError> {
        print(&json!({ "event": "started", "command": what, "dry_run": dry_run }))?;
        let amounts = Arc::new(Amounts::default());
        let (end, ended) = channel();
        let told = Arc::clone(&amounts);
        let began = Instant::now();
        let tick = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if print(&told.line(began.elapsed())).is_err() {
                    return;
                }
            }
        };
        let ticker = thread::Builder::new()
            .name("events".to_owned())
            .spawn(tick)
            .map_err(CliError::io("can't start a thread"))?;
        Ok(Self {
            amounts,
            failed: Mutex::new(None),
            end: Some(end),
            ticker: Some(ticker),
        })
    }

    pub(super) fn total(&self, amount: u64) {
        self.amounts.total.store(amount, Ordering::Relaxed);
    }

    pub(super) fn advance(&self, amount: u64) {
        self.amounts.done.fetch_add(amount, Ordering::Relaxed);
    }

    /// One item was left as it was.
    pub(super) fn failure(&self, place: &Path, error: &str, code: Exit) {
        let line = json!({
            "event": "failure",
            "place": place.to_string_lossy(),
            "error": error,
            "exit_code": code.0,
        });
        if let Err(error) = print(&line) {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
        }
    }

    /// Prints the last line: the members of `result`.
    pub(super) fn finish(mut self, mut result: Value) -> Result<(), CliError> {
        self.end_ticker();
        if let Some(members) = result.as_object_mut() {
            members.insert("event".to_owned(), "finished".into());
        }
        let failed = self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failed.map_or_else(|| print(&result), Err)
    }

    fn end_ticker(&mut self) {
        drop(self.end.take());
        if let Some(ticker) = self.ticker.take() {
            // It does not panic, and there is nothing to get from it.
            let _ = ticker.join();
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.end_ticker();
    }
}

impl Amounts {
    fn line(&self, elapsed: Duration) -> Value {
        let done = self.done.load(Ordering::Relaxed);
        let total = self.total.load(Ordering::Relaxed);
        let total = (total > 0).then_some(total);
        let per_second = done as f64 / elapsed.as_secs_f64().max(0.001);
        let left = total.filter(|_| done > 0);
        let left = left.map(|total| (total.saturating_sub(done) as f64 / per_second).round());
        json!({
            "event": "progress",
            "items": done,
            "of": total,
            "per_second": per_second.round(),
            "seconds_left": left,
        })
    }
}

fn print(line: &Value) -> Result<(), CliError> {
    output::line(&line.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_long_it_will_take() {
        let amounts = Amounts::default();
        amounts.done.store(50, Ordering::Relaxed);
        let line = amounts.line(Duration::from_secs(10));
        assert_eq!((&line["items"], &line["of"]), (&json!(50), &Value::Null));
        assert_eq!(line["seconds_left"], Value::Null);
        amounts.total.store(200, Ordering::Relaxed);
        let line = amounts.line(Duration::from_secs(10));
        assert_eq!(
            (&line["per_second"], &line["seconds_left"]),
            (&json!(5.0), &json!(30.0))
        );
    }
}
