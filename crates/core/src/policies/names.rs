//! Names of policies: how they are compared, stored and listed.

use std::cmp::Ordering;

use crate::error::Error;

/// Names as they are stored and compared: trimmed, lower case, sorted, each once.
pub fn names(raw: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = raw
        .iter()
        .map(|n| fold(n))
        .filter(|n| !n.is_empty())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// One name, trimmed and in lower case.
pub fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

/// What a login gets of its role's policies: with `default` where that is not turned off, in order.
pub fn granted(names: &[String], default: bool) -> Vec<String> {
    let mut granted = names.to_vec();
    if default {
        granted.push("default".to_owned());
    } else {
        granted.retain(|name| name != "default");
    }
    granted.sort();
    granted.dedup();
    granted
}

/// Policies that the server uses itself and nobody may be given.
pub fn is_unassignable(name: &str) -> bool {
    name == crate::policy::builtin::WRAPPING
}

/// Refuses policies that nobody may be given.
pub fn check_assignable(names: &[String]) -> Result<(), Error> {
    match names.iter().find(|name| is_unassignable(name)) {
        Some(name) => Err(Error::bad(format!("cannot assign policy \"{name}\""))),
        None => Ok(()),
    }
}

/// A name may hold slashes; its storage key is one segment, so that a listing has all.
pub(crate) fn encode(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

/// The name of a storage key's segment.
pub(crate) fn decode(segment: &str) -> String {
    segment.replace("%2F", "/").replace("%25", "%")
}

/// The order of listings: on each level what lies there itself, then what lies deeper.
pub(crate) fn listed(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('/').peekable(), other.split('/').peekable());
    loop {
        let (Some(here), Some(there)) = (one.next(), other.next()) else {
            return Ordering::Equal;
        };
        let deeper = one.peek().is_some().cmp(&other.peek().is_some());
        match deeper.then_with(|| here.cmp(there)) {
            Ordering::Equal => {}
            decided => return decided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_once() {
        let raw = ["b", "A", " a ", "a", "", "ROOT "]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(names(raw), ["a", "b", "root"]);
    }

    #[test]
    fn slashes_round_trip() {
        for name in ["a/b", "%2F", "a%25/b", "plain"] {
            assert_eq!(decode(&encode(name)), name);
            assert!(!encode(name).contains('/'));
        }
    }

    #[test]
    fn what_lies_deeper_comes_later() {
        let order = ["a", "z", "a/b", "a/b/c", "b/a", "b/z", "b/a/x", "b/a/x/y"];
        let mut names = order.to_vec();
        names.reverse();
        names.sort_by(|one, other| listed(one, other));
        assert_eq!(names, order);
    }
}
