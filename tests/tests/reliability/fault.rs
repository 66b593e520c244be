//! Faults of the disk below the real program. The program knows nothing of them: strace stands between it and the
//! kernel, and makes one call on the store's file go wrong.

use std::fs::{self, File};
use std::io;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use keyfold_tests::TestServer;

use crate::record::Record;
use crate::{PATIENCE, PAUSE};

/// Bytes of a write that strace notes down, where they are needed.
const NOTED: &str = "4194304";

/// How long it may take to let go of a server: of one that dies at that moment it never does, and is killed.
const HANG: Duration = Duration::from_secs(3);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL in the place of a call.
    Killed,
    /// SIGKILL in the middle of a write: its first half is in the file.
    Torn,
    /// The same in the place of a call, and of what was not synced some sectors are in the file.
    Cut,
    /// One call fails with EIO.
    Failed,
    /// From one call on there is no space: ENOSPC.
    Full,
}

impl Fault {
    /// In the order of the table's columns.
    pub const ALL: [Self; 5] = [
        Self::Killed,
        Self::Torn,
        Self::Cut,
        Self::Failed,
        Self::Full,
    ];

    /// The calls that it can strike.
    pub fn calls(self) -> &'static [&'static str] {
        match self {
            Self::Killed | Self::Cut | Self::Failed => &["pwrite64", "fdatasync", "ftruncate"],
            Self::Torn => &["pwrite64"],
            Self::Full => &["pwrite64", "ftruncate"],
        }
    }

    /// Whether the program dies of it.
    pub fn kills(self) -> bool {
        matches!(self, Self::Killed | Self::Torn | Self::Cut)
    }
}

/// A call that a fault strikes: the nth of its kind from now on.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    pub fault: Fault,
    pub call: &'static str,
    pub nth: usize,
}

impl Strike {
    /// Does to the file what only a program that is dead can't prevent.
    pub fn damage(self, store: &Path, before: Vec<u8>, record: &Record) -> io::Result<()> {
        match self.fault {
            Fault::Torn => record.tear(store),
            Fault::Cut => record.cut_power(before, store),
            Fault::Killed | Fault::Failed | Fault::Full => Ok(()),
        }
    }

    /// What strace is told, but for whom to look at. `file`: the only one that counts.
    pub fn arguments(self, record: &Path, file: Option<&Path>) -> Vec<String> {
        let Self { fault, call, nth } = self;
        let noted = match fault {
            Fault::Torn | Fault::Cut => NOTED,
            _ => "0",
        };
        let injection = match fault {
            Fault::Killed | Fault::Torn | Fault::Cut => {
                format!("inject={call}:signal=SIGKILL:when={nth}")
            }
            Fault::Failed => format!("inject={call}:error=EIO:when={nth}"),
            Fault::Full => format!("inject={call}:error=ENOSPC:when={nth}+"),
        };
        let trace = match fault {
            Fault::Cut => "trace=pwrite64,fdatasync,ftruncate".to_owned(),
            _ => format!("trace={call}"),
        };
        let mut all: Vec<_> = [
            "-f", "-xx", "-s", noted, "-e", &trace, "-e", &injection, "-o",
        ]
        .map(str::to_owned)
        .into();
        all.push(record.display().to_string());
        if let Some(file) = file {
            all.extend(["-P".to_owned(), file.display().to_string()]);
        }
        all
    }
}

/// strace at a running server.
pub struct Tracer {
    child: Child,
    record: PathBuf,
    /// The store's file before.
    before: Vec<u8>,
}

impl Tracer {
    /// Comes between a server and its store. An error where the system does not let us.
    pub fn attach(server: &TestServer, strike: Strike) -> io::Result<Self> {
        let record = server.dir().join("strace.record");
        let said = server.dir().join("strace.said");
        let file = server.dir().join("store");
        let child = Command::new("strace")
            .args(strike.arguments(&record, Some(&file)))
            .args(["-p", &server.id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said)?)
            .spawn()?;
        let mut tracer = Self {
            child,
            record,
            before: Vec::new(),
        };
        let end = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&said)?;
            if text.contains(" attached") {
                // What is written from now on is in the record, and may be in here too.
                if strike.fault == Fault::Cut {
                    tracer.before = fs::read(&file)?;
                }
                return Ok(tracer);
            }
            if tracer.child.try_wait()?.is_some() || Instant::now() > end {
                return Err(io::Error::other(text.trim().to_owned()));
            }
            sleep(PAUSE);
        }
    }

    /// Lets go of the server, if it still runs; the file as it was, and the calls that were made since.
    pub fn detach(mut self) -> io::Result<(Vec<u8>, Record)> {
        let id = self.child.id().to_string();
        // Gone by itself if the server is.
        Command::new("kill")
            .args(["-s", "INT", &id])
            .stderr(Stdio::null())
            .status()?;
        let end = Instant::now() + HANG;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > end {
                self.child.kill()?;
            }
            sleep(PAUSE);
        }
        Ok((take(&mut self.before), Record::read(&self.record)?))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
