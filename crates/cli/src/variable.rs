//! Variables of the environment that have one meaning under three names.

use std::ffi::OsString;

/// The first of `KEYFOLD_X`, `BAO_X` and `VAULT_X` that is set and not empty: its name and value.
pub(crate) fn find(name: &str) -> Option<(String, OsString)> {
    ["KEYFOLD", "BAO", "VAULT"].iter().find_map(|prefix| {
        let name = format!("{prefix}_{name}");
        let value = std::env::var_os(&name).filter(|value| !value.is_empty())?;
        Some((name, value))
    })
}

/// Its text, where it is one.
pub(crate) fn text(name: &str) -> Option<String> {
    find(name)?.1.into_string().ok()
}

/// A variable that is not ours, where it is set, not empty and text.
pub(crate) fn plain(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
