//! `keyfold demo`: the whole story on a real file, with every claim checked while it is told.
//!
//! ```text
//!   run ─► Folder (private, removed at the end) ─► story::tell
//!                                                    ├─ Site       a server inside this process
//!                                                    ├─ cast       services, their KEKs, policies, tokens
//!                                                    ├─ hierarchy  what wraps what, asked of the server
//!                                                    └─ Snapshot   what a rotation changed in the store
//! ```

mod cast;
mod error;
mod files;
mod folder;
mod hierarchy;
mod page;
mod site;
mod snapshot;
mod story;
mod tree;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use self::error::DemoError;
use self::folder::Folder;
use self::page::{Page, seconds};
use crate::exit::Exit;
use crate::output;

/// Arguments of `demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// The file to tell it with; it is only read. Without one, a sample of 8 MiB is made
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Tells the story. The first claim that does not hold ends it.
pub(crate) fn run(args: &DemoArgs) -> Exit {
    match told(args) {
        Ok(()) => Exit::OK,
        Err(error) => {
            // After a signal another thread cleans up and ends the process: what failed here
            // failed because of that.
            folder::wait_if_interrupted();
            if error.exit() != Exit::CLOSED {
                output::note(&format!("keyfold demo: {error}"));
            }
            error.exit()
        }
    }
}

fn told(args: &DemoArgs) -> Result<(), DemoError> {
    let began = Instant::now();
    let folder = Folder::new()?;
    let page = Page::new();
    let runtime = site::runtime()?;
    folder.remove_on_signal(&runtime)?;
    let result = story::tell(&page, runtime, &folder, args.file.as_deref());
    folder.remove()?;
    result?;
    page.end(&format!(
        "Everything held. {} in all; nothing is left behind.",
        seconds(began.elapsed())
    ))
}
