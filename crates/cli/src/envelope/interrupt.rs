//! An interrupted command leaves no half-written file behind; a long job ends in good order.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;

/// From now on SIGINT, SIGTERM and SIGHUP remove the output that is being written under its
/// temporary name, and end the process with the exit code a shell would report.
pub(super) fn remove_part_on_signal() -> Result<(), CliError> {
    on_signals(|code| {
        for part in open_parts(Path::new("/proc/self/fd")) {
            // The process ends either way.
            let _ = fs::remove_file(part);
        }
        std::process::exit(code.into());
    })
}

/// Whether a long job is to end. It finishes what it writes, then says what is left.
#[derive(Clone)]
pub(super) struct Stop(Arc<AtomicU8>);

impl Stop {
    /// From now on the first SIGINT, SIGTERM or SIGHUP is wished; a second one ends the process.
    pub(super) fn on_signal() -> Result<Self, CliError> {
        let stop = Self(Arc::new(AtomicU8::new(0)));
        let wanted = stop.clone();
        on_signals(move |code| {
            if wanted.is_wanted() {
                std::process::exit(code.into());
            }
            output::note("finishing what is being written; once more ends it at once");
            wanted.0.store(code, Ordering::Relaxed);
        })?;
        Ok(stop)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.code().is_some()
    }

    /// The exit code a shell would report, once there was a signal.
    pub(super) fn code(&self) -> Option<Exit> {
        let code = self.0.load(Ordering::Relaxed);
        (code != 0).then_some(Exit(code))
    }
}

/// Has a thread wait for SIGINT, SIGTERM and SIGHUP, and tells `each` the exit code for it.
fn on_signals(mut each: impl FnMut(u8) + Send + 'static) -> Result<(), CliError> {
    let failed = || CliError::io("can't listen to signals");
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed())?;
    let listen = |kind| {
        let _inside = runtime.enter();
        signal(kind).map_err(failed())
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let wait = async move {
        loop {
            each(tokio::select! {
                () = received(&mut interrupt) => 130,
                () = received(&mut terminate) => 143,
                () = received(&mut hang_up) => 129,
            });
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(wait))
        .map_err(failed())?;
    Ok(())
}

async fn received(signal: &mut Signal) {
    signal.recv().await;
}

/// The files that this process holds open under the temporary name of an output. A finished one
/// has its own name by then and is not among them.
fn open_parts(descriptors: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(descriptors).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter(|path| path.extension() == Some(OsStr::new("part")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_parts_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/data/.report.0123.part", folder.path().join("4")).unwrap();
        symlink("/data/report", folder.path().join("5")).unwrap();
        assert_eq!(
            open_parts(folder.path()),
            [PathBuf::from("/data/.report.0123.part")]
        );
    }
}
