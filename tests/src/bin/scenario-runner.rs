//! Tells the stories to a server and prints how each went.
//!
//! `scenario-runner [--server-cmd BIN] [FILE…]`: without `--server-cmd` the workspace's own keyfold is asked, without
//! files all of `tests/scenarios` are told. Exit status 1 when a story failed.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use keyfold_tests::{Binary, Story, tell};

/// Tells the stories of tests/scenarios to a Vault-compatible server.
#[derive(Parser)]
struct Arguments {
    /// Another server's program, started as `BIN server -config=FILE` with a store in memory.
    #[arg(long, value_name = "BIN")]
    server_cmd: Option<PathBuf>,
    /// Stories to tell, all when none is named.
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "scenario-runner: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns how many stories failed.
fn run(arguments: Arguments) -> Result<usize, Box<dyn std::error::Error>> {
    let binary = match arguments.server_cmd {
        Some(path) => Binary::foreign(path),
        None => Binary::keyfold()?,
    };
    let files = if arguments.files.is_empty() {
        all()?
    } else {
        arguments.files
    };
    let (mut passed, mut failed) = (0, 0);
    let mut out = io::stdout().lock();
    for file in files {
        let story = Story::read(&file)?;
        let stem = file.file_stem().unwrap_or_default().display();
        match tell(&story, &binary) {
            Ok(()) => {
                passed += 1;
                writeln!(out, "ok      {stem}: {}", story.name)?;
            }
            Err(failure) => {
                failed += 1;
                writeln!(out, "FAILED  {stem}: {}\n{failure}", story.name)?;
                if let Some(why) = story.divergence.filter(|_| binary.foreign) {
                    writeln!(out, "  a documented divergence: {why}")?;
                }
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed)
}

fn all() -> io::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = folder
        .read_dir()?
        .map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    files.sort();
    Ok(files)
}
