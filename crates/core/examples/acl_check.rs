//! How long a policy check takes: a set of 100 policies with 50 rules each, asked for paths that an
//! exact rule, a prefix, a `+` pattern or no rule decides.
//!
//! ```text
//! cargo run --release -p keyfold-core --example acl_check
//! ```

use std::hint::black_box;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfold_core::clock::Time;
use keyfold_core::policy::{Acl, NoParams, Operation, Policy, PolicyError};

const POLICIES: usize = 100;
const RULES: usize = 50;
/// Checks in one round, and rounds of which the fastest counts.
const CHECKS: u32 = 200_000;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policies: Result<Vec<_>, PolicyError> = (0..POLICIES).map(policy).collect();
    let acl = Acl::new(&policies?, Time(0));
    let mut out = io::stdout().lock();
    writeln!(out, "{POLICIES} policies of {RULES} rules, ns a check:")?;
    let questions = [
        ("exact path", "secret/data/team-42/app-10", Operation::Read),
        (
            "prefix",
            "secret/data/team-42/shared-11/a/b/c",
            Operation::Read,
        ),
        (
            "+ pattern",
            "transit-42/encrypt-12/orders/7",
            Operation::Update,
        ),
        ("list", "secret/data/team-42/shared-11/a", Operation::List),
        ("no rule", "elsewhere/of/all/this", Operation::Read),
    ];
    for (name, path, operation) in questions {
        let time = fastest(&acl, path, operation);
        writeln!(out, "{name:<12} {:>8.0}", time.as_secs_f64() * 1e9)?;
    }
    Ok(())
}

/// A third each of exact paths, prefixes and patterns with `+`.
fn policy(number: usize) -> Result<Arc<Policy>, PolicyError> {
    let rule = |rule: usize| {
        let path = match rule % 3 {
            0 => format!("transit-{number}/encrypt-{rule}/+/{}", rule % 10 + 5),
            1 => format!("secret/data/team-{number}/app-{rule}"),
            _ => format!("secret/data/team-{number}/shared-{rule}/*"),
        };
        format!("path \"{path}\" {{ capabilities = [\"read\", \"list\", \"update\"] }}\n")
    };
    let text: String = (0..RULES).map(rule).collect();
    let (policy, _) = Policy::parse(&format!("team-{number}"), &text)?;
    Ok(Arc::new(policy))
}

fn fastest(acl: &Acl, path: &str, operation: Operation) -> Duration {
    let round = || {
        let start = Instant::now();
        for _ in 0..CHECKS {
            let _ = black_box(acl.check(black_box(path), operation, &NoParams));
        }
        start.elapsed() / CHECKS
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}
