//! Patterns of routes: literal segments, `{name}` for one segment, `{name...}` for the rest, or for
//! all up to the segments that follow it.

/// Captures of a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params<'a>(pub(super) Vec<(&'static str, &'a str)>);

/// Matches a path against a pattern.
pub(super) fn matches<'a>(pattern: &'static str, path: &'a str) -> Option<Params<'a>> {
    let mut params = Vec::new();
    let (mut pattern, mut path) = (Some(pattern), Some(path));
    loop {
        let (Some(want), Some(have)) = (pattern, path) else {
            // A rest may be empty: `data/{path...}` takes `data`.
            return match (pattern, path) {
                (None, None) => Some(Params(params)),
                (Some(rest), None) if rest.ends_with("...}") && !rest.contains('/') => {
                    params.push((name(rest)?, ""));
                    Some(Params(params))
                }
                _ => None,
            };
        };
        if want.ends_with("...}") && !want.contains('/') {
            params.push((name(want)?, have));
            return Some(Params(params));
        }
        let (first, want_rest) = cut(want);
        if let Some(end) = want_rest
            && first.ends_with("...}")
        {
            let inner = have.strip_suffix(end)?.strip_suffix('/')?;
            params.push((name(first)?, inner));
            return (!inner.is_empty()).then_some(Params(params));
        }
        let (segment, have_rest) = cut(have);
        if first.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            params.push((name(first)?, segment));
        } else if first != segment {
            return None;
        }
        (pattern, path) = (want_rest, have_rest);
    }
}

fn cut(text: &str) -> (&str, Option<&str>) {
    text.split_once('/')
        .map_or((text, None), |(a, b)| (a, Some(b)))
}

fn name(part: &'static str) -> Option<&'static str> {
    let inner = part.strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.strip_suffix("...").unwrap_or(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(
        pattern: &'static str,
        path: &'static str,
    ) -> Option<Vec<(&'static str, &'static str)>> {
        matches(pattern, path).map(|p| p.0)
    }

    #[test]
    fn patterns() {
        assert_eq!(captures("keys", "keys"), Some(vec![]));
        assert_eq!(captures("keys/{name}", "keys/a"), Some(vec![("name", "a")]));
        assert_eq!(captures("keys/{name}", "keys/"), None);
        assert_eq!(captures("keys/{name}", "keys/a/b"), None);
        assert_eq!(
            captures("keys/{name}/rotate", "keys/a/rotate"),
            Some(vec![("name", "a")])
        );
        assert_eq!(
            captures("data/{path...}", "data/a/b/"),
            Some(vec![("path", "a/b/")])
        );
        assert_eq!(captures("data/{path...}", "data"), Some(vec![("path", "")]));
        assert_eq!(captures("data/{path...}", "datum"), None);
        assert_eq!(captures("{path...}", "x/y"), Some(vec![("path", "x/y")]));
        assert_eq!(captures("keys", "keys/"), None);
        let tuning = "mounts/{path...}/tune";
        assert_eq!(
            captures(tuning, "mounts/a/b/tune"),
            Some(vec![("path", "a/b")])
        );
        for path in ["mounts/tune", "mounts//tune", "mounts/a", "mounts/a/tune/"] {
            assert_eq!(captures(tuning, path), None, "{path}");
        }
    }
}
