//! The rules of matching and of the language, as tables and by the recorded answers.

mod reference;

use std::{cell::Cell, sync::Arc};

use serde_json::{Map, Value, json};

use super::*;
use crate::clock::Time;

fn policy(name: &str, text: &str) -> Arc<Policy> {
    match Policy::parse(name, text) {
        Ok((policy, _)) => Arc::new(policy),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn acl(text: &str) -> Acl {
    Acl::new(&[policy("p", text)], Time(0))
}

fn may(acl: &Acl, path: &str, operation: Operation) -> bool {
    acl.check(path, operation, &NoParams).is_ok()
}

/// `path "…" { capabilities = ["…"] }` for each pair.
fn text(rules: &[(&str, &str)]) -> String {
    let rule = |(path, word): &(&str, &str)| {
        format!("path \"{path}\" {{ capabilities = [\"{word}\"] }}\n")
    };
    rules.iter().map(rule).collect()
}

/// Of two rules that both match, the one with `read` decides.
#[test]
fn the_most_specific_rule_decides() {
    let table = [
        // Request, the rule that decides, the one that does not.
        ("a/b", "a/b", "a/+"),
        ("a/b", "a/b", "a/b*"),
        ("a/bc", "a/b*", "a/*"),
        ("a/b", "a/*", "*"),
        // 1: the later first wildcard.
        ("foo/a", "foo/a*", "foo/+"),
        ("foo/bar/x/baz", "foo/bar/+/baz", "foo/+/bar/baz"),
        ("foo/bar/x/baz", "foo/bar/+/*", "foo/+/x/baz"),
        // 2: not ending in `*`.
        ("foo/x/bar", "foo/+/bar", "foo/+/ba*"),
        ("foo/x", "foo/+", "foo/*"),
        // 3: fewer `+`.
        ("foo/x/y/z", "foo/+/y/z", "foo/+/+/z"),
        ("foo/x/y/z", "foo/+/y/*", "foo/+/+/z*"),
        // 4: longer.
        ("foo/x/bar/baz", "foo/+/bar/ba*", "foo/+/bar/b*"),
        ("foo/x/bar/baz", "foo/+/bar/*", "foo/+/ba*"),
        // 5: greater in byte order.
        ("foo/x/y/z/w", "foo/+/y/+/w", "foo/+/+/z/w"),
    ];
    for (path, winner, loser) in table {
        for (one, other) in [
            ((winner, "read"), (loser, "deny")),
            ((loser, "read"), (winner, "deny")),
        ] {
            for rules in [[one, other], [other, one]] {
                let acl = acl(&text(&rules));
                let expected = one.0 == winner;
                assert_eq!(
                    may(&acl, path, Operation::Read),
                    expected,
                    "{path}: {rules:?}"
                );
            }
        }
    }
}

#[test]
fn what_matches() {
    let table = [
        ("a/b", "a/b", true),
        ("/a/b", "a/b", true),
        ("a/b", "/a/b", true),
        ("a/b", "a/b/", false),
        ("a/b", "a/b/c", false),
        ("a/b*", "a/b", true),
        ("a/b*", "a/bc/d", true),
        ("*", "", true),
        ("a/+", "a/b", true),
        ("a/+", "a/", true),
        ("a/+", "a/b/c", false),
        ("a/+", "a", false),
        ("+", "a", true),
        ("+/b", "a/b", true),
        ("+/+", "a/b", true),
        ("a/+/c*", "a/b/cd/e", true),
        ("a/+/*", "a/b", false),
        ("a/+/*", "a/b/", true),
        ("a/+/c", "a/b/d", false),
    ];
    for (rule, path, expected) in table {
        let acl = acl(&text(&[(rule, "read")]));
        assert_eq!(
            may(&acl, path, Operation::Read),
            expected,
            "{rule} on {path}"
        );
        // With a slash at its end, capabilities are told for both spellings.
        if !path.ends_with('/') {
            let found = acl.capabilities(path) == ["read"];
            assert_eq!(found, expected, "{rule} on {path}");
        }
    }
}

#[test]
fn policies_add_up_and_deny_wins() {
    let one = policy(
        "one",
        &text(&[("a", "read"), ("b/*", "list"), ("c", "deny")]),
    );
    let two = policy(
        "two",
        &text(&[("a", "update"), ("b/*", "deny"), ("c", "read")]),
    );
    for policies in [[one.clone(), two.clone()], [two, one]] {
        let acl = Acl::new(&policies, Time(0));
        assert_eq!(acl.capabilities("a"), ["read", "update"]);
        assert_eq!(acl.capabilities("b/x"), ["deny"]);
        assert_eq!(acl.capabilities("c"), ["deny"]);
        assert_eq!(acl.capabilities("d"), ["deny"]);
    }
    let twice = acl("path \"a\" { capabilities = [\"read\"] }\npath \"a\" { policy = \"sudo\" }");
    let words = ["create", "delete", "list", "read", "sudo", "update"];
    assert_eq!(twice.capabilities("a"), words);
    assert!(twice.check("a", Operation::Read, &NoParams).unwrap().sudo);
}

#[test]
fn root_is_everything_and_nothing_is_nothing() {
    let root = Acl::new(&[Arc::new(builtin::root())], Time(0));
    assert!(
        root.is_root()
            && root
                .check("sys/seal", Operation::Update, &NoParams)
                .unwrap()
                .sudo
    );
    assert_eq!(root.capabilities("x"), ["root"]);
    let empty = Acl::new(&[], Time(0));
    assert_eq!(
        empty.check("x", Operation::Read, &NoParams),
        Err(Denial::NoRule)
    );
    assert_eq!(Denial::Parameters.to_string(), "permission denied");
}

/// PO-01: a broader grant on the other spelling does not pass by a denial.
#[test]
fn list_does_not_bypass_deny() {
    let denials = [
        "secret/metadata/team/+/",
        "secret/metadata/team/+",
        "secret/metadata/team/x",
        "secret/metadata/team/x/",
        "secret/metadata/team/*",
        "secret/metadata/+/x",
    ];
    for denied in denials {
        let grant = if denied.contains("+/x") {
            "secret/*"
        } else {
            "secret/metadata/*"
        };
        let acl = acl(&text(&[(grant, "list"), (denied, "deny")]));
        for path in ["secret/metadata/team/x", "secret/metadata/team/x/"] {
            assert!(!may(&acl, path, Operation::List), "{denied} on {path}");
        }
        assert!(
            may(&acl, "secret/metadata/other", Operation::List),
            "{denied}"
        );
        assert!(
            may(&acl, "secret/metadata/other/", Operation::List),
            "{denied}"
        );
    }
}

/// PO-03: the slash at the end of a listed path does not matter.
#[test]
fn list_with_and_without_slash() {
    let rules = [
        "s/metadata/a",
        "s/metadata/a/",
        "s/metadata/a/*",
        "s/metadata/+",
        "s/metadata/+/",
    ];
    for rule in rules {
        let acl = acl(&text(&[(rule, "list")]));
        assert!(may(&acl, "s/metadata/a", Operation::List), "{rule}");
        assert!(may(&acl, "s/metadata/a/", Operation::List), "{rule}");
        assert_eq!(acl.capabilities("s/metadata/a/"), ["list"], "{rule}");
        assert!(!may(&acl, "s/metadata/a/", Operation::Read), "{rule}");
    }
    // The spelling with the slash is the folder, the one without may be a secret of that name.
    let both = acl(&text(&[("kv/a", "deny"), ("kv/a/", "list")]));
    assert!(may(&both, "kv/a", Operation::List) && !may(&both, "kv/a", Operation::Read));
}

/// PO-07: wildcards in the wrong place are taken, do nothing, and are remarked upon.
#[test]
fn useless_wildcards_warn() {
    let table = [
        (
            "transit/encrypt/*-sec",
            "transit/encrypt/x-sec",
            "'*' is a wildcard only at the end",
        ),
        ("a/*/b", "a/x/b", "'*' is a wildcard only at the end"),
        ("a/b+", "a/bx", "'+' is a wildcard only as a whole segment"),
        (
            "a/+b/c",
            "a/xb/c",
            "'+' is a wildcard only as a whole segment",
        ),
    ];
    for (rule, path, remark) in table {
        let (policy, warnings) = Policy::parse("p", &text(&[(rule, "update")])).unwrap();
        assert_eq!(warnings.len(), 1, "{rule}");
        assert!(warnings[0].to_string().contains(remark), "{}", warnings[0]);
        assert_eq!(
            Acl::new(&[Arc::new(policy)], Time(0)).capabilities(path),
            ["deny"],
            "{rule}"
        );
    }
    for fine in ["a/*", "+/b", "a/+/b*", "a/+", "+"] {
        let (_, warnings) = Policy::parse("p", &text(&[(fine, "read")])).unwrap();
        assert_eq!(warnings, [], "{fine}");
    }
}

/// PO-09, with the texts of the recorded answers up to the line.
#[test]
fn mistakes_are_refused_with_their_line() {
    let table = [
        (
            "path \"a\" {",
            "a block is not closed: expected `}` on line 1",
        ),
        (
            "path \"a\" { capabilities = [\"fly\"] }",
            "path \"a\": invalid capability \"fly\" on line 1",
        ),
        (
            "path \"a\" {\n wings = 2 }",
            "path \"a\": invalid key \"wings\" on line 2",
        ),
        ("wings \"a\" {}", "invalid key \"wings\" on line 1"),
        (
            "path \"a/+*\" {}",
            "path \"a/+*\": invalid use of wildcards ('+*' is forbidden) on line 1",
        ),
        (
            "path \"a\" {\ncapabilities = []\ncapabilities = [] }",
            "path \"a\": duplicate key \"capabilities\" on line 3",
        ),
        (
            "path \"a\" { policy = \"fly\" }",
            "path \"a\": invalid policy \"fly\" on line 1",
        ),
        (
            "path \"a\" { capabilities = [1] }",
            "path \"a\": \"capabilities\" has to be text, not a number on line 1",
        ),
        (
            "path \"a\" { capabilities \"read\" {} }",
            "path \"a\": \"capabilities\" has to be a list on line 1",
        ),
        (
            "path \"a\" { allowed_parameters = [] }",
            "path \"a\": \"allowed_parameters\" has to map names to lists of values on line 1",
        ),
        (
            "path \"a\" { min_wrapping_ttl = \"soon\" }",
            "path \"a\": error parsing min_wrapping_ttl: invalid duration on line 1",
        ),
        (
            "path \"a\" { min_wrapping_ttl = 2 max_wrapping_ttl = \"1s\" }",
            "path \"a\": max_wrapping_ttl cannot be less than min_wrapping_ttl on line 1",
        ),
        (
            "path \"a\" { pagination_limit = \"x\" }",
            "path \"a\": \"pagination_limit\" has to be a number on line 1",
        ),
        (
            "path \"a\" { control_group = {} }",
            "path \"a\": \"control_group\" is not supported here on line 1",
        ),
        (
            "path \"kv/{{identity.entity.id\" {}",
            "failed to validate policy templating: unbalanced templating characters on line 1",
        ),
        (
            "path \"a\" \"b\" {}",
            "\"path\" has too many labels: expected 1 on line 1",
        ),
        (
            "cGF0aCAi",
            "expected `=`, a label or `{`, found the end on line 1",
        ),
    ];
    for (text, message) in table {
        let error = Policy::parse("p", text).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
    }
    let deep = text(&[(&"+/".repeat(300), "read")]);
    assert!(Policy::parse("p", &deep).is_err());
}

#[test]
fn what_is_taken() {
    let json = r#"{"name":"x","path":{"secret/*":{"capabilities":["read"]}}}"#;
    assert_eq!(acl(json).capabilities("secret/a"), ["read"]);
    for nothing in [
        "",
        "# words",
        "path \"a\" {}",
        "path \"a\" { capabilities = [] }",
    ] {
        assert_eq!(acl(nothing).capabilities("a"), ["deny"], "{nothing}");
    }
    for (word, capabilities) in [
        ("read", &["list", "read"][..]),
        ("write", &["create", "delete", "list", "read", "update"]),
        ("deny", &["deny"]),
    ] {
        let acl = acl(&format!(
            "path \"a\" {{ policy = \"{word}\" comment = \"c\" }}"
        ));
        assert_eq!(acl.capabilities("a"), capabilities, "{word}");
    }
}

/// For nobody a template matches nothing, neither by itself nor as text.
#[test]
fn templates_match_nothing_for_nobody() {
    let rule = "kv/{{identity.entity.name}}/*";
    let (policy, warnings) = Policy::parse("p", &text(&[(rule, "read")])).unwrap();
    assert!(warnings.is_empty());
    let (_, warnings) = Policy::parse("p", &text(&[("kv/{{moon}}", "read")])).unwrap();
    assert!(warnings[0].to_string().contains("templates"));
    let acl = Acl::new(&[Arc::new(policy)], Time(0));
    assert!(acl.is_templated());
    for path in ["kv/x/y", "kv//y", "kv/{{identity.entity.name}}/y"] {
        assert_eq!(acl.capabilities(path), ["deny"]);
    }
}

/// Counts how often a check asks for the parameters.
struct Counted(Value, Cell<u32>);

impl ParamSource for Counted {
    fn params(&self) -> Option<Map<String, Value>> {
        self.1.set(self.1.get() + 1);
        self.0.as_object().cloned()
    }
}

#[test]
fn parameters_are_read_only_for_rules_about_them() {
    let acl = acl("path \"plain\" { capabilities = [\"update\", \"list\"] }\n\
         path \"must\" { capabilities = [\"update\", \"delete\"] required_parameters = [\"Must\"] }");
    let body = Counted(json!({"must": 1}), Cell::new(0));
    assert!(acl.check("plain", Operation::Update, &body).is_ok());
    assert!(acl.check("plain", Operation::List, &body).is_ok());
    assert!(acl.check("must", Operation::Read, &body).is_err());
    assert!(acl.check("must", Operation::Delete, &body).is_ok());
    assert_eq!(body.1.get(), 0);
    assert!(acl.check("must", Operation::Update, &body).is_ok());
    assert_eq!(body.1.get(), 1);
    let unreadable = JsonParams(b"[1]");
    assert_eq!(
        acl.check("must", Operation::Update, &unreadable),
        Err(Denial::Parameters)
    );
    assert_eq!(
        acl.check("must", Operation::Update, &JsonParams(b"")),
        Err(Denial::Parameters)
    );
    assert!(
        acl.check("must", Operation::Update, &JsonParams(b"{\"must\":2}"))
            .is_ok()
    );
}

/// The policy, the capabilities and the requests of the recorded scenario.
#[test]
fn recorded_answers() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/golden/sys-transcript.json"
    );
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let scenarios = golden["scenarios"].as_array().unwrap();
    let policies = scenarios
        .iter()
        .find(|scenario| scenario["name"] == "policies")
        .unwrap();
    let step = |id: &str| {
        policies["steps"]
            .as_array()
            .unwrap()
            .iter()
            .find(|step| step["id"] == id)
            .unwrap()
    };
    let text = step("caps-policy")["request"]["body"]["policy"]
        .as_str()
        .unwrap();
    let acl = Acl::new(
        &[policy("caps", text), policy("default", builtin::DEFAULT)],
        Time(0),
    );
    for (path, words) in step("caps-self")["response"]["data"].as_object().unwrap() {
        assert_eq!(json!(acl.capabilities(path)), *words, "{path}");
    }
    for id in [
        "param-ok",
        "param-ok-glob",
        "param-bad-value",
        "param-unknown",
        "param-denied",
        "param-required-missing",
        "param-required-given",
    ] {
        let step = step(id);
        let path = step["request"]["path"]
            .as_str()
            .unwrap()
            .strip_prefix("/v1/")
            .unwrap();
        let body = step["request"]["body"].to_string();
        let allowed = acl
            .check(path, Operation::Update, &JsonParams(body.as_bytes()))
            .is_ok();
        assert_eq!(allowed, step["status"] == 204, "{id}");
    }
    for (id, ttl) in [
        ("wrap-required-missing", None),
        ("wrap-required-short", Some(5)),
        ("wrap-required-long", Some(600)),
        ("wrap-required-ok", Some(30)),
    ] {
        let grant = acl
            .check("kv1/wrapped", Operation::Read, &NoParams)
            .unwrap();
        let allowed = grant.permits_wrapping(ttl.map(keyfold_api::Seconds));
        assert_eq!(allowed, step(id)["status"] == 200, "{id}");
    }
    for (id, body) in [
        ("paged-no-limit", "{}"),
        ("paged-limit-2", r#"{"limit":"2"}"#),
        ("paged-limit-3", r#"{"limit":"3"}"#),
    ] {
        let check = acl.check("kv1/paged/", Operation::List, &JsonParams(body.as_bytes()));
        assert_eq!(check.is_ok(), step(id)["status"] == 200, "{id}");
        assert!(check.is_err() || check.unwrap().pagination_limit == Some(2));
    }
}
