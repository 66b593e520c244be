//! Listing over any ordered keys: reads one key of each subtree, never a subtree.

use std::ops::{Bound, ControlFlow};

use keyfold_core::ports::storage::Page;

/// The byte after `/`: `a0` is the least text above everything that starts with `a/`.
const AFTER_SLASH: char = '0';

/// One page of the names directly below `prefix`, as [`keyfold_core::ports::storage::Storage::list`]
/// wants it.
///
/// `scan(from, visit)` hands the stored keys from a bound on to `visit`, in byte order, until it
/// breaks or the keys end. A name is a key up to its first slash below the prefix, so the byte order
/// of the keys is that of the names too.
pub(super) fn page<E>(
    prefix: &str,
    after: &str,
    limit: usize,
    mut scan: impl FnMut(Bound<&str>, &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<(), E>,
) -> Result<Page, E> {
    let mut page = Page::default();
    let mut from = start(prefix, after);
    loop {
        let mut next = None;
        scan(from.as_ref().map(String::as_str), &mut |key| {
            let Some(rest) = key.strip_prefix(prefix) else {
                return ControlFlow::Break(());
            };
            if limit != 0 && page.names.len() == limit {
                page.more = true;
                return ControlFlow::Break(());
            }
            match rest.split_once('/') {
                None => {
                    page.names.push(rest.to_owned());
                    ControlFlow::Continue(())
                }
                Some((name, _)) => {
                    page.names.push(format!("{name}/"));
                    next = Some(beyond(prefix, name));
                    ControlFlow::Break(())
                }
            }
        })?;
        match next {
            Some(bound) => from = bound,
            None => return Ok(page),
        }
    }
}

/// Where the first name after `after` can be.
pub(super) fn start(prefix: &str, after: &str) -> Bound<String> {
    match after.split_once('/') {
        None if after.is_empty() => Bound::Included(prefix.to_owned()),
        None => Bound::Excluded(format!("{prefix}{after}")),
        Some((name, _)) => beyond(prefix, name),
    }
}

/// The first key that is not in the subtree of `name`.
pub(super) fn beyond(prefix: &str, name: &str) -> Bound<String> {
    Bound::Included(format!("{prefix}{name}{AFTER_SLASH}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    /// A page, and how many keys it read.
    fn read(keys: &BTreeSet<String>, prefix: &str, after: &str, limit: usize) -> (Page, usize) {
        let mut reads = 0;
        let page = page::<Infallible>(prefix, after, limit, |from, visit| {
            for key in keys.range::<str, _>((from, Bound::Unbounded)) {
                reads += 1;
                if visit(key).is_break() {
                    break;
                }
            }
            Ok(())
        });
        let Ok(page) = page;
        (page, reads)
    }

    #[test]
    fn a_subtree_costs_one_read() {
        let keys: BTreeSet<String> = (0..1000)
            .flat_map(|n| [format!("a/{n}"), format!("b/{n}/x"), format!("c{n}")])
            .collect();
        let (page, reads) = read(&keys, "", "", 2);
        assert_eq!(
            page,
            Page {
                names: vec!["a/".into(), "b/".into()],
                more: true
            }
        );
        assert_eq!(reads, 3);
        let (page, reads) = read(&keys, "", "a/", 1);
        assert_eq!(
            page,
            Page {
                names: vec!["b/".into()],
                more: true
            }
        );
        assert_eq!(reads, 2);
        assert_eq!(read(&keys, "", "c999", 0), (Page::default(), 0));
    }

    #[test]
    fn agrees_with_a_full_scan() {
        let letters = ["a", "-", "/", ".", "0", "ä"];
        let mut keys = BTreeSet::new();
        for n in 0..letters.len().pow(4) {
            let key: String = (0..4)
                .map(|i| letters[n / letters.len().pow(i) % 6])
                .collect();
            if key.split('/').all(|s| !s.is_empty()) {
                keys.insert(key);
            }
        }
        for prefix in ["", "a/", "a/-/", "0/"] {
            let whole: BTreeSet<String> = keys
                .iter()
                .filter_map(|k| k.strip_prefix(prefix))
                .map(|rest| match rest.split_once('/') {
                    Some((name, _)) => format!("{name}/"),
                    None => rest.to_owned(),
                })
                .collect();
            let afters: Vec<String> = keys
                .iter()
                .cloned()
                .chain(whole.iter().cloned())
                .chain([String::new()])
                .collect();
            for after in &afters {
                for limit in [0, 1, 3] {
                    let left: Vec<&String> = whole.iter().filter(|n| *n > after).collect();
                    let take = if limit == 0 {
                        left.len()
                    } else {
                        limit.min(left.len())
                    };
                    let expected = Page {
                        names: left.iter().take(take).map(|n| (*n).clone()).collect(),
                        more: left.len() > take,
                    };
                    assert_eq!(
                        read(&keys, prefix, after, limit).0,
                        expected,
                        "{prefix} {after}"
                    );
                }
            }
        }
    }
}
