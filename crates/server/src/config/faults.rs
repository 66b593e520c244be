//! All that is wrong with a configuration, where a start stops at the first fault.

use std::path::{Path, PathBuf};

use keyfold_api::hcl::{self, Body};

use super::raw::Raw;
use super::{Config, ConfigError, files, read};

/// What an item is completed with, so that it can be looked at by itself.
const STORAGE: &str = "storage \"inmem\" {}";
const LISTENER: &str = "listener \"unix\" { address = \"/\" }";
/// Settings that mean something together only.
const TOGETHER: [&str; 2] = ["default_lease_ttl", "max_lease_ttl"];

impl Config {
    /// [`Config::load`], which looks at each item by itself where something is wrong.
    ///
    /// # Errors
    ///
    /// At least one: a fault of each item; where all items are sound, what is wrong with the whole.
    pub fn check(paths: &[PathBuf]) -> Result<Self, Vec<ConfigError>> {
        let mut faults = Vec::new();
        for path in paths {
            match files(path) {
                Ok(files) => faults.extend(files.iter().flat_map(|file| of_file(file))),
                Err(error) => faults.push(error),
            }
        }
        if faults.is_empty() {
            return Self::load(paths).map_err(|error| vec![error]);
        }
        Err(faults)
    }
}

fn of_file(file: &Path) -> Vec<ConfigError> {
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => return vec![error],
    };
    let Ok(body) = hcl::parse_any(&text) else {
        // Its error has the place.
        return Raw::parse(&text, file).err().into_iter().collect();
    };
    let alone = body
        .items
        .into_iter()
        .map(|item| Body { items: vec![item] });
    alone
        .filter_map(|body| of_item(&body, file).err())
        .collect()
}

fn of_item(item: &Body, file: &Path) -> Result<(), ConfigError> {
    let mut raw = Raw::of(item, file)?;
    if TOGETHER.iter().any(|key| item.item(key).is_some()) {
        return Ok(());
    }
    let given = Path::new("");
    if raw.storage.is_none() {
        raw.merge(Raw::parse(STORAGE, given)?)?;
    }
    if raw.listeners.is_empty() {
        raw.merge(Raw::parse(LISTENER, given)?)?;
    }
    Config::resolve(raw).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k.hcl");
        std::fs::write(&file, text).unwrap();
        let Err(faults) = Config::check(std::slice::from_ref(&file)) else {
            return Vec::new();
        };
        let texts = faults.iter().map(ToString::to_string);
        texts
            .map(|text| text.replace(&format!("{}:", file.display()), ""))
            .collect()
    }

    #[test]
    fn each_item_has_its_fault_told() {
        let found = faults(
            "storage \"inmem\" {}\nbanana = 1\nlog_level = \"loud\"\nlistener \"tcp\" {\n \
             tls_disabel = 1\n}\nlistener \"tcp\" { tls_disable = true }\n",
        );
        let starts = [
            "2: unknown setting \"banana\"",
            "3: \"log_level\" has to be",
            "5: unknown setting \"tls_disabel\"",
        ];
        assert_eq!(found.len(), starts.len(), "{found:?}");
        for (fault, start) in found.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
    }

    #[test]
    fn what_is_wrong_between_items_is_told_of_sound_ones() {
        let plain = "storage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\n";
        let ttls = format!("{plain}default_lease_ttl = \"800h\"\nmax_lease_ttl = \"900h\"\n");
        assert!(faults(&ttls).is_empty());
        for (more, start) in [
            (
                "default_lease_ttl = \"800h\"\n",
                "3: \"default_lease_ttl\" is longer",
            ),
            ("storage \"redb\" {}\n", "3: a server has one storage"),
        ] {
            let found = faults(&format!("{plain}{more}"));
            assert!(found.len() == 1 && found[0].starts_with(start), "{found:?}");
        }
        assert!(faults("")[0].starts_with("no storage"));
        assert!(faults("a = = 1")[0].starts_with("1: "));
    }
}
