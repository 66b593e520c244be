//! `keyfold lease`.

use clap::{Args, Subcommand};
use keyfold_client::{Method, Request};
use serde_json::json;

use crate::error::CliError;
use crate::output::{self, Answer};
use crate::session::Session;
use crate::span::span;

/// The commands of `lease`.
#[derive(Subcommand)]
pub(crate) enum Lease {
    /// Show a lease
    Lookup {
        /// Its id
        id: String,
    },
    /// Renew a lease
    Renew {
        /// For how long; the server may give less
        #[arg(long, short = 'i', value_name = "DURATION", value_parser = span)]
        increment: Option<String>,
        /// Its id
        id: String,
    },
    /// Revoke a lease, or all below a prefix
    Revoke(RevokeArgs),
}

/// Arguments of `lease revoke`.
#[derive(Args)]
pub(crate) struct RevokeArgs {
    /// The argument is a prefix: revoke all leases below it
    #[arg(long)]
    prefix: bool,
    /// Forget them even where revoking fails; needs -prefix
    #[arg(long, short = 'f', requires = "prefix")]
    force: bool,
    /// Answer only when they are gone
    #[arg(long)]
    sync: bool,
    /// The id, or the prefix
    id: String,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, lease: Lease) -> Result<(), CliError> {
    let request = match lease {
        Lease::Lookup { id } => Request::write("sys/leases/lookup", &json!({"lease_id": id}))?,
        Lease::Renew { increment, id } => {
            let mut body = json!({"lease_id": id});
            if let (Some(increment), Some(members)) = (increment, body.as_object_mut()) {
                members.insert("increment".to_owned(), increment.into());
            }
            Request::write("sys/leases/renew", &body)?
        }
        Lease::Revoke(args) => return revoke(session, &args),
    };
    session
        .output
        .answer(&Answer::of(&session.call(&request)?)?)
}

fn revoke(session: &Session, args: &RevokeArgs) -> Result<(), CliError> {
    let request = match (args.prefix, args.force) {
        (true, false) => Request::write(
            &format!("sys/leases/revoke-prefix/{}", args.id),
            &json!({"sync": args.sync}),
        )?,
        (true, true) => Request::new(Method::Put, &format!("sys/leases/revoke-force/{}", args.id)),
        (false, _) => Request::write(
            "sys/leases/revoke",
            &json!({"lease_id": args.id, "sync": args.sync}),
        )?,
    };
    session.call(&request)?;
    let what = if args.prefix {
        "with the prefix"
    } else {
        "of the lease"
    };
    output::line(&format!(
        "Success! Revoked what there was {what}: {}",
        args.id
    ))
}
