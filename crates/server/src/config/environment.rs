//! What the environment says beside the files.

use super::place::Placed;
use super::raw::{Raw, RawStorage};
use super::seal;

/// What variables say wins over files.
pub(super) fn apply(raw: &mut Raw, variable: impl Fn(&str) -> Option<String>) {
    let first = |name: &str| {
        ["KEYFOLD", "BAO", "VAULT"]
            .iter()
            .find_map(|prefix| variable(&format!("{prefix}_{name}")).filter(|v| !v.is_empty()))
            .map(Placed::given)
    };
    if let Some(kind) = first("SEAL_TYPE") {
        seal::from_environment(&mut raw.seals, &kind.value);
    }
    if let Some(storage) = &mut raw.storage
        && storage.value.kind == "postgresql"
        && let Some(url) = first("PG_CONNECTION_URL")
    {
        let settings = &mut storage.value.settings;
        settings.insert("connection_url".to_owned(), url);
    }
    if let Some(storage) = &mut raw.storage
        && storage.value.kind == "etcd"
    {
        etcd_environment(&mut storage.value, &variable);
    }
    raw.api_addr = first("API_ADDR").or(raw.api_addr.take());
    raw.log_level = first("LOG_LEVEL").or(raw.log_level.take());
    raw.log_format = first("LOG_FORMAT").or(raw.log_format.take());
}

/// What others who keep their storage in etcd call it there.
fn etcd_environment(storage: &mut RawStorage, variable: &impl Fn(&str) -> Option<String>) {
    for (name, setting) in [
        ("ETCD_ADDR", "endpoints"),
        ("ETCD_USERNAME", "username"),
        ("ETCD_PASSWORD", "password"),
    ] {
        if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
            if setting == "endpoints" {
                storage.settings.remove("address");
            }
            storage
                .settings
                .insert(setting.to_owned(), Placed::given(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_environment_wins_in_order_of_prefixes() {
        let text = "log_level = \"info\"\nlog_format = \"json\"\n\
                    storage \"postgresql\" { connection_url = \"of the file\" }";
        let mut raw = Raw::parse(text, Path::new("f")).unwrap();
        apply(&mut raw, |name| match name {
            "VAULT_LOG_LEVEL" => Some("warn".to_owned()),
            "BAO_LOG_LEVEL" => Some("error".to_owned()),
            "VAULT_LOG_FORMAT" => Some(String::new()),
            "VAULT_PG_CONNECTION_URL" => Some("of the variable".to_owned()),
            _ => None,
        });
        let settings = &raw.storage.unwrap().value.settings;
        assert_eq!(settings["connection_url"].value, "of the variable");
        assert_eq!(raw.log_level.unwrap().value, "error");
        assert_eq!(raw.log_format.unwrap().value, "json");
    }

    #[test]
    fn a_cluster_is_found_as_others_find_it() {
        let text = "storage \"etcd\" { address = \"http://file:1\" username = \"of the file\" }";
        let mut raw = Raw::parse(text, Path::new("f")).unwrap();
        apply(&mut raw, |name| match name {
            "ETCD_ADDR" => Some("http://variable:1".to_owned()),
            "ETCD_PASSWORD" => Some("p".to_owned()),
            "ETCD_USERNAME" => Some(String::new()),
            _ => None,
        });
        let settings = &raw.storage.unwrap().value.settings;
        assert_eq!(settings["endpoints"].value, "http://variable:1");
        assert_eq!(settings["username"].value, "of the file");
        assert_eq!(settings["password"].value, "p");
        assert!(!settings.contains_key("address"));
    }
}
