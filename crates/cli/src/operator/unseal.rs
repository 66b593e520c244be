//! `keyfold operator unseal`.

use clap::Args;
use keyfold_client::Request;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::session::Session;
use crate::{prompt, status};

/// Arguments of `operator unseal`.
#[derive(Args)]
pub(crate) struct UnsealArgs {
    /// Discard the shares given so far
    #[arg(long)]
    reset: bool,
    /// Taken for the documents of other servers: a change of seals needs no more than the shares
    #[arg(long)]
    migrate: bool,
    /// One share, in base64 or hex; `-` reads a line of standard input; asked for when absent
    share: Option<String>,
}

/// Gives one share, and prints how far it is.
pub(crate) fn run(session: &Session, args: UnsealArgs) -> Result<(), CliError> {
    let request = if args.reset {
        Request::write("sys/unseal", &json!({"reset": true}))?
    } else {
        let share = prompt::secret(args.share, "unseal key")?;
        Request::write("sys/unseal", &share_of(share.expose(), args.migrate))?
    };
    let answer: Value = session.call(&request)?.json()?;
    status::show(session, answer)
}

fn share_of(share: &str, migrate: bool) -> Value {
    match migrate {
        false => json!({"key": share}),
        true => json!({"key": share, "migrate": true}),
    }
}
