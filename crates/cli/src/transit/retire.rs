//! `keyfold transit retire`.

use clap::Args;
use keyfold_client::Request;
use keyfold_envelope::Locator;
use serde_json::{Map, Value};

use super::path;
use crate::error::CliError;
use crate::output::Answer;
use crate::session::Session;
use crate::span::span;

/// Arguments of `transit retire`.
#[derive(Args)]
pub(crate) struct RetireArgs {
    /// The oldest version that is to stay
    #[arg(long, value_name = "VERSION")]
    below: u32,
    /// Destroy the versions below it: what they made never opens again
    #[arg(long)]
    destroy: bool,
    /// Retire them though they are needed
    #[arg(long, short = 'f')]
    force: bool,
    /// How long ago a use counts as a need; a week when absent
    #[arg(long, value_name = "DURATION", value_parser = span)]
    recent: Option<String>,
    /// The key: transit/payments, or payments for one of the mount transit
    #[arg(value_name = "MOUNT/NAME", value_parser = super::key)]
    key: Locator,
}

/// Retires, or fails with what stands against it.
pub(super) fn run(session: &Session, args: &RetireArgs) -> Result<(), CliError> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("below", args.below.into());
    set("force", args.force.into());
    set("destroy", args.destroy.into());
    if let Some(recent) = &args.recent {
        set("recent", recent.clone().into());
    }
    let request = Request::write(&path(&args.key, "retire"), &body)?;
    let answer = Answer::of(&session.call(&request)?)?;
    session.output.answer(&answer)
}
