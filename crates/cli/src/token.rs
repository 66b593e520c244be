//! `keyfold token`.

use std::collections::BTreeMap;

use clap::{ArgAction, Args, Subcommand};
use keyfold_client::{Method, Request};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::output::{self, Answer};
use crate::pairs::pair;
use crate::session::Session;
use crate::span::span;

/// The commands of `token`.
#[derive(Subcommand)]
pub(crate) enum Token {
    /// Create a token below one's own
    Create(CreateArgs),
    /// Show a token, one's own when none is named
    Lookup(WhichArgs),
    /// Renew a token, one's own when none is named
    Renew(RenewArgs),
    /// Revoke a token and all below it
    Revoke(RevokeArgs),
    /// Show what a token may do at a path, one's own when none is named
    Capabilities(CapabilitiesArgs),
}

/// Arguments of `token capabilities`.
#[derive(Args)]
pub(crate) struct CapabilitiesArgs {
    /// The first argument is an accessor
    #[arg(long)]
    accessor: bool,
    /// A path, or a token and a path
    #[arg(required = true, num_args = 1..=2, value_name = "TOKEN|PATH")]
    arguments: Vec<String>,
}

/// Arguments of `token create`.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// A policy; may be given several times
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,
    /// How long it lives
    #[arg(long, value_name = "DURATION", value_parser = span)]
    ttl: Option<String>,
    /// How long it lives at most, renewed or not
    #[arg(long, value_name = "DURATION", value_parser = span)]
    explicit_max_ttl: Option<String>,
    /// Lives as long as it is renewed within this time
    #[arg(long, value_name = "DURATION", value_parser = span)]
    period: Option<String>,
    /// How often it may be used
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    use_limit: u64,
    /// Whether it can be renewed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(action = ArgAction::Set)]
    renewable: Option<bool>,
    /// Outlive the token that created it
    #[arg(long)]
    orphan: bool,
    /// Leave the default policy out
    #[arg(long)]
    no_default_policy: bool,
    /// A name for people, in audit logs
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// A remark in audit logs; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// The token itself, in place of one made up
    #[arg(long, value_name = "TOKEN")]
    id: Option<String>,
    /// service or batch
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// The token role that makes it
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// The alias of an entity that the role allows
    #[arg(long, value_name = "NAME")]
    entity_alias: Option<String>,
}

/// Which token.
#[derive(Args)]
pub(crate) struct WhichArgs {
    /// The argument is an accessor
    #[arg(long)]
    accessor: bool,
    /// The token or accessor
    token: Option<String>,
}

/// Arguments of `token renew`.
#[derive(Args)]
pub(crate) struct RenewArgs {
    /// For how long; the server may give less
    #[arg(long, short = 'i', value_name = "DURATION", value_parser = span)]
    increment: Option<String>,
    #[command(flatten)]
    which: WhichArgs,
}

/// Arguments of `token revoke`.
#[derive(Args)]
pub(crate) struct RevokeArgs {
    /// Revoke one's own token
    #[arg(long = "self")]
    own: bool,
    /// `orphan` leaves the tokens below it alive
    #[arg(long, value_parser = ["orphan"], value_name = "MODE")]
    mode: Option<String>,
    #[command(flatten)]
    which: WhichArgs,
}

/// The body of `auth/token/create`.
#[derive(Serialize)]
struct Wanted<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explicit_max_ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<&'a str>,
    num_uses: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable: Option<bool>,
    no_default_policy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_alias: Option<&'a str>,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, token: Token) -> Result<(), CliError> {
    let request = match token {
        Token::Create(args) => create(&args)?,
        Token::Lookup(which) => lookup(&which)?,
        Token::Renew(args) => renew(&args)?,
        Token::Capabilities(args) => return capabilities(session, &args),
        Token::Revoke(args) => {
            session.call(&revoke(&args)?)?;
            return output::line("Success! Revoked token (if it existed)");
        }
    };
    session
        .output
        .answer(&Answer::of(&session.call(&request)?)?)
}

fn create(args: &CreateArgs) -> Result<Request, CliError> {
    let path = match &args.role {
        Some(role) => format!("auth/token/create/{role}"),
        None if args.orphan => "auth/token/create-orphan".to_owned(),
        None => "auth/token/create".to_owned(),
    };
    let wanted = Wanted {
        policies: &args.policy,
        ttl: args.ttl.as_deref(),
        explicit_max_ttl: args.explicit_max_ttl.as_deref(),
        period: args.period.as_deref(),
        num_uses: args.use_limit,
        renewable: args.renewable,
        no_default_policy: args.no_default_policy,
        display_name: args.display_name.as_deref(),
        meta: args
            .metadata
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect(),
        id: args.id.as_deref(),
        kind: args.kind.as_deref(),
        entity_alias: args.entity_alias.as_deref(),
    };
    Ok(Request::write(&path, &wanted)?)
}

fn capabilities(session: &Session, args: &CapabilitiesArgs) -> Result<(), CliError> {
    let (request, path) = match args.arguments.as_slice() {
        [_] if args.accessor => return Err(no_accessor()),
        [path] => {
            let body = json!({"paths": [path]});
            (Request::write("sys/capabilities-self", &body)?, path)
        }
        [accessor, path] if args.accessor => {
            let body = json!({"accessor": accessor, "paths": [path]});
            (Request::write("sys/capabilities-accessor", &body)?, path)
        }
        [token, path] => {
            let body = json!({"token": token, "paths": [path]});
            (Request::write("sys/capabilities", &body)?, path)
        }
        _ => return Err(CliError::Usage("name a path".to_owned())),
    };
    let answer = Answer::of(&session.call(&request)?)?;
    let words = answer.datum("capabilities").or_else(|| answer.datum(path));
    let words = words
        .and_then(Value::as_array)
        .ok_or(CliError::Answer("capabilities"))?;
    let mut words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
    words.sort_unstable();
    session
        .output
        .result(&words, || format!("{}\n", words.join(", ")))
}

fn lookup(which: &WhichArgs) -> Result<Request, CliError> {
    Ok(match (&which.token, which.accessor) {
        (None, false) => Request::read("auth/token/lookup-self"),
        (None, true) => return Err(no_accessor()),
        (Some(token), false) => Request::write("auth/token/lookup", &json!({"token": token}))?,
        (Some(accessor), true) => {
            Request::write("auth/token/lookup-accessor", &json!({"accessor": accessor}))?
        }
    })
}

fn renew(args: &RenewArgs) -> Result<Request, CliError> {
    let (path, mut body) = match (&args.which.token, args.which.accessor) {
        (None, false) => ("auth/token/renew-self", json!({})),
        (None, true) => return Err(no_accessor()),
        (Some(token), false) => ("auth/token/renew", json!({"token": token})),
        (Some(accessor), true) => ("auth/token/renew-accessor", json!({"accessor": accessor})),
    };
    if let (Some(increment), Some(members)) = (&args.increment, body.as_object_mut()) {
        members.insert("increment".to_owned(), increment.clone().into());
    }
    Ok(Request::write(path, &body)?)
}

fn revoke(args: &RevokeArgs) -> Result<Request, CliError> {
    let usage = |text: &str| Err(CliError::Usage(text.to_owned()));
    let orphan = args.mode.is_some();
    Ok(match (&args.which.token, args.which.accessor) {
        (Some(_), _) if args.own => return usage("-self takes no token"),
        (None, _) if args.own && (orphan || args.which.accessor) => {
            return usage("-self takes no -mode and no -accessor");
        }
        (None, _) if args.own => Request::new(Method::Put, "auth/token/revoke-self"),
        (None, _) => return usage("name the token, or say -self"),
        (Some(_), true) if orphan => return usage("-mode=orphan takes a token, no accessor"),
        (Some(accessor), true) => {
            Request::write("auth/token/revoke-accessor", &json!({"accessor": accessor}))?
        }
        (Some(token), false) => {
            let path = if orphan {
                "auth/token/revoke-orphan"
            } else {
                "auth/token/revoke"
            };
            Request::write(path, &json!({"token": token}))?
        }
    })
}

fn no_accessor() -> CliError {
    CliError::Usage("-accessor needs the accessor as an argument".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(token: Option<&str>, accessor: bool) -> WhichArgs {
        WhichArgs {
            accessor,
            token: token.map(str::to_owned),
        }
    }

    #[test]
    fn one_s_own_token_is_the_default_except_for_revoking() {
        assert_eq!(
            lookup(&which(None, false)).unwrap().path(),
            "auth/token/lookup-self"
        );
        assert_eq!(
            lookup(&which(Some("a"), true)).unwrap().path(),
            "auth/token/lookup-accessor"
        );
        let revoke = |own, mode: Option<&str>, which| {
            let mode = mode.map(str::to_owned);
            revoke(&RevokeArgs { own, mode, which }).map(|request| request.path().to_owned())
        };
        assert!(revoke(false, None, which(None, false)).is_err());
        assert!(revoke(true, None, which(Some("t"), false)).is_err());
        assert_eq!(
            revoke(true, None, which(None, false)).unwrap(),
            "auth/token/revoke-self"
        );
        let orphan = revoke(false, Some("orphan"), which(Some("t"), false));
        assert_eq!(orphan.unwrap(), "auth/token/revoke-orphan");
    }
}
