//! Paths of secrets, the same in both versions.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;

/// Longest path of a secret, bytes: with what stands around it, it fits into a storage key.
const LONGEST: usize = 8 * 1024;

/// The path of a secret; one that names none is not found.
pub(super) fn secret<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    let path = call.param("path");
    if path.is_empty() || path.split('/').any(str::is_empty) {
        return Err(Error::NotFound);
    }
    bounded(path)
}

/// The same for a write, where such a path is a mistake.
pub(super) fn written<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    secret(call).map_err(|error| match error {
        Error::NotFound if call.path.is_empty() => Error::bad("missing path"),
        Error::NotFound if call.path.ends_with('/') => {
            Error::bad("cannot write to a path ending in '/'")
        }
        Error::NotFound => Error::bad("a segment of the path is empty"),
        error => error,
    })
}

/// The folder that a list is about: empty, or ending in `/`.
pub(super) fn folder(call: &Call<'_>) -> Result<String, Error> {
    let given = call.param("path");
    if given.is_empty() {
        return Ok(String::new());
    }
    let bare = given.strip_suffix('/').unwrap_or(given);
    if bare.split('/').any(str::is_empty) {
        return Err(Error::NotFound);
    }
    Ok(format!("{}/", bounded(bare)?))
}

fn bounded(path: &str) -> Result<&str, Error> {
    if path.len() > LONGEST {
        let what = format!("the path is longer than {LONGEST} bytes");
        return Err(Error::bad(what));
    }
    Ok(path)
}
