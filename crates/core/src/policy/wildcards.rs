//! The rules with wildcards of a compiled set, ordered so that the best match is found without
//! trying them all: prefixes by binary search, `+` by walking a tree of segments.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
};

use super::{acl::Ruling, rule::Pattern};

/// Place of a rule in the order from the least to the most specific.
type Rank = usize;

#[derive(Default)]
pub(super) struct Wildcards {
    /// By rank.
    rules: Vec<(Pattern, Ruling)>,
    prefixes: Vec<Prefix>,
    segments: Node,
}

/// A path that ended in `*`, in a list sorted by text.
struct Prefix {
    text: String,
    rank: Rank,
    /// Index of the longest other prefix that is a prefix of this one.
    parent: Option<usize>,
}

/// What the patterns with `+` expect at one segment of a path.
#[derive(Default)]
struct Node {
    literals: HashMap<String, Node>,
    plus: Option<Box<Node>>,
    /// The pattern that ends before this segment.
    end: Option<Rank>,
    /// Patterns that end in `*` within this segment: what it has to start with, longest first.
    starts: Vec<(String, Rank)>,
}

impl Wildcards {
    /// From patterns that are not [`Pattern::Exact`], each with all it permits.
    pub(super) fn new(rules: HashMap<Pattern, Ruling>) -> Self {
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by(|(one, _), (other, _)| specificity(one, other));
        let mut wildcards = Self::default();
        for (rank, (pattern, _)) in rules.iter().enumerate() {
            match pattern {
                Pattern::Prefix(text) => {
                    wildcards.prefixes.push(Prefix {
                        text: text.clone(),
                        rank,
                        parent: None,
                    });
                }
                Pattern::Segments { path, prefix } => {
                    wildcards.segments.insert(path, *prefix, rank);
                }
                Pattern::Exact(_) | Pattern::Templated(_) => {}
            }
        }
        wildcards.rules = rules;
        wildcards.segments.sort();
        wildcards.link_prefixes();
        wildcards
    }

    /// Rank of the most specific rule that matches.
    pub(super) fn best(&self, path: &str) -> Option<Rank> {
        let mut best = self.longest_prefix(path).map(|prefix| prefix.rank);
        self.segments.walk(Some(path), &mut best);
        best
    }

    /// The rule of that rank.
    pub(super) fn rule(&self, rank: Rank) -> Option<(&Pattern, &Ruling)> {
        self.rules
            .get(rank)
            .map(|(pattern, ruling)| (pattern, ruling))
    }

    /// All of them, the least specific first.
    pub(super) fn rules(&self) -> impl DoubleEndedIterator<Item = (&Pattern, &Ruling)> {
        self.rules.iter().map(|(pattern, ruling)| (pattern, ruling))
    }

    /// Of all prefixes of `path` the longest is the one sorted right before it, or one of that
    /// one's own prefixes.
    fn longest_prefix(&self, path: &str) -> Option<&Prefix> {
        let after = self
            .prefixes
            .partition_point(|prefix| prefix.text.as_str() <= path);
        let mut candidate = self.prefixes.get(after.checked_sub(1)?)?;
        while !path.starts_with(&candidate.text) {
            candidate = self.prefixes.get(candidate.parent?)?;
        }
        Some(candidate)
    }

    fn link_prefixes(&mut self) {
        self.prefixes
            .sort_by(|one, other| one.text.cmp(&other.text));
        // The chain of prefixes that the current text starts with, by index.
        let mut chain: Vec<usize> = Vec::new();
        for index in 0..self.prefixes.len() {
            let Some(text) = self.prefixes.get(index).map(|prefix| prefix.text.clone()) else {
                break;
            };
            let contains = |&index: &usize| {
                self.prefixes
                    .get(index)
                    .is_some_and(|prefix| text.starts_with(&prefix.text))
            };
            while chain.last().is_some_and(|index| !contains(index)) {
                chain.pop();
            }
            if let Some(prefix) = self.prefixes.get_mut(index) {
                prefix.parent = chain.last().copied();
            }
            chain.push(index);
        }
    }
}

impl Node {
    fn insert(&mut self, path: &str, prefix: bool, rank: Rank) {
        let mut node = self;
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segment == "+" {
                node = node.plus.get_or_insert_default();
            } else if prefix && segments.peek().is_none() {
                node.starts.push((segment.to_owned(), rank));
                return;
            } else {
                node = node.literals.entry(segment.to_owned()).or_default();
            }
        }
        node.end = Some(rank);
    }

    /// Longest start first, here and below. As deep as a policy's path has segments, which the
    /// parser limits; so is [`Node::walk`].
    fn sort(&mut self) {
        self.starts.sort_by_key(|(start, _)| Reverse(start.len()));
        self.literals.values_mut().for_each(Self::sort);
        if let Some(plus) = &mut self.plus {
            plus.sort();
        }
    }

    /// Improves `best` by all patterns that match the rest of a path, `None` being its end.
    fn walk(&self, rest: Option<&str>, best: &mut Option<Rank>) {
        let Some(rest) = rest else {
            *best = (*best).max(self.end);
            return;
        };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        // The longest start is the most specific: what stands before it is the same for all.
        let start = self
            .starts
            .iter()
            .find(|(start, _)| segment.starts_with(start.as_str()));
        *best = (*best).max(start.map(|(_, rank)| *rank));
        if let Some(node) = self.literals.get(segment) {
            node.walk(rest, best);
        }
        if let Some(node) = &self.plus {
            node.walk(rest, best);
        }
    }
}

/// The five tie-breakers, from the least specific to the most.
fn specificity(one: &Pattern, other: &Pattern) -> Ordering {
    fn key(pattern: &Pattern) -> (usize, bool, Reverse<usize>, usize, &str) {
        let (path, prefix) = match pattern {
            Pattern::Prefix(path) => (path.as_str(), true),
            Pattern::Segments { path, prefix } => (path.as_str(), *prefix),
            Pattern::Exact(path) => (path.as_str(), false),
            Pattern::Templated(_) => ("", true),
        };
        let segments = || path.split('/');
        let plus = segments().filter(|&segment| segment == "+").count();
        // Bytes before the first `+` segment; without one, before the `*`.
        let first = match segments().position(|segment| segment == "+") {
            Some(at) => segments().take(at).map(|segment| segment.len() + 1).sum(),
            None => path.len(),
        };
        (first, !prefix, Reverse(plus), path.len(), path)
    }
    key(one).cmp(&key(other))
}
