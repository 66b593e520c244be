//! Which requests the path of a rule may be about: for remarks on rules that are about none.

use super::{Policy, rule::Pattern};

/// The path of a rule, in segments.
pub struct Reach<'a> {
    /// Line of the policy, from 1.
    pub line: u32,
    /// As it is written, without a slash at its start.
    pub text: String,
    /// `+` is any; the last one is the start of a segment where `open`.
    segments: Vec<&'a str>,
    /// Anything may follow.
    open: bool,
}

impl Policy {
    /// The paths of the rules, in order. One with a template is any path that begins as it does.
    pub fn reaches(&self) -> impl Iterator<Item = Reach<'_>> {
        self.rules.iter().map(|rule| {
            let (path, open) = match &rule.pattern {
                Pattern::Exact(path) => (path.as_str(), false),
                Pattern::Prefix(path) => (path.as_str(), true),
                Pattern::Segments { path, prefix } => (path.as_str(), *prefix),
                Pattern::Templated(template) => {
                    let text = template.text().trim_start_matches('/');
                    (text.split("{{").next().unwrap_or_default(), true)
                }
            };
            Reach {
                line: rule.line,
                text: rule.pattern.text(),
                segments: path.split('/').collect(),
                open,
            }
        })
    }
}

impl Reach<'_> {
    /// The whole segments before the first wildcard.
    pub fn stem(&self) -> String {
        let whole = self.segments.len() - usize::from(self.open);
        let known = self.segments.iter().take(whole);
        let known = known.take_while(|segment| **segment != "+");
        known.copied().collect::<Vec<_>>().join("/")
    }

    /// A request to a mount with a path of this pattern may be meant, see
    /// [`Route`](crate::ports::engine::Route). The slash at the end means nothing.
    pub fn meets(&self, mount: &str, pattern: &str) -> bool {
        let route = [mount, pattern].concat();
        let route: Vec<&str> = route.trim_end_matches('/').split('/').collect();
        overlap(&self.segments, self.open, &route)
    }
}

/// Whether some path is of both.
fn overlap(mut rule: &[&str], open: bool, mut route: &[&str]) -> bool {
    loop {
        let Some((have, rule_rest)) = rule.split_first() else {
            // A rest may be empty.
            return route.is_empty() || matches!(route, [rest] if is_rest(rest));
        };
        let Some((want, route_rest)) = route.split_first() else {
            return have.is_empty() && rule_rest.is_empty();
        };
        if is_rest(want) {
            let some = |taken| {
                rule.get(taken..)
                    .map(|left| overlap(left, open, route_rest))
            };
            return open
                || route_rest.is_empty()
                || (1..=rule.len()).any(|taken| some(taken) == Some(true));
        }
        let last = open && rule_rest.is_empty();
        let fits = match (*have, *want) {
            ("+", _) => true,
            (have, want) if want.starts_with('{') => last || !have.is_empty(),
            (have, want) if last => want.starts_with(have),
            (have, want) => have == want,
        };
        if !fits || last {
            return fits;
        }
        (rule, route) = (rule_rest, route_rest);
    }
}

fn is_rest(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with("...}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(path: &str) -> Policy {
        let text = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        Policy::parse("p", &text).unwrap().0
    }

    fn meets(path: &str, mount: &str, pattern: &str) -> bool {
        policy(path).reaches().next().unwrap().meets(mount, pattern)
    }

    #[test]
    fn a_rule_meets_a_route_where_some_path_is_of_both() {
        for (path, pattern) in [
            ("kv/config", "config"),
            ("/kv/config", "config"),
            ("kv/*", "config"),
            ("*", "config"),
            ("kv/c*", "config"),
            ("kv/+", "config"),
            ("+/config", "config"),
            ("+/+", "config"),
            ("kv/config/", "config"),
            ("kv/config/*", "config"),
            ("kv/data/a/b", "data/{path...}"),
            ("kv/data", "data/{path...}"),
            ("kv/data/*", "data/{path...}"),
            ("kv/da*", "data/{path...}"),
            ("kv/+/a", "data/{path...}"),
            ("kv/x/y", "{path...}"),
            ("kv/role/a/id", "role/{name}/id"),
            ("kv/role/a*", "role/{name}/id"),
            ("kv/role/+/id", "role/{name}/id"),
            ("kv/mounts/a/b/tune", "mounts/{path...}/tune"),
            ("kv/mounts/+/tune", "mounts/{path...}/tune"),
            ("kv/mounts/a*", "mounts/{path...}/tune"),
            ("kv/mounts/a/tu*", "mounts/{path...}/tune"),
            ("kv/{{identity.entity.id}}/x", "data/{path...}"),
            ("kv/data/{{identity.entity.id}}", "data/{path...}"),
        ] {
            assert!(meets(path, "kv/", pattern), "{path} {pattern}");
        }
        for (path, pattern) in [
            ("kv/confg", "config"),
            ("kv", "config"),
            ("kv/", "config"),
            ("kv/x*", "config"),
            ("kv/config/x", "config"),
            ("kv/config/x*", "config"),
            ("other/*", "config"),
            ("kv/+/x", "config"),
            ("kv/dat/a", "data/{path...}"),
            ("kv/role/a", "role/{name}/id"),
            ("kv/role/a/ids", "role/{name}/id"),
            ("kv/mounts/tune", "mounts/{path...}/tune"),
            ("kv/mounts/a/b", "mounts/{path...}/tune"),
            ("kv/dat/{{identity.entity.id}}", "data/{path...}"),
        ] {
            assert!(!meets(path, "kv/", pattern), "{path} {pattern}");
        }
    }

    #[test]
    fn stems_end_at_the_first_wildcard() {
        for (path, stem) in [
            ("a/b/c", "a/b/c"),
            ("a/b*", "a"),
            ("a/*", "a"),
            ("a/+/c", "a"),
            ("*", ""),
            ("a/{{identity.entity.id}}/c", "a"),
        ] {
            assert_eq!(
                policy(path).reaches().next().unwrap().stem(),
                stem,
                "{path}"
            );
        }
    }
}
