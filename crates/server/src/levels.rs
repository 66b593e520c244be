//! Levels of the running log: one for all, and those that were set for single loggers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Registry, reload};

use crate::config::Level;
use crate::wiring;

/// Loggers by the names that they have on the wire, and the part of the program that each is for.
const LOGGERS: [(&str, &str); 8] = [
    ("audit", "keyfold_core::audit"),
    ("core", "keyfold_core"),
    ("expiration", "keyfold_core::tokens::expiry"),
    ("http", "keyfold_server::http"),
    ("policy", "keyfold_core::policies"),
    ("quotas", "keyfold_core::quotas"),
    ("system", "keyfold_core::sys"),
    ("token", "keyfold_core::tokens"),
];

/// The process's log has its levels here, so that a call to the server can change them.
static RUNNING: OnceLock<Arc<Levels>> = OnceLock::new();

/// The levels, and the filter that follows them.
pub struct Levels {
    filter: reload::Handle<Targets, Registry>,
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    configured: Level,
    all: Level,
    own: BTreeMap<&'static str, Level>,
}

impl Levels {
    /// Those of a log that starts at a level.
    pub fn start(filter: reload::Handle<Targets, Registry>, level: Level) -> Arc<Self> {
        let levels = Arc::new(Self {
            filter,
            state: Mutex::new(State::new(level)),
        });
        // A process has one log; a second one stays without a name.
        let _first_counts = RUNNING.set(levels.clone());
        levels
    }

    /// The configured level changed: from here on it is that of all loggers.
    pub fn configure(&self, level: Level) {
        self.change(|state| *state = State::new(level));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        // Fails only when the subscriber is gone, and the log with it.
        let _gone = self.filter.reload(state.targets());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole after every change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All loggers and their levels; none where this process has no log of its own.
pub fn all() -> BTreeMap<&'static str, &'static str> {
    let Some(levels) = RUNNING.get() else {
        return BTreeMap::new();
    };
    let state = levels.state();
    let level = |name| state.own.get(name).unwrap_or(&state.all).name();
    loggers().map(|(name, _)| (name, level(name))).collect()
}

/// Sets a logger's level, or that of all; without a level, the configured one. A name that no
/// logger has changes nothing, and is the error.
pub fn set(logger: Option<&str>, level: Option<Level>) -> Result<(), &str> {
    let known = match logger {
        None => None,
        Some(logger) => {
            let found = loggers().find(|(name, _)| *name == logger);
            Some(found.ok_or(logger)?)
        }
    };
    let Some(levels) = RUNNING.get() else {
        return Ok(());
    };
    levels.change(|state| {
        let Some((name, _)) = known else {
            *state = State {
                all: level.unwrap_or(state.configured),
                own: BTreeMap::new(),
                ..state.clone()
            };
            return;
        };
        match level {
            Some(level) => state.own.insert(name, level),
            None => state.own.remove(name),
        };
    });
    Ok(())
}

/// All loggers.
fn loggers() -> impl Iterator<Item = (&'static str, &'static str)> {
    LOGGERS.into_iter().chain(wiring::LOGGERS)
}

impl State {
    fn new(level: Level) -> Self {
        Self {
            configured: level,
            all: level,
            own: BTreeMap::new(),
        }
    }

    fn targets(&self) -> Targets {
        let own = loggers().filter_map(|(name, target)| {
            let level = self.own.get(name)?;
            Some((target, filter(*level)))
        });
        targets(self.all).with_targets(own)
    }
}

/// Libraries below have much to say that only their authors need.
pub fn targets(level: Level) -> Targets {
    let ours = filter(level);
    let theirs = if level == Level::Trace {
        LevelFilter::DEBUG
    } else {
        ours.min(LevelFilter::WARN)
    };
    Targets::new()
        .with_target("keyfold", ours)
        .with_default(theirs)
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_quieter_than_we_are() {
        let info = targets(Level::Info);
        assert!(info.would_enable("keyfold_core::audit", &tracing::Level::INFO));
        assert!(!info.would_enable("keyfold_core::audit", &tracing::Level::DEBUG));
        assert!(!info.would_enable("hyper::proto", &tracing::Level::INFO));
        assert!(info.would_enable("rustls", &tracing::Level::WARN));
        assert!(!targets(Level::Error).would_enable("rustls", &tracing::Level::WARN));
    }

    #[test]
    fn a_logger_has_a_level_of_its_own() {
        let mut state = State::new(Level::Info);
        state.own.insert("audit", Level::Debug);
        let targets = state.targets();
        assert!(targets.would_enable("keyfold_core::audit::queue", &tracing::Level::DEBUG));
        assert!(!targets.would_enable("keyfold_core::sys", &tracing::Level::DEBUG));
    }
}
