//! Token roles: what may be made by `create/<role>`, and how it lives.

use ipnet::IpNet;
use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::params::{TokenType, parse_cidrs, show_cidrs};
use super::store::{PAGE, Tokens};
use crate::barrier::json;
use crate::error::Error;
use crate::policies;
use crate::policy::glob;
use crate::ports::storage::Batch;

const FOLDER: &str = "token/role/";

/// What is stored of a role. Times in seconds; zero and empty stand for "not said".
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    /// Policies that its tokens may have; where both lists of them are empty, those of the caller.
    pub allowed_policies: Vec<String>,
    /// The same as patterns.
    pub allowed_policies_glob: Vec<String>,
    /// Policies that its tokens may not have.
    pub disallowed_policies: Vec<String>,
    /// The same as patterns.
    pub disallowed_policies_glob: Vec<String>,
    /// Names and patterns of the aliases that a token may be made for.
    pub allowed_entity_aliases: Option<Vec<String>>,
    /// Its tokens have no parent.
    pub orphan: bool,
    /// Its tokens can be renewed.
    pub renewable: bool,
    /// Behind the path of the tokens' making, so that their leases can be told apart.
    pub path_suffix: String,
    /// Addresses that may use its tokens.
    pub bound_cidrs: Vec<IpNet>,
    /// A bound on the whole life that no renewal moves.
    pub explicit_max_ttl: u64,
    /// Each renewal gives just this.
    pub period: u64,
    /// Without the policy `default`.
    pub no_default_policy: bool,
    /// Requests that its tokens are good for.
    pub num_uses: u64,
    /// Which kind.
    pub kind: TokenType,
    /// What was said by old names, which are shown for those who used them.
    pub old: OldNames,
}

/// The members that once had no `token_` in front.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OldNames {
    bound_cidrs: bool,
    explicit_max_ttl: u64,
    period: u64,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            allowed_policies: Vec::new(),
            allowed_policies_glob: Vec::new(),
            disallowed_policies: Vec::new(),
            disallowed_policies_glob: Vec::new(),
            allowed_entity_aliases: None,
            orphan: false,
            renewable: true,
            path_suffix: String::new(),
            bound_cidrs: Vec::new(),
            explicit_max_ttl: 0,
            period: 0,
            no_default_policy: false,
            num_uses: 0,
            kind: TokenType::DefaultService,
            old: OldNames::default(),
        }
    }
}

/// The members in a body; what is absent stays as it was.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RoleMembers {
    #[serde(deserialize_with = "weak::list")]
    allowed_policies: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    allowed_policies_glob: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    disallowed_policies: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    disallowed_policies_glob: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    allowed_entity_aliases: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::boolean")]
    orphan: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    renewable: Option<bool>,
    #[serde(deserialize_with = "weak::string")]
    path_suffix: Option<String>,
    #[serde(deserialize_with = "weak::list")]
    bound_cidrs: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::duration")]
    explicit_max_ttl: Option<Seconds>,
    #[serde(deserialize_with = "weak::duration")]
    period: Option<Seconds>,
    #[serde(deserialize_with = "weak::list")]
    token_bound_cidrs: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::duration")]
    token_explicit_max_ttl: Option<Seconds>,
    #[serde(deserialize_with = "weak::duration")]
    token_period: Option<Seconds>,
    #[serde(deserialize_with = "weak::boolean")]
    token_no_default_policy: Option<bool>,
    #[serde(deserialize_with = "weak::int")]
    token_num_uses: Option<i64>,
    #[serde(deserialize_with = "weak::string")]
    token_type: Option<String>,
}

/// A role as the wire shows it.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    allowed_entity_aliases: &'a Option<Vec<String>>,
    allowed_policies: &'a [String],
    allowed_policies_glob: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_cidrs: Option<Vec<String>>,
    disallowed_policies: &'a [String],
    disallowed_policies_glob: &'a [String],
    explicit_max_ttl: u64,
    name: &'a str,
    orphan: bool,
    path_suffix: &'a str,
    period: u64,
    renewable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    token_bound_cidrs: Vec<String>,
    token_explicit_max_ttl: u64,
    token_no_default_policy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_num_uses: Option<u64>,
    token_period: u64,
    token_type: TokenType,
}

impl RoleMembers {
    /// The role with these members put in, checked as a whole; remarks on members that others
    /// overrule.
    pub(super) fn apply(self, old: Role) -> Result<(Role, Vec<String>), Error> {
        let mut new = old;
        let mut remarks = Vec::new();
        let lists = [
            (&mut new.allowed_policies, self.allowed_policies),
            (&mut new.allowed_policies_glob, self.allowed_policies_glob),
            (&mut new.disallowed_policies, self.disallowed_policies),
            (
                &mut new.disallowed_policies_glob,
                self.disallowed_policies_glob,
            ),
        ];
        for (place, value) in lists {
            if let Some(value) = value {
                *place = policies::names(value);
            }
        }
        if let Some(aliases) = self.allowed_entity_aliases {
            new.allowed_entity_aliases = Some(policies::names(aliases));
        }
        set(&mut new.orphan, self.orphan);
        set(&mut new.renewable, self.renewable);
        set(&mut new.no_default_policy, self.token_no_default_policy);
        set(&mut new.path_suffix, self.path_suffix);
        if let Some(uses) = self.token_num_uses {
            new.num_uses = u64::try_from(uses)
                .map_err(|_| Error::bad("'token_num_uses' cannot be negative"))?;
        }
        if let Some(kind) = self.token_type {
            new.kind = match kind.as_str() {
                "" | "default" => TokenType::DefaultService,
                kind => {
                    TokenType::parse(kind).map_err(|_| Error::bad("invalid 'token_type' value"))?
                }
            };
        }
        let times = [
            (
                "period",
                &mut new.period,
                &mut new.old.period,
                (self.token_period, self.period),
            ),
            (
                "explicit_max_ttl",
                &mut new.explicit_max_ttl,
                &mut new.old.explicit_max_ttl,
                (self.token_explicit_max_ttl, self.explicit_max_ttl),
            ),
        ];
        for (name, place, old, said) in times {
            let (value, by_old_name) = match said {
                (Some(value), by_old) => {
                    remarks.extend(by_old.map(|_| overruled(name)));
                    (secs(value), 0)
                }
                (None, Some(value)) => (secs(value), secs(value)),
                (None, None) => continue,
            };
            (*place, *old) = (value, by_old_name);
        }
        let (cidrs, by_old_name) = match (self.token_bound_cidrs, self.bound_cidrs) {
            (Some(cidrs), by_old) => {
                remarks.extend(by_old.map(|_| overruled("bound_cidrs")));
                (Some(("token_bound_cidrs", cidrs)), false)
            }
            (None, by_old) => (by_old.map(|cidrs| ("bound_cidrs", cidrs)), true),
        };
        if let Some((field, cidrs)) = cidrs {
            new.bound_cidrs = parse_cidrs(field, &cidrs)?;
            new.old.bound_cidrs = by_old_name;
        }
        new.check()?;
        if new.kind == TokenType::DefaultBatch && new.period > 0 {
            remarks.push(
                "'token_period' holds for tokens that are made with the type service: batch tokens \
                 have no period, and are refused"
                    .to_owned(),
            );
        }
        Ok((new, remarks))
    }
}

impl Role {
    fn check(&self) -> Result<(), Error> {
        if !self.path_suffix.is_empty() && !is_suffix(&self.path_suffix) {
            return Err(Error::bad(
                "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w",
            ));
        }
        if self.kind != TokenType::Batch {
            return Ok(());
        }
        let impossible = [
            (!self.orphan, "non-orphan tokens"),
            (self.period > 0, "periodic tokens"),
            (self.renewable, "renewable tokens"),
            (self.explicit_max_ttl > 0, "tokens with an explicit max TTL"),
            (self.num_uses > 0, "tokens with limited uses"),
        ];
        match impossible.iter().find(|(so, _)| *so) {
            Some((_, what)) => Err(Error::bad(format!(
                "'token_type' cannot be 'batch' when role is set to generate {what}"
            ))),
            None => Ok(()),
        }
    }

    /// It names the policies that its tokens may have.
    pub(super) fn allows_some(&self) -> bool {
        !self.allowed_policies.is_empty() || !self.allowed_policies_glob.is_empty()
    }

    /// It decides on policies at all; where it does not, the caller's own bound.
    pub(super) fn decides_policies(&self) -> bool {
        self.allows_some()
            || !self.disallowed_policies.is_empty()
            || !self.disallowed_policies_glob.is_empty()
    }

    /// It allows the policy, of those that it names.
    pub(super) fn allows(&self, policy: &str) -> bool {
        among(&self.allowed_policies, &self.allowed_policies_glob, policy)
    }

    /// It forbids the policy.
    pub(super) fn disallows(&self, policy: &str) -> bool {
        among(
            &self.disallowed_policies,
            &self.disallowed_policies_glob,
            policy,
        )
    }

    /// The policies that it gives by name. `root` is given by root tokens only.
    pub(crate) fn named(&self) -> Vec<String> {
        if !self.decides_policies() {
            return Vec::new();
        }
        let named = policies::granted(&self.allowed_policies, !self.no_default_policy);
        let given = named.into_iter();
        given
            .filter(|name| name != "root" && !self.disallows(name))
            .collect()
    }

    /// It gives policies that it does not name.
    pub(crate) fn is_open(&self) -> bool {
        !self.allowed_policies_glob.is_empty() || (self.decides_policies() && !self.allows_some())
    }

    /// Whoever makes a token by it may ask for the policy.
    pub(crate) fn gives(&self, policy: &str) -> bool {
        self.decides_policies()
            && (self.allows(policy) || !self.allows_some())
            && !self.disallows(policy)
    }

    /// A token may be made for the alias.
    pub(super) fn allows_alias(&self, alias: &str) -> bool {
        let allowed = self.allowed_entity_aliases.as_deref().unwrap_or_default();
        among(&[], allowed, &policies::fold(alias))
    }

    pub(super) fn shown<'a>(&'a self, name: &'a str) -> Shown<'a> {
        let cidrs = show_cidrs(&self.bound_cidrs);
        Shown {
            allowed_entity_aliases: &self.allowed_entity_aliases,
            allowed_policies: &self.allowed_policies,
            allowed_policies_glob: &self.allowed_policies_glob,
            bound_cidrs: self.old.bound_cidrs.then(|| cidrs.clone()),
            disallowed_policies: &self.disallowed_policies,
            disallowed_policies_glob: &self.disallowed_policies_glob,
            explicit_max_ttl: self.old.explicit_max_ttl,
            name,
            orphan: self.orphan,
            path_suffix: &self.path_suffix,
            period: self.old.period,
            renewable: self.renewable,
            token_bound_cidrs: cidrs,
            token_explicit_max_ttl: self.explicit_max_ttl,
            token_no_default_policy: self.no_default_policy,
            token_num_uses: (self.num_uses > 0).then_some(self.num_uses),
            token_period: self.period,
            token_type: self.kind,
        }
    }
}

impl Tokens {
    /// A role.
    pub async fn role(&self, name: &str) -> Result<Option<Role>, Error> {
        let stored = self.view.read::<Role>(&format!("{FOLDER}{name}")).await?;
        Ok(stored.map(|(role, _)| role))
    }

    /// Writes a role; remarks on members that others overrule.
    pub(super) async fn write_role(
        &self,
        name: &str,
        members: impl Fn() -> Result<RoleMembers, Error>,
    ) -> Result<(Role, Vec<String>), Error> {
        let key = format!("{FOLDER}{name}");
        let change = || async {
            let old = self.view.read::<Role>(&key).await?;
            let (old, batch) = match old {
                Some((role, revision)) => (role, Batch::new().unchanged(key.clone(), revision)),
                None => (Role::default(), Batch::new().absent(key.clone())),
            };
            let (new, remarks) = members()?.apply(old)?;
            self.view
                .commit(batch.put(key.clone(), json(&new)?))
                .await?;
            Ok((new, remarks))
        };
        self.view.change(&key, change).await
    }

    /// Removes a role; one that is not there is no error.
    pub(super) async fn delete_role(&self, name: &str) -> Result<(), Error> {
        let batch = Batch::new().delete(format!("{FOLDER}{name}"));
        self.view.commit(batch).await?;
        Ok(())
    }

    /// The names of all roles.
    pub(super) async fn role_names(&self) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let after = names.last().cloned().unwrap_or_default();
            let (found, more) = self.roles_page(&after, PAGE).await?;
            names.extend(found);
            if !more {
                return Ok(names);
            }
        }
    }

    /// Names of roles after one of them; whether there are more.
    pub(crate) async fn roles_page(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<String>, bool), Error> {
        let page = self.view.list(FOLDER, after, limit).await?;
        Ok((page.names, page.more))
    }
}

/// Word characters, and between them `-` and `.` too.
pub(super) fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(word)
        && name.ends_with(word)
        && name.chars().all(|c| word(c) || "-.".contains(c))
}

fn is_suffix(suffix: &str) -> bool {
    suffix.len() >= 3 && is_name(suffix)
}

fn among(names: &[String], globs: &[String], name: &str) -> bool {
    names.iter().any(|n| n == name) || globs.iter().any(|pattern| glob(pattern, name))
}

fn overruled(name: &str) -> String {
    format!(
        "Both 'token_{name}' and deprecated '{name}' value supplied, ignoring the deprecated value"
    )
}

fn secs(of: Seconds) -> u64 {
    u64::try_from(of.0).unwrap_or(0)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_suffixes() {
        for name in ["a", "UPPER", "a.b-c_d", "r1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a b", ".a", "a-", "a/b", "é"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_suffix("suf") && !is_suffix("x") && !is_suffix("xy"));
    }

    #[test]
    fn a_batch_role_makes_what_a_batch_token_can_be() {
        let with = |json: &str| {
            let members: RoleMembers = serde_json::from_str(json).unwrap();
            members.apply(Role::default())
        };
        assert!(with(r#"{"token_type":"batch","orphan":true,"renewable":false}"#).is_ok());
        for wrong in [
            r#"{"token_type":"batch"}"#,
            r#"{"token_type":"batch","orphan":true}"#,
            r#"{"token_type":"batch","orphan":true,"renewable":false,"token_period":60}"#,
            r#"{"token_type":"batch","orphan":true,"renewable":false,"token_num_uses":6}"#,
            r#"{"token_type":"batch","orphan":true,"renewable":false,"period":60}"#,
        ] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_role_gives() {
        let role = |json: &str| {
            let members: RoleMembers = serde_json::from_str(json).unwrap();
            members.apply(Role::default()).unwrap().0
        };
        let named = role(r#"{"allowed_policies":"a,root,b","disallowed_policies":"b"}"#);
        assert_eq!(named.named(), ["a", "default"]);
        assert!(!named.is_open() && named.gives("a") && !named.gives("b") && !named.gives("c"));
        let open = role(r#"{"disallowed_policies_glob":"x*","token_no_default_policy":true}"#);
        assert!(open.named().is_empty() && open.is_open());
        assert!(open.gives("a") && !open.gives("x1"));
        let globs = role(r#"{"allowed_policies_glob":"dev-*"}"#);
        assert!(globs.is_open() && globs.gives("dev-1") && !globs.gives("a"));
        // Its tokens have what their parents have.
        let callers = role("{}");
        assert!(callers.named().is_empty() && !callers.is_open() && !callers.gives("a"));
    }

    #[test]
    fn a_new_name_overrules_the_old_one() {
        let members = r#"{"period":"1h","token_period":"2h","bound_cidrs":"127.0.0.1/32"}"#;
        let members: RoleMembers = serde_json::from_str(members).unwrap();
        let (role, remarks) = members.apply(Role::default()).unwrap();
        assert_eq!((role.period, role.old.period), (7200, 0));
        assert_eq!(remarks.len(), 1);
        let shown = serde_json::to_value(role.shown("r")).unwrap();
        assert_eq!(shown["bound_cidrs"], serde_json::json!(["127.0.0.1"]));
        assert_eq!(shown["token_bound_cidrs"], shown["bound_cidrs"]);
    }
}
