//! Remarks on rules for paths that no request has: the mount is there and serves nothing like it, or
//! its name is misspelt. That nothing is mounted at a path yet is no reason for a remark: policies
//! are written first.

use super::System;
use crate::mounts::{Mount, Table, Target};
use crate::pipeline::engine;
use crate::policy::{Policy, Reach, Warning, builtin};
use crate::ports::engine::Dispatch as _;
use crate::sys::Doors;

/// Rules that are looked at.
const LOOKED_AT: usize = 256;
/// Folders of a mount that a remark names.
const NAMED: usize = 10;
/// Letters of a name that may be meant by another: shorter ones are alike by chance.
const LONG: usize = 5;

impl System {
    /// Remarks on a policy's paths.
    pub(super) fn unserved(&self, policy: &Policy) -> Vec<String> {
        let table = self.vault.mounts.table();
        let ours = |reach: &Reach<'_>| builtin::DEFAULT.contains(&format!("\"{}\"", reach.text));
        let looked_at = policy.reaches().take(LOOKED_AT);
        looked_at
            .filter(|reach| !ours(reach))
            .filter_map(|reach| {
                let what = self.remark(&reach, &table)?;
                let message = format!("path \"{}\": {what}", reach.text);
                let line = reach.line;
                Some(Warning { line, message }.to_string())
            })
            .collect()
    }

    fn remark(&self, reach: &Reach<'_>, table: &Table) -> Option<String> {
        let stem = reach.stem();
        // A wildcard may be meant for mounts that are still to come.
        let Some((mount, _)) = table.route(&stem) else {
            return misspelt(&stem, table);
        };
        let (path, patterns) = (&mount.record.path, self.patterns(mount));
        let served = reach.meets(path, "") || patterns.iter().any(|p| reach.meets(path, p));
        (!served).then(|| nothing_like_it(&reach.text, path, &patterns))
    }

    /// The patterns of a mount's routes. Those without a sentence of help serve nothing: they say
    /// what was meant.
    fn patterns(&self, mount: &Mount) -> Vec<&'static str> {
        let mut rows = engine(&self.core, &self.vault, mount).help("");
        if matches!(mount.target, Target::System) {
            rows.extend(Doors(self.core.clone()).help(""));
        }
        let serving = rows.into_iter().filter(|row| !row.help.is_empty());
        serving.map(|row| row.pattern).collect()
    }
}

/// What is said where a mount serves no such path.
fn nothing_like_it(path: &str, mount: &str, patterns: &[&'static str]) -> String {
    let plain = format!("no request has such a path below \"{mount}\"");
    let Some(below) = path.strip_prefix(mount) else {
        return plain;
    };
    let mut folders: Vec<&str> = patterns
        .iter()
        .filter_map(|p| p.split('/').next())
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders.retain(|folder| !folder.starts_with('{'));
    let (first, rest) = below.split_once('/').unwrap_or((below, ""));
    let slash = if below.contains('/') { "/" } else { "" };
    let like = folders.iter().find(|folder| alike(first, folder));
    let meant = match like {
        Some(folder) => format!(": is \"{mount}{folder}{slash}{rest}\" meant?"),
        None if patterns.contains(&"data/{path...}") => {
            format!(": is \"{mount}data/{below}\" meant?")
        }
        None if folders.len() <= NAMED => format!(", which has {}", folders.join(", ")),
        None => String::new(),
    };
    plain + &meant
}

/// What is said where nothing is mounted, but something at a path that differs by a slip of the
/// hand.
fn misspelt(stem: &str, table: &Table) -> Option<String> {
    let near = |path: &&str| {
        let path = path.trim_end_matches('/');
        let segments = path.matches('/').count() + 1;
        let start: Vec<&str> = stem.split('/').take(segments).collect();
        start.len() == segments && alike(&start.join("/"), path)
    };
    let paths = table.iter().map(|mount| mount.record.path.as_str());
    let path = paths.filter(near).min()?;
    Some(format!("nothing is mounted there: is \"{path}\" meant?"))
}

/// Whether two different names are one slip apart: a letter too much, too few, another one, or two
/// that changed places.
fn alike(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().max(other.len()) < LONG {
        return false;
    }
    let same = |(a, b): &(&char, &char)| a == b;
    let start = one.iter().zip(&other).take_while(same).count();
    let (one, other) = (one.split_at(start).1, other.split_at(start).1);
    let backwards = one.iter().rev().zip(other.iter().rev());
    let end = backwards.take_while(same).count();
    let left = |rest: &[char]| rest.len() - end;
    match (one, other) {
        ([], []) => false,
        ([a, b, ..], [c, d, ..]) if (a, b) == (d, c) && left(one) == 2 && left(other) == 2 => true,
        _ => left(one) <= 1 && left(other) <= 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_known() {
        for (slip, name) in [
            ("heath", "health"),
            ("healthh", "health"),
            ("haelth", "health"),
            ("hea1th", "health"),
            ("secert", "secret"),
            ("secrets", "secret"),
            ("auth/aprole", "auth/approle"),
        ] {
            assert!(alike(slip, name) && alike(name, slip), "{slip} {name}");
        }
        for (other, name) in [
            ("health", "health"),
            ("kv1", "kv2"),
            ("data", "date"),
            ("foo", "data"),
            ("house", "health"),
            ("hlaeth", "health"),
            ("", "health"),
        ] {
            assert!(!alike(other, name), "{other} {name}");
        }
    }

    #[test]
    fn what_is_meant_is_said_where_it_can_be_told() {
        let kv = ["config", "data/{path...}", "metadata/{path...}"];
        for (stem, remark) in [
            ("kv/app/a", ": is \"kv/data/app/a\" meant?"),
            ("kv/app/*", ": is \"kv/data/app/*\" meant?"),
            ("+/app", ""),
            ("kv/metdata/a", ": is \"kv/metadata/a\" meant?"),
            ("kv/confg", ": is \"kv/config\" meant?"),
        ] {
            let told = nothing_like_it(stem, "kv/", &kv);
            assert_eq!(
                told,
                format!("no request has such a path below \"kv/\"{remark}")
            );
        }
        let few = ["keys/{name}", "keys/{name}/rotate", "random"];
        let told = nothing_like_it("transit/foo", "transit/", &few);
        assert!(told.ends_with("which has keys, random"), "{told}");
    }
}
