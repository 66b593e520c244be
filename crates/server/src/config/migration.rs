//! The two storages of `operator migrate-store` and `operator migrate`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyfold_api::hcl;

use super::place::{ConfigError, Place, Placed};
use super::raw::raw_storage;
use super::resolved::{NO_STORAGE, Storage, resolve_storage};
use super::section::Section;
use super::{Config, Listener, Tcp, gather, read};

/// What a file of `operator migrate` may have besides, and nothing here needs.
const KNOWN: &[&str] = &["cluster_addr"];

impl Config {
    /// Of a server's configuration what counts for its storage; there may be nothing else.
    pub fn load_storage(paths: &[PathBuf]) -> Result<Self, ConfigError> {
        let raw = gather(paths)?;
        let storage = raw.storage.ok_or_else(|| ConfigError::whole(NO_STORAGE))?;
        Ok(Self {
            cluster_name: raw.cluster_name.map(|name| name.value),
            ..alone(resolve_storage(storage))
        })
    }

    /// Reads a file with `storage_source` and `storage_destination`: from where, and to where.
    pub fn load_migration(file: &Path) -> Result<(Self, Self), ConfigError> {
        Self::parse_migration(&read(file)?, file)
    }

    fn parse_migration(text: &str, file: &Path) -> Result<(Self, Self), ConfigError> {
        let file: Arc<Path> = Arc::from(file);
        let body = hcl::parse_any(text).map_err(|e| {
            let file = Arc::clone(&file);
            ConfigError::at(Place { file, line: e.line }, e.message)
        })?;
        let mut section = Section::new(&file, "", &body);
        let from = one(&file, &mut section, "storage_source")?;
        let to = one(&file, &mut section, "storage_destination")?;
        // What is known is known to be of no use.
        section.finish(KNOWN, &mut Vec::new())?;
        Ok((alone(from), alone(to)))
    }
}

/// The one block of a name.
fn one(
    file: &Arc<Path>,
    section: &mut Section<'_>,
    key: &'static str,
) -> Result<Placed<Storage>, ConfigError> {
    let mut blocks = section.blocks(key, 1)?.into_iter();
    let Some(block) = blocks.next() else {
        let message = format!(
            "{}: no {key}: add a block such as  {key} \"redb\" {{ path = \"/var/lib/keyfold/store.redb\" }}",
            file.display()
        );
        return Err(ConfigError::whole(message));
    };
    if let Some(second) = blocks.next() {
        let message = format!("\"{key}\" is set twice");
        return Err(ConfigError::at(section.place(second.line), message));
    }
    Ok(resolve_storage(Placed {
        value: raw_storage(file, &block)?,
        place: Some(section.place(block.line)),
    }))
}

/// A configuration that has this storage, and nothing else that anybody wrote.
fn alone(storage: Placed<Storage>) -> Config {
    let listener = Listener::Tcp(Tcp::plain("127.0.0.1:0"));
    Config {
        storage,
        ..Config::embedded("inmem", &[], listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Config, Config), ConfigError> {
        Config::parse_migration(text, Path::new("m.hcl"))
    }

    #[test]
    fn both_storages_and_where_they_are_written() {
        let text = "storage_source \"redb\" { path = \"a\" }\n\
                    storage_destination \"redb\" {\n path = \"b\"\n}\n\
                    cluster_addr = \"https://127.0.0.1:8201\"\n";
        let (from, to) = parse(text).unwrap();
        assert_eq!(from.storage.value.settings["path"].value, "a");
        let path = &to.storage.value.settings["path"];
        assert_eq!(path.value, "b");
        assert_eq!(path.remark("x"), "m.hcl:3: x");
    }

    #[test]
    fn mistakes_are_named() {
        let source = "storage_source \"redb\" { path = \"a\" }\n";
        let destination = "storage_destination \"redb\" { path = \"b\" }\n";
        for (text, told) in [
            (destination.to_owned(), "m.hcl: no storage_source: add"),
            (source.to_owned(), "m.hcl: no storage_destination: add"),
            (
                format!("{source}{source}{destination}"),
                "m.hcl:2: \"storage_source\" is set twice",
            ),
            (
                format!("{source}{destination}listener \"tcp\" {{}}\n"),
                "m.hcl:3: unknown setting \"listener\"",
            ),
            ("a = = 1".to_owned(), "m.hcl:1: "),
        ] {
            let error = parse(&text).err().unwrap().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
