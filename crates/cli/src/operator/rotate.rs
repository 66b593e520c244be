//! `keyfold operator rotate`, and `operator rotate-root`.

use std::io;

use clap::Args;
use keyfold_client::{Method, Request};

use super::key_status;
use crate::error::CliError;
use crate::output::Answer;
use crate::pairs;
use crate::session::Session;

const CONFIG: &str = "sys/rotate/config";

/// Arguments of `operator rotate`.
#[derive(Args)]
pub(crate) struct RotateArgs {
    /// Rotate nothing: show when it is done by itself, or change that by name=value
    #[arg(long)]
    config: bool,
    /// With -config: interval=720h, enabled=false, max_operations=N; what is left out stays
    #[arg(requires = "config")]
    settings: Vec<String>,
}

/// Rotates the KEK and prints the new one's status, or says when it is rotated by itself.
pub(crate) fn run(session: &Session, args: &RotateArgs) -> Result<(), CliError> {
    if args.config {
        return config(session, &args.settings);
    }
    session.call(&Request::new(Method::Put, "sys/rotate"))?;
    session.output.done("Success! Rotated the KEK.")?;
    key_status::run(session)
}

/// Rotates the root key by the seals alone.
pub(crate) fn root(session: &Session) -> Result<(), CliError> {
    let answer = session.call(&Request::new(Method::Put, "sys/rotate/root"))?;
    session.output.done("Success! Rotated the root key.")?;
    if answer.status == 204 {
        return Ok(());
    }
    // What it says besides: of seals that were away.
    session.output.warnings(Answer::of(&answer)?.warnings());
    Ok(())
}

fn config(session: &Session, settings: &[String]) -> Result<(), CliError> {
    let settings = pairs::object(settings, &mut io::stdin())?;
    if !settings.is_empty() {
        session.call(&Request::write(CONFIG, &settings)?)?;
    }
    let answer = session.call(&Request::read(CONFIG))?;
    session.output.answer(&Answer::of(&answer)?)
}
