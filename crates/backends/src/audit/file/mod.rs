//! Audit lines in a file, on standard output, or nowhere.

mod log;
mod place;
mod sinks;

use std::sync::Arc;

use keyfold_core::ports::audit::{AuditDevice, AuditKind, DeviceOptions, Origin};

use self::log::LogFile;
use self::sinks::{Discard, Stdout};
use super::options::known;

/// `file`: options `file_path` (a path, `stdout`, or `discard`; `path` is an old name of it) and
/// `mode` (octal, 0600 without).
pub const KIND: AuditKind = AuditKind {
    name: "file",
    remote: false,
    open,
};

fn open(options: &DeviceOptions, origin: Origin<'_>) -> Result<Arc<dyn AuditDevice>, String> {
    place::check_files_allowed(origin)?;
    known(options, "file", &["file_path", "path", "mode"])?;
    let text = |name| {
        options
            .get(name)
            .map(String::as_str)
            .filter(|t| !t.is_empty())
    };
    let mode = text("mode").map(parse_mode).transpose()?;
    let path = text("file_path").or_else(|| text("path"));
    match path.ok_or("file_path is required")? {
        "discard" | "/dev/null" => {
            place::check_sink(origin)?;
            Ok(Arc::new(Discard))
        }
        "stdout" | "/dev/stdout" => {
            place::check_sink(origin)?;
            let device = Stdout::open().map_err(|error| format!("file_path: stdout: {error}"))?;
            Ok(Arc::new(device))
        }
        path => {
            let path = place::resolve(path, origin)?;
            let shown = path.display().to_string();
            let device = LogFile::open(path, mode);
            let device = device.map_err(|error| format!("file_path: {shown}: {error}"))?;
            Ok(Arc::new(device))
        }
    }
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777);
    let mode = mode.ok_or("mode: not an octal file mode of at most 0777")?;
    if mode & 0o111 != 0 {
        return Err("mode: an audit file must not be executable".into());
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    use keyfold_core::ports::audit::ApiRules;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> DeviceOptions {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        open(&options(pairs), Origin::Operator)
            .err()
            .expect("these options are refused")
    }

    #[test]
    fn options_are_checked_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let path = path.to_str().unwrap();
        assert_eq!(refusal(&[]), "file_path is required");
        assert_eq!(refusal(&[("file_path", "")]), "file_path is required");
        for mode in ["0777", "0601", "rw", "10600", "-1"] {
            assert!(
                refusal(&[("file_path", path), ("mode", mode)]).starts_with("mode:"),
                "{mode}"
            );
        }
        assert!(refusal(&[("file_path", path), ("colour", "1")]).starts_with("colour:"));
        assert!(!Path::new(path).exists(), "a refused device leaves nothing");
        open(
            &options(&[("path", path), ("mode", "0640")]),
            Origin::Operator,
        )
        .unwrap();
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o640);
        for sink in ["stdout", "/dev/stdout", "discard", "/dev/null"] {
            let device = open(&options(&[("file_path", sink)]), Origin::Operator).unwrap();
            device.reopen().unwrap();
            device.write(b"").unwrap();
        }
    }

    fn api(path: &str, file_dir: Option<PathBuf>, lax: bool) -> Result<(), String> {
        let rules = ApiRules {
            file_dir,
            lax,
            prefix: false,
        };
        open(&options(&[("file_path", path)]), Origin::Api(&rules)).map(drop)
    }

    #[test]
    fn over_the_api_files_lie_below_a_folder_or_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("audit");
        let inside = folder.join("a.log");
        let below = || Some(folder.clone());
        let off = "cannot enable audit device via API; \
                   use declarative, config-based audit device management instead";
        assert_eq!(api(inside.to_str().unwrap(), None, false).unwrap_err(), off);
        assert!(api(inside.to_str().unwrap(), None, true).is_err());
        assert!(!folder.exists());
        api(inside.to_str().unwrap(), below(), false).unwrap();
        api("b/c.log", below(), false).unwrap();
        assert!(inside.exists() && folder.join("b/c.log").exists());
        let outside = directory.path().join("audit2/a.log");
        for path in [outside.to_str().unwrap(), "../a.log", "x/../../a.log", "."] {
            let refused = api(path, below(), true).unwrap_err();
            assert!(refused.starts_with("file_path:"), "{refused}");
        }
        for sink in ["discard", "stdout"] {
            assert!(api(sink, below(), false).is_err());
            assert!(api(sink, None, true).is_ok());
        }
        let mut left: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["audit"]);
    }

    #[test]
    fn a_link_does_not_lead_out_of_the_folder() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("audit");
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join("out")).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("f"), folder.join("f")).unwrap();
        for path in ["out/a.log", "f"] {
            let refused = api(path, Some(folder.clone()), true).unwrap_err();
            assert!(refused.starts_with("file_path:"), "{refused}");
        }
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
