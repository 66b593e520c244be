//! The process's log: on standard error, at a level that a signal can change.
//!
//! Lines go through a bounded queue to a thread of their own. Whoever started the server may never
//! read its pipe, and a full pipe must not stop a request: then lines are dropped, and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, reload};

use crate::config::{Format, Level, Log};
use crate::levels::{self, Levels};

/// Lines that wait, at most.
const QUEUE: usize = 4096;
/// How long the end of the process waits for the last lines.
const FLUSH: Duration = Duration::from_millis(500);

/// Changes the running log.
pub struct Control {
    levels: Arc<Levels>,
    lines: Lines,
}

impl Control {
    /// From here on, lines of this level.
    pub fn set_level(&self, level: Level) {
        self.levels.configure(level);
    }

    /// Waits until what was logged so far is written, for a moment.
    pub fn flush(&self) {
        let (sender, done) = std::sync::mpsc::channel();
        if self.lines.queue.try_send(Job::Flush(sender)).is_ok() {
            let _written_or_late = done.recv_timeout(FLUSH);
        }
    }
}

/// Starts the log of the process. A log that is there already stays, as in a program that has a
/// server inside; then there is nothing to control.
pub fn start(log: Log) -> io::Result<Option<Control>> {
    let lines = Lines::start(io::stderr())?;
    let (filter, level) = reload::Layer::new(levels::targets(log.level));
    let registry = tracing_subscriber::registry();
    let writer = lines.clone();
    let plain = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer);
    let started = match log.format {
        Format::Standard => registry.with(plain.with_filter(filter)).try_init(),
        Format::Json => registry
            .with(plain.json().flatten_event(true).with_filter(filter))
            .try_init(),
    };
    Ok(started.ok().map(|()| Control {
        levels: Levels::start(level, log.level),
        lines,
    }))
}

enum Job {
    Line(Vec<u8>),
    Flush(std::sync::mpsc::Sender<()>),
}

/// The queue's near end.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&jobs, &counter, out))?;
        Ok(Self { queue, dropped })
    }
}

fn write_lines(jobs: &Receiver<Job>, dropped: &AtomicU64, mut out: impl Write) {
    // A log that can't be written has nowhere to say so.
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Line(line) => {
                let _lost = out.write_all(&line);
            }
            Job::Flush(done) => {
                let _lost = out.flush();
                let _late = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _lost = writeln!(out, "{lost} log lines were dropped: nobody read them");
        }
    }
}

/// One event on its way into the queue.
struct Line<'a> {
    lines: &'a Lines,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.text);
        if !line.is_empty() && self.lines.queue.try_send(Job::Line(line)).is_err() {
            self.lines.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            text: Vec::with_capacity(256),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    /// A pipe that is full until it is opened.
    #[derive(Clone)]
    struct Pipe {
        open: Arc<Mutex<Receiver<()>>>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _closed = self.open.lock().unwrap().recv();
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_pipe_drops_lines_and_says_how_many() {
        let (open, gate) = channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let pipe = Pipe {
            open: Arc::new(Mutex::new(gate)),
            text: Arc::clone(&text),
        };
        let lines = Lines::start(pipe).unwrap();
        for _ in 0..QUEUE + 100 {
            lines.make_writer().write_all(b"line\n").unwrap();
        }
        assert!(lines.dropped.load(Ordering::Relaxed) >= 99);
        drop(open);
        let (sender, done) = channel();
        lines.queue.send(Job::Flush(sender)).unwrap();
        done.recv().unwrap();
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("line\n"));
        assert!(text.contains("log lines were dropped"), "{}", text.len());
    }
}
