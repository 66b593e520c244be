//! Paths with `{{identity…}}` in them, and how they are filled.
//!
//! ```text
//!   kv/{{identity.entity.name}}/*  +  ann  ──►  kv/ann/*
//! ```
//!
//! A path that can't be filled as a whole is a path of no rule. A value must not reach further than
//! itself: without the policy's leave it has no `*`, `+` or `/`, and never is it empty or has an
//! empty, `.` or `..` segment.

use super::TemplateValues;
use super::rule::Pattern;

/// Who a policy is filled for.
pub trait Subject: Send + Sync {
    /// What a place in a path stands for; `None` where there is no such thing.
    fn value(&self, selector: &Selector) -> Option<&str>;
}

/// What stands between the braces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// `identity.entity.id`
    EntityId,
    /// `identity.entity.name`
    EntityName,
    /// `identity.entity.metadata.KEY`
    EntityMetadata(String),
    /// `identity.entity.aliases.ACCESSOR.…`
    Alias(String, OfAlias),
    /// `identity.groups.ids.ID.…`
    GroupOfId(String, OfGroup),
    /// `identity.groups.names.NAME.…`
    GroupOfName(String, OfGroup),
    /// What nobody knows: it fills nothing.
    Unknown,
}

/// What is asked of an alias.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OfAlias {
    /// `id`
    Id,
    /// `name`
    Name,
    /// `metadata.KEY`
    Metadata(String),
    /// `custom_metadata.KEY`
    CustomMetadata(String),
}

/// What is asked of a group that the entity is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OfGroup {
    /// `id`
    Id,
    /// `name`
    Name,
    /// `metadata.KEY`
    Metadata(String),
}

/// A path in pieces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Value(Selector),
}

impl Template {
    /// Reads a path; `None` when its braces do not pair up.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = path;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}")?;
            if before.contains("}}") || inside.contains("{{") {
                return None;
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(Selector::parse(inside.trim())));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let text = path.to_owned();
        (!rest.contains("}}")).then_some(Self { text, parts })
    }

    /// Whether there is anything to fill.
    pub fn is_plain(&self) -> bool {
        self.parts.len() == 1
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It has a place that nothing ever fills.
    pub fn is_idle(&self) -> bool {
        self.parts.contains(&Part::Value(Selector::Unknown))
    }

    /// The pattern for somebody.
    pub fn fill(&self, subject: &dyn Subject, values: TemplateValues) -> Option<Pattern> {
        self.filled(subject, |value| fits(value, values))
    }

    /// The pattern of a denial for somebody: any value will do, as it only makes it deny more.
    pub fn fill_denial(&self, subject: &dyn Subject) -> Option<Pattern> {
        self.filled(subject, |_| true)
    }

    fn filled(&self, subject: &dyn Subject, fits: impl Fn(&str) -> bool) -> Option<Pattern> {
        let mut path = String::new();
        for part in &self.parts {
            path.push_str(match part {
                Part::Text(text) => text,
                Part::Value(selector) => subject.value(selector).filter(|value| fits(value))?,
            });
        }
        Pattern::checked(path.strip_prefix('/').unwrap_or(&path))
    }
}

fn fits(value: &str, values: TemplateValues) -> bool {
    let wild = value.contains(['*', '+']);
    let deep = value.contains('/');
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    (values.wildcards || !wild)
        && (values.slashes || !deep)
        && !value.split('/').any(odd)
        && !value.chars().any(char::is_control)
}

impl Selector {
    fn parse(text: &str) -> Self {
        Self::known(text).unwrap_or(Self::Unknown)
    }

    fn known(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("identity.")?;
        if let Some(rest) = rest.strip_prefix("groups.ids.") {
            let (id, asked) = OfGroup::split(rest)?;
            return Some(Self::GroupOfId(id, asked));
        }
        if let Some(rest) = rest.strip_prefix("groups.names.") {
            let (name, asked) = OfGroup::split(rest)?;
            return Some(Self::GroupOfName(name, asked));
        }
        let rest = rest.strip_prefix("entity.")?;
        if let Some(key) = rest.strip_prefix("metadata.") {
            return Some(Self::EntityMetadata(key.to_owned()));
        }
        if let Some(rest) = rest.strip_prefix("aliases.") {
            let (accessor, asked) = rest.split_once('.')?;
            return Some(Self::Alias(accessor.to_owned(), OfAlias::parse(asked)?));
        }
        match rest {
            "id" => Some(Self::EntityId),
            "name" => Some(Self::EntityName),
            _ => None,
        }
    }
}

impl OfAlias {
    fn parse(text: &str) -> Option<Self> {
        if let Some(key) = text.strip_prefix("metadata.") {
            return Some(Self::Metadata(key.to_owned()));
        }
        if let Some(key) = text.strip_prefix("custom_metadata.") {
            return Some(Self::CustomMetadata(key.to_owned()));
        }
        match text {
            "id" => Some(Self::Id),
            "name" => Some(Self::Name),
            _ => None,
        }
    }
}

impl OfGroup {
    /// Which group, and what of it. A group's name may have dots.
    fn split(text: &str) -> Option<(String, Self)> {
        if let Some((group, key)) = text.split_once(".metadata.") {
            return Some((group.to_owned(), Self::Metadata(key.to_owned())));
        }
        let (group, asked) = text.rsplit_once('.')?;
        let asked = match asked {
            "id" => Self::Id,
            "name" => Self::Name,
            _ => return None,
        };
        Some((group.to_owned(), asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its name fills every place that is known.
    struct Named(&'static str);

    impl Subject for Named {
        fn value(&self, selector: &Selector) -> Option<&str> {
            (*selector != Selector::Unknown).then_some(self.0)
        }
    }

    fn fill(path: &str, value: &'static str, values: TemplateValues) -> Option<String> {
        let template = Template::parse(path).unwrap();
        let filled = template.fill(&Named(value), values);
        filled.map(|pattern| pattern.text())
    }

    const NO: TemplateValues = TemplateValues {
        wildcards: false,
        slashes: false,
    };
    const ALL: TemplateValues = TemplateValues {
        wildcards: true,
        slashes: true,
    };

    #[test]
    fn values_stand_in_their_places() {
        let path = "kv/{{identity.entity.name}}/{{ identity.entity.id }}/*";
        assert_eq!(fill(path, "ann", NO).unwrap(), "kv/ann/ann/*");
        assert_eq!(fill("/{{identity.entity.name}}", "ann", NO).unwrap(), "ann");
    }

    #[test]
    fn no_value_reaches_further_than_itself() {
        let path = "kv/{{identity.entity.name}}/x*";
        for value in ["*", "a*", "+", "a+b", "a/b", "", ".", "..", "a\n"] {
            assert_eq!(fill(path, value, NO), None, "{value:?}");
        }
        for value in ["", "..", "a/../b", "a//b", "/a"] {
            assert_eq!(fill(path, value, ALL), None, "{value:?}");
        }
        assert_eq!(fill(path, "a/b", ALL).unwrap(), "kv/a/b/x*");
        assert_eq!(fill("{{identity.entity.name}}*", "a+", ALL), None);
        for value in ["a.b", "a b", "é", "{{x}}", "a@b", "a-b"] {
            assert_eq!(fill(path, value, NO).unwrap(), format!("kv/{value}/x*"));
        }
    }

    #[test]
    fn a_denial_takes_any_value() {
        let template = Template::parse("kv/{{identity.entity.name}}").unwrap();
        let denied = |value| template.fill_denial(&Named(value)).unwrap();
        assert!(denied("a/b").matches("kv/a/b") && denied("a*").matches("kv/a*"));
    }

    #[test]
    fn selectors() {
        let of = |text: &str| Selector::parse(text);
        assert_eq!(of("identity.entity.id"), Selector::EntityId);
        assert_eq!(
            of("identity.entity.metadata.a.b"),
            Selector::EntityMetadata("a.b".into())
        );
        assert_eq!(
            of("identity.entity.aliases.acc.custom_metadata.k"),
            Selector::Alias("acc".into(), OfAlias::CustomMetadata("k".into()))
        );
        assert_eq!(
            of("identity.groups.names.a.b.id"),
            Selector::GroupOfName("a.b".into(), OfGroup::Id)
        );
        assert_eq!(
            of("identity.groups.ids.g.metadata.k"),
            Selector::GroupOfId("g".into(), OfGroup::Metadata("k".into()))
        );
        for text in [
            "",
            "identity.moon.id",
            "Identity.entity.id",
            "identity.entity",
            "time.now",
        ] {
            assert_eq!(of(text), Selector::Unknown, "{text}");
        }
    }

    #[test]
    fn braces_pair_up() {
        for text in ["a/{{x", "a/x}}", "a/{{x{{y}}", "{{a}}}}"] {
            assert!(Template::parse(text).is_none(), "{text}");
        }
        assert!(Template::parse("a/b").unwrap().is_plain());
    }
}
