//! The policies that every server has.

use super::{Policy, TemplateValues};

/// Text of the policy `default`, which tokens get unless they are made without it: what a token
/// may do about itself. People may change it.
///
/// It grants what the peer's does. `sys/leases/renew` and `sys/leases/lookup` take the lease's id
/// as a parameter, so a path can't say whose lease it is: their handler has to refuse leases that
/// belong to another token.
pub const DEFAULT: &str = r#"# A token about itself: look up, renew, revoke, and see what it may do.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# Its own entity.
path "identity/entity/id/{{identity.entity.id}}" {
  capabilities = ["read"]
}
path "identity/entity/name/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# Its leases.
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}

# Its private storage.
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Response wrapping.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# Hashes of what it sends.
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}

# Logging in elsewhere as its entity.
path "identity/oidc/provider/+/authorize" {
  capabilities = ["read", "update"]
}
"#;

/// The name of the policy of wrapping tokens. Nobody can be given it, or change it.
pub const WRAPPING: &str = "response-wrapping";

/// Its text: what a wrapping token may do is to be unwrapped, in the old way too, and to go.
pub const WRAPPING_TEXT: &str = r#"path "cubbyhole/response" {
  capabilities = ["create", "read"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
"#;

/// The policy `root`: everything. It has no text.
pub fn root() -> Policy {
    Policy {
        name: "root".to_owned(),
        text: String::new(),
        expires: None,
        templates: TemplateValues::default(),
        rules: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{clock::Time, policy::Acl};

    /// The same answers as the peer's default policy gives, path for path.
    #[test]
    fn default_grants_what_the_peers_grants() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/golden/sys-transcript.json"
        );
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let steps = golden["scenarios"].as_array().unwrap().iter();
        let read = steps
            .flat_map(|scenario| scenario["steps"].as_array().unwrap())
            .find(|step| step["id"] == "read-default")
            .unwrap();
        let peer = read["response"]["data"]["policy"].as_str().unwrap();
        let acl = |text: &str| {
            Acl::new(
                &[Arc::new(Policy::parse("default", text).unwrap().0)],
                Time(0),
            )
        };
        let (ours, peers) = (acl(DEFAULT), acl(peer));
        let paths = peer.lines().filter_map(|line| line.split('"').nth(1));
        let mut granted = 0;
        for path in paths.filter(|path| path.contains('/')) {
            let path = path.replace(['*', '+'], "x");
            assert_eq!(
                ours.capabilities(&path),
                peers.capabilities(&path),
                "{path}"
            );
            granted += usize::from(ours.capabilities(&path) != ["deny"]);
        }
        assert!(granted >= 14, "{granted}");
        assert_eq!(ours.capabilities("secret/data/x"), ["deny"]);
    }
}
