//! Rules about names whose case means nothing: `Chief` and `chief` are one, in policies as in
//! requests.
//!
//! Few routes have such names and few policies have capitals in them, so what these rules say
//! together is put together when it is asked for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{
    acl::{Acl, Denial, Grant, Ruling, spellings},
    capability::Operation,
    params::ParamSource,
    rule::Pattern,
};

impl Acl {
    /// Checks a request like [`Acl::check`], where the case of letters means nothing after the first
    /// `before` segments of the path, which is in lower case there. Rules that differ in that alone
    /// are one rule.
    pub fn check_caseless(
        &self,
        path: &str,
        before: usize,
        operation: Operation,
        params: &dyn ParamSource,
    ) -> Result<Grant, Denial> {
        if self.is_root() || !self.has_capitals() {
            return self.check(path, operation, params);
        }
        let (spelling, bare) = spellings(path, operation);
        let about = |pattern: &Pattern| {
            pattern.matches(&spelling) || bare.is_some_and(|bare| pattern.matches(bare))
        };
        let mut rules: HashMap<Pattern, Ruling> = HashMap::new();
        for (pattern, ruling) in self.rules() {
            let pattern = pattern.in_lower_case(before);
            if !about(&pattern) {
                continue;
            }
            match rules.entry(pattern) {
                Entry::Occupied(mut known) => {
                    known.get_mut().permissions.merge(&ruling.permissions);
                }
                Entry::Vacant(vacant) => {
                    let permissions = ruling.permissions.clone();
                    let sources = Vec::new();
                    vacant.insert(Ruling {
                        permissions,
                        sources,
                    });
                }
            }
        }
        Self::of_rules(rules).check(path, operation, params)
    }
}

impl Pattern {
    /// With the letters after the first `before` segments in lower case.
    fn in_lower_case(&self, before: usize) -> Self {
        let lower = |path: &str| {
            let parts = path.split('/').enumerate();
            let parts = parts.map(|(index, part)| match index < before {
                true => part.to_owned(),
                false => part.to_lowercase(),
            });
            parts.collect::<Vec<_>>().join("/")
        };
        match self {
            Self::Exact(path) => Self::Exact(lower(path)),
            Self::Prefix(stem) => Self::Prefix(lower(stem)),
            Self::Segments { path, prefix } => Self::Segments {
                path: lower(path),
                prefix: *prefix,
            },
            Self::Templated(template) => Self::Templated(template.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Time;
    use crate::policy::{NoParams, Policy};

    fn acl(text: &str) -> Acl {
        let (policy, _) = Policy::parse("p", text).unwrap();
        Acl::new(&[Arc::new(policy)], Time(0))
    }

    fn ask(acl: &Acl, path: &str) -> Result<Grant, Denial> {
        acl.check_caseless(path, 3, Operation::Update, &NoParams)
    }

    #[test]
    fn a_denial_of_one_spelling_is_one_of_all() {
        for denied in ["Chief", "CHIEF", "chief", "Ch*", "+", "C*"] {
            let acl = acl(&format!(
                "path \"identity/entity/name/*\" {{ capabilities = [\"update\"] }}
                 path \"identity/entity/name/{denied}\" {{ capabilities = [\"deny\"] }}"
            ));
            let refused = ask(&acl, "identity/entity/name/chief");
            assert_eq!(refused, Err(Denial::Deny), "{denied}");
        }
    }

    #[test]
    fn the_most_specific_rule_decides_whatever_its_case() {
        let acl = acl(r#"
            path "identity/entity/name/*" { capabilities = ["update"] }
            path "identity/entity/name/C*" { capabilities = ["deny"] }
            path "identity/entity/name/chief" { capabilities = ["update"] }
            path "identity/entity/name/Cook" { capabilities = ["read"] }
            path "identity/entity/name/Clerk" { capabilities = ["update"] }
            path "identity/entity/name/clerk" { capabilities = ["deny"] }
            path "Identity/entity/name/*" { capabilities = ["deny"] }
            path "identity/+/name/Ann" { capabilities = ["deny"] }
        "#);
        let path = |name: &str| format!("identity/entity/name/{name}");
        assert!(ask(&acl, &path("chief")).is_ok());
        assert!(ask(&acl, &path("ben")).is_ok());
        assert_eq!(ask(&acl, &path("cook")), Err(Denial::Capability));
        assert_eq!(ask(&acl, &path("clerk")), Err(Denial::Deny));
        assert_eq!(ask(&acl, &path("carl")), Err(Denial::Deny));
        // The later first wildcard is the more specific rule, as without capitals.
        assert!(ask(&acl, &path("ann")).is_ok());
        // What stands before the name is read letter by letter.
        assert_eq!(ask(&acl, "Identity/entity/name/ben"), Err(Denial::Deny));
        assert_eq!(ask(&acl, "IDENTITY/entity/name/ben"), Err(Denial::NoRule));
    }

    #[test]
    fn without_capitals_it_is_the_usual_check() {
        let acl = acl(r#"path "identity/entity/name/a*" { capabilities = ["update"] }"#);
        assert!(ask(&acl, "identity/entity/name/ann").is_ok());
        assert_eq!(ask(&acl, "identity/entity/name/ben"), Err(Denial::NoRule));
    }
}
