//! `snapshots {…}`: backups that the server makes by itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyfold_api::hcl::Block;

use super::place::{ConfigError, Placed};
use super::section::Section;

/// A snapshot a day.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Of the last week.
const RETAIN: usize = 7;

/// When a snapshot is made, where, and how many are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots {
    /// `path`: a folder, which is made where there is none.
    pub path: PathBuf,
    /// `interval`: from one to the next.
    pub interval: Duration,
    /// `retain`: the newest so many are kept.
    pub retain: usize,
}

/// Reads a block.
pub fn read(
    file: &Arc<Path>,
    block: &Block<'_>,
    warnings: &mut Vec<String>,
) -> Result<Snapshots, ConfigError> {
    let mut section = Section::new(file, "snapshots", block.body);
    let path = section.text("path")?.filter(|path| !path.value.is_empty());
    let interval = section.duration("interval")?;
    let retain = section.number("retain")?;
    let place = section.place(block.line);
    section.finish(&[], warnings)?;
    let Some(path) = path else {
        return Err(ConfigError::at(place, "\"snapshots\" needs a \"path\""));
    };
    let second = |interval: &Placed<Duration>| interval.value >= Duration::from_secs(1);
    if let Some(interval) = interval.as_ref().filter(|interval| !second(interval)) {
        return Err(interval.wrong("\"interval\" has to be a second or more"));
    }
    if let Some(retain) = retain.as_ref().filter(|retain| retain.value == 0) {
        return Err(retain.wrong("\"retain\" has to be 1 or more"));
    }
    Ok(Snapshots {
        path: path.value.into(),
        interval: interval.map_or(INTERVAL, |interval| interval.value),
        retain: retain.map_or(RETAIN, |retain| retain.value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn parse(block: &str) -> Result<Option<Snapshots>, String> {
        let text =
            format!("storage \"inmem\" {{}}\nlistener \"tcp\" {{ tls_disable = true }}\n{block}");
        let config = Config::parse(&text, Path::new("k.hcl"));
        config.map(|c| c.snapshots).map_err(|e| e.to_string())
    }

    #[test]
    fn settings_and_what_they_are_by_default() {
        assert_eq!(parse(""), Ok(None));
        let daily = parse("snapshots { path = \"/b\" }").unwrap().unwrap();
        assert_eq!((daily.interval, daily.retain), (INTERVAL, RETAIN));
        let hourly = parse("snapshots { path = \"/b\" interval = \"1h\" retain = 48 }");
        let hourly = hourly.unwrap().unwrap();
        assert_eq!((hourly.interval.as_secs(), hourly.retain), (3600, 48));
        for (block, part) in [
            (
                "snapshots { interval = \"1h\" }",
                "k.hcl:3: \"snapshots\" needs a",
            ),
            (
                "snapshots { path = \"/b\" interval = 0 }",
                "k.hcl:3: \"interval\"",
            ),
            (
                "snapshots { path = \"/b\" retain = 0 }",
                "k.hcl:3: \"retain\"",
            ),
            (
                "snapshots { path = \"/b\" keep = 2 }",
                "unknown setting \"keep\"",
            ),
            (
                "snapshots { path = \"/b\" }\nsnapshots { path = \"/c\" }",
                "k.hcl:4: \"snapshots\" is set twice",
            ),
        ] {
            let error = parse(block).unwrap_err();
            assert!(error.contains(part), "{block}: {error}");
        }
    }
}
