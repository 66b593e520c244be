//! [`Listing`]: the headers of a bucket, a page of the service after the other.

use std::collections::VecDeque;

use keyfold_envelope::{Error, SUFFIX, Unreadable};
use object_store::path::{Error as PathError, Path};

use super::objects::{Begin, fault};
use super::{Bucket, Sidecar, name_of};

/// Most objects of a page, as services have it.
const PAGE: usize = 1000;

/// The headers whose keys start so, and objects that have none.
pub(super) struct Listing<'a> {
    bucket: &'a Bucket,
    ready: VecDeque<Result<Sidecar, Unreadable>>,
    alone: Alone,
    /// The key that was listed last.
    last: Option<String>,
    /// Where the next page begins, and its size; `None` behind the last one.
    next: Option<(Begin, usize)>,
}

impl<'a> Listing<'a> {
    pub(super) fn of(bucket: &'a Bucket) -> Self {
        Self {
            bucket,
            ready: VecDeque::new(),
            alone: Alone::default(),
            last: None,
            next: Some((Begin::Start, PAGE)),
        }
    }

    /// Asks for a page. What comes after one that is refused is not listed.
    fn turn(&mut self, begin: Begin, size: usize) {
        let bucket = self.bucket;
        let page = bucket.objects.page(&bucket.address.key, begin, size);
        let error = match bucket.objects.wait(page) {
            Ok((found, token)) => {
                self.next = token.map(|token| (Begin::Token(token), size));
                return self.take(found);
            }
            // What lies before it is listed one by one.
            Err(object_store::Error::InvalidPath { .. }) if size > 1 => {
                let begin = self.last.clone().map_or(Begin::Start, Begin::After);
                self.next = Some((begin, 1));
                return;
            }
            Err(object_store::Error::InvalidPath {
                source: PathError::EmptySegment { path } | PathError::BadSegment { path, .. },
            }) if self.last.as_ref().is_none_or(|last| *last < path) => return self.pass(path),
            Err(error) => fault(error),
        };
        let path = bucket.address().into();
        self.ready.push_back(Err(Unreadable { path, error }));
    }

    fn take(&mut self, found: Vec<Path>) {
        self.last = found.last().map(Path::to_string).or(self.last.take());
        for key in found {
            self.alone
                .meet(key, |sidecar| self.ready.push_back(Ok(sidecar)));
        }
        if self.next.is_none() {
            let rest = self.alone.0.drain(..);
            self.ready.extend(rest.map(|key| Ok(Sidecar::none(key))));
        }
    }

    /// Goes on behind a key that would become another one on its way.
    fn pass(&mut self, key: String) {
        if key.ends_with(SUFFIX) {
            let what = "a key with an empty part, . or .. as one, or a control character";
            self.ready.push_back(Err(Unreadable {
                path: name_of(&self.bucket.address.bucket, &key).into(),
                error: Error::Unsupported(what),
            }));
        }
        self.last = Some(key.clone());
        self.next = Some((Begin::After(key), PAGE));
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<Sidecar, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            let (begin, size) = self.next.take()?;
            self.turn(begin, size);
        }
    }
}

/// Objects whose headers were not met yet, each the beginning of the next one. Keys come in the order
/// of their bytes, so nothing else can still get one.
#[derive(Default)]
struct Alone(Vec<Path>);

impl Alone {
    /// Tells what is known once this key is: it is a header, or others have none.
    fn meet(&mut self, key: Path, mut tell: impl FnMut(Sidecar)) {
        let is_passed = |open: &mut Path| match key.as_ref().strip_prefix(open.as_ref()) {
            Some(rest) => rest > SUFFIX,
            None => true,
        };
        while let Some(open) = self.0.pop_if(is_passed) {
            tell(Sidecar::none(open));
        }
        match Sidecar::listed(key.clone()) {
            Some(sidecar) => {
                self.0.pop_if(|open| *open == sidecar.payload);
                tell(sidecar);
            }
            None => self.0.push(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::address::exact;
    use super::*;

    /// Headers and others, of keys in the order of their bytes.
    fn told(keys: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
        let mut alone = Alone::default();
        let (mut headers, mut others) = (Vec::new(), Vec::new());
        for key in keys {
            alone.meet(Path::parse(key).unwrap(), |sidecar| {
                let list = match sidecar.is_header {
                    true => &mut headers,
                    false => &mut others,
                };
                list.push(sidecar.key.to_string());
            });
        }
        others.extend(alone.0.iter().map(Path::to_string));
        (headers, others)
    }

    proptest! {
        #[test]
        fn each_key_is_a_header_or_has_one_or_is_told(
            keys in prop::collection::btree_set("[-.afk/]{0,3}(a|k|\\.kf)", 0..40),
        ) {
            let keys = keys.into_iter().filter(|key| exact(key).is_some());
            let keys: BTreeSet<String> = keys.collect();
            let is_header = |key: &str| Sidecar::listed(Path::parse(key).unwrap()).is_some();
            let (headers, mut others) = told(&keys);
            others.sort_unstable();
            let (want, mut rest): (Vec<_>, Vec<_>) =
                keys.iter().cloned().partition(|key| is_header(key));
            prop_assert_eq!(headers, want);
            rest.retain(|key| !keys.contains(&format!("{key}{SUFFIX}")));
            prop_assert_eq!(others, rest);
        }
    }

    #[test]
    fn objects_without_a_header_are_told_apart() {
        let keys = [
            "a", "a b", "a b.kf", "a-", "a-b", "a-b.kf", "a.", "a..kf", "a.kf", "a.txt", "a/b",
            "b", "ba", "c.kf", "d/.kf", "z", "z.kf",
        ];
        let (headers, others) = told(&keys.map(str::to_owned).into());
        let want = ["a b.kf", "a-b.kf", "a..kf", "a.kf", "c.kf", "z.kf"];
        assert_eq!(headers, want);
        assert_eq!(others, ["a-", "a.txt", "a/b", "b", "ba", "d/.kf"]);
    }
}
