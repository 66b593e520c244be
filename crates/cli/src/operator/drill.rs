//! `keyfold operator drill`.

use std::path::PathBuf;

use clap::Args;
use keyfold_secret::Secret;
use keyfold_server::drill::{self, Drill, DrillError, Report};

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Table;
use crate::session::Session;
use crate::{operator::snapshot, prompt};

/// Arguments of `operator drill`.
#[derive(Args)]
pub(crate) struct DrillArgs {
    /// The server's configuration: its seals open the snapshot
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,
    /// A share, in base64 or hex; `-` reads a line of standard input; may be given several times.
    /// Asked for where neither shares nor a configuration are given
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    share: Vec<String>,
    /// Records that are opened of each mount, at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    records: usize,
    /// The snapshot file
    file: PathBuf,
}

/// Restores a snapshot into a sandbox, opens it, and tells how that went.
pub(crate) fn run(session: &Session, args: DrillArgs) -> Result<Exit, CliError> {
    let asks = args.share.is_empty() && args.config.is_empty();
    let mut given = args.share.into_iter();
    let mut failed = None;
    let mut share = |number: u64, of: u64| -> Option<Secret<String>> {
        let what = format!("share {number} of {of}");
        let argument = given.next();
        if argument.is_none() && !asks {
            return None;
        }
        match prompt::secret(argument, &what) {
            Ok(share) => Some(share),
            Err(error) => {
                failed = Some(error);
                None
            }
        }
    };
    let drill = Drill {
        file: args.file,
        config: args.config,
        records: args.records,
    };
    let report = drill::run(&drill, &mut share).map_err(of_drill);
    if let Some(error) = failed {
        return Err(error);
    }
    let report = report?;
    session.output.result(&report, || table(&report))?;
    Ok(if report.ok { Exit::OK } else { Exit::SERVER })
}

fn table(report: &Report) -> String {
    let word = |ok: bool| if ok { "ok" } else { "FAILED" }.to_owned();
    let steps = report.steps.iter();
    let steps = steps.map(|s| vec![s.step.to_owned(), word(s.ok), s.remark.clone()]);
    let mounts = report.mounts.iter().map(|mount| {
        let remark = match (&mount.failure, mount.more) {
            (Some(failure), _) => failure.clone(),
            (None, true) => "and there are more".to_owned(),
            (None, false) => "all".to_owned(),
        };
        let (path, kind) = (mount.path.clone(), mount.kind.clone());
        vec![path, kind, mount.opened.to_string(), remark]
    });
    let keys = report.keys.iter();
    let keys = keys.map(|key| vec![key.path.clone(), word(key.ok), key.remark.clone()]);
    let mut text = Table::new(&["Step", "Went", "Remark"], steps.collect()).to_string();
    let mounts: Vec<_> = mounts.collect();
    if !mounts.is_empty() {
        let heads = ["Mount", "Type", "Records opened", "Remark"];
        text.push_str(&format!("\n{}", Table::new(&heads, mounts)));
    }
    let keys: Vec<_> = keys.collect();
    if !keys.is_empty() {
        let heads = ["Key", "Went", "Remark"];
        text.push_str(&format!("\n{}", Table::new(&heads, keys)));
    }
    // What did not open it may be a wrong share, or a seal that is away: that tells nothing of the file.
    let opened = report
        .steps
        .iter()
        .all(|step| step.ok || step.step != "opened");
    let verdict = match (report.ok, opened) {
        (true, _) => "The snapshot can be restored",
        (false, true) => "THE SNAPSHOT CAN NOT BE RELIED ON",
        (false, false) => "The snapshot was NOT OPENED with what was given",
    };
    let created = &report.summary.header.created;
    text.push_str(&format!("\n{verdict}: it is of {created}\n"));
    text
}

fn of_drill(error: DrillError) -> CliError {
    match error {
        DrillError::File(error) => snapshot::of_file(error),
        DrillError::Place(error) => CliError::io("no place for the drill")(error),
        error @ (DrillError::Config(_) | DrillError::Core(_)) => CliError::Usage(error.to_string()),
    }
}
