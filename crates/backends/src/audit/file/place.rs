//! Where a file of the API may lie: whoever asks over the network must not write just anywhere.

use std::fs;
use std::path::{Component, Path, PathBuf};

use keyfold_core::ports::audit::Origin;

/// Whether there are files over the API at all.
pub(super) fn check_files_allowed(origin: Origin<'_>) -> Result<(), String> {
    match origin {
        Origin::Api(rules) if rules.file_dir.is_none() && !rules.lax => {
            Err("cannot enable audit device via API; \
             use declarative, config-based audit device management instead"
                .to_owned())
        }
        Origin::Operator | Origin::Api(_) => Ok(()),
    }
}

/// A device that keeps nothing would let a request pass that no other could record.
pub(super) fn check_sink(origin: Origin<'_>) -> Result<(), String> {
    match origin {
        Origin::Api(rules) if !rules.lax => {
            Err("file_path: over the API, only below the folder audit_file_dir".to_owned())
        }
        Origin::Operator | Origin::Api(_) => Ok(()),
    }
}

/// The path that is meant; over the API, one below the configured folder, to which a relative one
/// is added. Nothing is made.
pub(super) fn resolve(path: &str, origin: Origin<'_>) -> Result<PathBuf, String> {
    let rules = match origin {
        Origin::Operator => return Ok(path.into()),
        Origin::Api(rules) => rules,
    };
    let Some(folder) = &rules.file_dir else {
        return Err("file_path: the configuration has no audit_file_dir".to_owned());
    };
    let outside = || "file_path: not below the folder audit_file_dir".to_owned();
    let path = folder.join(path);
    let below = path.strip_prefix(folder).map_err(|_| outside())?;
    let mut names = below.components();
    let plain = names.all(|name| matches!(name, Component::Normal(_)));
    if !plain || below.as_os_str().is_empty() {
        return Err(outside());
    }
    if leads_out(folder, below) {
        return Err(outside());
    }
    Ok(path)
}

/// Whether a symbolic link stands on the way, or at its end.
fn leads_out(folder: &Path, below: &Path) -> bool {
    let mut path = folder.to_owned();
    below.components().any(|name| {
        path.push(name);
        fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink())
    })
}
