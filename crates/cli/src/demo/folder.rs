//! [`Folder`]: where the demo keeps its server and its files, and how that ends.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::DemoError;

/// Names that are tried before giving up.
const NAMES: u32 = 1000;
/// How often a folder that is still written to is removed again.
const REMOVALS: u32 = 100;

/// A signal came: the process is about to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A folder that only this user can enter, removed when it goes.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one where temporary files belong (`TMPDIR`).
    pub(super) fn new() -> Result<Self, DemoError> {
        let parent = std::env::temp_dir();
        let failed = || DemoError::io(format!("can't make a folder in {}", parent.display()));
        for number in 0..NAMES {
            let path = parent.join(format!("keyfold-demo-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed()(error)),
            }
        }
        Err(failed()(io::ErrorKind::AlreadyExists.into()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// From now on SIGINT, SIGTERM and SIGHUP remove the folder and end the process with the exit
    /// code that a shell would report.
    pub(super) fn remove_on_signal(&self, runtime: &Runtime) -> Result<(), DemoError> {
        let listen = |kind| {
            let _inside = runtime.enter();
            signal(kind).map_err(DemoError::io("can't listen to signals"))
        };
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hang_up = listen(SignalKind::hangup())?;
        let path = self.0.clone();
        runtime.spawn(async move {
            let code = tokio::select! {
                () = received(&mut interrupt) => 130,
                () = received(&mut terminate) => 143,
                () = received(&mut hang_up) => 129,
            };
            INTERRUPTED.store(true, Ordering::SeqCst);
            // The process ends either way.
            let _ = remove(&path);
            std::process::exit(code);
        });
        Ok(())
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(self) -> Result<(), DemoError> {
        remove(&self.0).map_err(DemoError::io(format!("can't remove {}", self.0.display())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Mostly removed already; whoever wants to know calls `remove`.
        let _ = remove(&self.0);
    }
}

/// Does not return once a signal has come.
pub(super) fn wait_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// Removes a folder that another thread may still be writing to.
fn remove(path: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..REMOVALS {
        result = match fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => {
                return Ok(());
            }
            Err(error) => Err(error),
        };
    }
    result
}

async fn received(signal: &mut Signal) {
    signal.recv().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn private_and_gone_with_all_that_is_in_it() {
        let (first, second) = (Folder::new().unwrap(), Folder::new().unwrap());
        assert_ne!(first.path(), second.path());
        let mode = fs::metadata(first.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::create_dir(first.join("in")).unwrap();
        fs::write(first.join("in/file"), "x").unwrap();
        let paths = [first.path().to_owned(), second.path().to_owned()];
        first.remove().unwrap();
        drop(second);
        assert!(paths.iter().all(|path| !path.exists()));
        assert!(remove(&paths[0]).is_ok(), "twice is no error");
    }
}
