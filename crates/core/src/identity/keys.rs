//! Where records lie in core's view. Names and aliases are people's: their keys are HMACs, so that
//! who can read the store learns none of them.

use super::Identity;

pub(super) const HMAC_KEY: &str = "identity/hmac-key";
pub(super) const ENTITIES: &str = "identity/entity/";
pub(super) const ENTITY_NAMES: &str = "identity/entity-name/";
pub(super) const ALIASES: &str = "identity/alias/";
pub(super) const GROUPS: &str = "identity/group/";
pub(super) const GROUP_NAMES: &str = "identity/group-name/";
pub(super) const GROUP_ALIASES: &str = "identity/group-alias/";
pub(super) const LEAVING: &str = "identity/leaving/";

pub(super) fn entity(id: &str) -> String {
    format!("{ENTITIES}{id}")
}

pub(super) fn alias(id: &str) -> String {
    format!("{ALIASES}{id}")
}

pub(super) fn merged(id: &str) -> String {
    format!("identity/merged/{id}")
}

pub(super) fn group(id: &str) -> String {
    format!("{GROUPS}{id}")
}

pub(super) fn group_alias(id: &str) -> String {
    format!("{GROUP_ALIASES}{id}")
}

pub(super) fn members(group: &str) -> String {
    format!("identity/member/{group}/")
}

pub(super) fn member(group: &str, entity: &str) -> String {
    format!("{}{entity}", members(group))
}

pub(super) fn children(group: &str) -> String {
    format!("identity/child/{group}/")
}

pub(super) fn child(parent: &str, child: &str) -> String {
    format!("{}{child}", children(parent))
}

pub(super) fn leaving(group: &str) -> String {
    format!("{LEAVING}{group}")
}

/// An id that a caller named: what no id looks like is looked for nowhere.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

impl Identity {
    pub(super) fn entity_name_key(&self, name: &str) -> String {
        format!("{ENTITY_NAMES}{}", self.hash(&["entity", name]))
    }

    pub(super) fn group_name_key(&self, name: &str) -> String {
        format!("{GROUP_NAMES}{}", self.hash(&["group", name]))
    }

    pub(super) fn alias_name_key(&self, mount: &str, name: &str) -> String {
        format!("identity/alias-name/{}", self.hash(&["alias", mount, name]))
    }

    pub(super) fn group_alias_name_key(&self, mount: &str, name: &str) -> String {
        let hash = self.hash(&["group-alias", mount, name]);
        format!("identity/group-alias-name/{hash}")
    }

    /// Of parts without regard to case, each with its length before it: no two lists of parts
    /// make one text.
    fn hash(&self, parts: &[&str]) -> String {
        let mut text = String::new();
        for part in parts {
            let part = part.to_lowercase();
            text.extend([&part.len().to_string(), ":", &part]);
        }
        self.mac.hex(text.as_bytes()).as_str().to_owned()
    }
}
