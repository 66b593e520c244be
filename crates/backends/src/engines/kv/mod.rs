//! KV: secrets by path.
//!
//! ```text
//!   version 1   the object that was written last           secrets/<path>
//!   version 2   versions, settings, check-and-set          metadata/…, versions/…, config
//! ```
//!
//! The mount's option `version` says which of the two it is; [`takeover`] leads from the first to
//! the second.

mod path;
mod scan;
mod takeover;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_core::error::Error;
use keyfold_core::ports::engine::{Dispatch, EngineKind, MountContext};

/// `kv`, as `sys/mounts` calls it.
pub const KIND: EngineKind = EngineKind {
    name: "kv",
    open,
    remembers: false,
};

/// `generic`, its name of old.
pub const GENERIC: EngineKind = EngineKind {
    name: "generic",
    open,
    remembers: false,
};

fn open(cx: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    Ok(match Format::of(&cx.options)? {
        Format::One => Arc::new(v1::Kv::new(cx.view)),
        Format::Two => Arc::new(v2::Kv::new(cx.view, cx.clock)),
    })
}

/// What a mount's option `version` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    One,
    Two,
}

impl Format {
    fn of(options: &BTreeMap<String, String>) -> Result<Self, Error> {
        match options.get("version").map(String::as_str) {
            None | Some("" | "1") => Ok(Self::One),
            Some("2") => Ok(Self::Two),
            Some(_) => Err(Error::field("options.version", "must be \"1\" or \"2\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_mount() {
        let of = |version: Option<&str>| {
            let options = version.map(|v| ("version".to_owned(), v.to_owned()));
            Format::of(&options.into_iter().collect())
        };
        for version in [None, Some(""), Some("1")] {
            assert!(matches!(of(version), Ok(Format::One)), "{version:?}");
        }
        assert!(matches!(of(Some("2")), Ok(Format::Two)));
        for version in ["0", "3", "x", " 2"] {
            let refused = of(Some(version)).unwrap_err().to_string();
            assert!(refused.contains("options.version"), "{refused}");
        }
    }
}
