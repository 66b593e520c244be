//! The compiled set against a matcher that tries everything, on random policies.

use std::sync::Arc;

use proptest::prelude::*;

use super::{super::*, acl, may, text};
use crate::clock::Time;

/// Capabilities by trying each rule on its own: what [`Acl`] has to be equal to.
fn naive(rules: &[(String, &str)], path: &str, list: bool) -> Capabilities {
    let merged = |pattern: &str| -> Capabilities {
        let same = rules.iter().filter(|(rule, _)| rule == pattern);
        same.filter_map(|(_, word)| Capability::from_word(word))
            .collect()
    };
    let bare = path.strip_suffix('/').unwrap_or(path);
    let spellings = if list { vec![path, bare] } else { vec![path] };
    let wild = |rule: &str| rule.ends_with('*') || rule.split('/').any(|segment| segment == "+");
    for spelling in &spellings {
        if rules
            .iter()
            .any(|(rule, _)| rule == spelling && !wild(rule))
        {
            return merged(spelling);
        }
    }
    let matches = |rule: &str, path: &str| {
        let prefix = rule.ends_with('*');
        let rule: Vec<_> = rule.strip_suffix('*').unwrap_or(rule).split('/').collect();
        let path: Vec<_> = path.split('/').collect();
        let last = rule.len() - 1;
        (path.len() == rule.len() || (prefix && path.len() > last))
            && rule
                .iter()
                .zip(&path)
                .enumerate()
                .all(|(at, (rule, path))| {
                    *rule == "+" || rule == path || (prefix && at == last && path.starts_with(rule))
                })
    };
    let mut best: Option<&str> = None;
    for (rule, _) in rules.iter().filter(|(rule, _)| wild(rule)) {
        if !spellings.iter().any(|spelling| matches(rule, spelling)) {
            continue;
        }
        let better = |old: &str| {
            let first = |rule: &str| rule.find(['+', '*']).unwrap();
            let plus = |rule: &str| rule.matches('+').count();
            let stem = |rule: &str| rule.trim_end_matches('*').to_owned();
            if first(rule) != first(old) {
                return first(rule) > first(old);
            }
            if rule.ends_with('*') != old.ends_with('*') {
                return old.ends_with('*');
            }
            if plus(rule) != plus(old) {
                return plus(rule) < plus(old);
            }
            if stem(rule).len() != stem(old).len() {
                return stem(rule).len() > stem(old).len();
            }
            stem(rule) > stem(old)
        };
        if best.is_none_or(better) {
            best = Some(rule);
        }
    }
    best.map(merged).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_compiled_set_is_the_naive_one(
        rules in prop::collection::vec(
            ("((a|b|ab|\\+)/){0,3}(a|b|ab|\\+|)(a\\*|/\\*)?",
             prop::sample::select(vec!["read", "list", "update", "deny"])), 0..12),
        paths in prop::collection::vec("((a|b|ab|aba|)/){0,4}(a|b|ab|)", 1..8),
    ) {
        let rules: Vec<(String, &str)> =
            rules.into_iter().filter(|(path, _)| !path.starts_with('/')
                && !path.contains("+a")).collect();
        let pairs: Vec<_> = rules.iter().map(|(path, word)| (path.as_str(), *word)).collect();
        let acl = acl(&text(&pairs));
        for path in paths.iter().filter(|path| !path.starts_with('/')) {
            let expected = naive(&rules, path, path.ends_with('/'));
            prop_assert_eq!(acl.capabilities(path), expected.words(), "{} {:?}", path, rules);
            for (operation, needs) in [
                (Operation::Read, Capability::Read), (Operation::Update, Capability::Update)]
            {
                let expected = naive(&rules, path, false).contains(needs);
                prop_assert_eq!(may(&acl, path, operation), expected, "{} {:?}", path, rules);
            }
            let folder = if path.is_empty() || path.ends_with('/') { path.clone() }
                else { format!("{path}/") };
            let expected = naive(&rules, &folder, true).contains(Capability::List);
            prop_assert_eq!(may(&acl, path, Operation::List), expected, "{} {:?}", path, rules);
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,200}", path in "\\PC{0,60}", rule in "[a*+/{}]{0,20}") {
        let _ = Policy::parse("p", &text);
        let text = format!("path \"{rule}\" {{ capabilities = [\"list\"] }}");
        if let Ok((policy, _)) = Policy::parse("p", &text) {
            let acl = Acl::new(&[Arc::new(policy)], Time(0));
            let _ = acl.capabilities(&path);
            let _ = acl.check(&path, Operation::List, &NoParams);
        }
    }
}
