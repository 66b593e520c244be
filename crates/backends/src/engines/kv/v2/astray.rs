//! Paths that this version does not have: mostly somebody forgot `data/`.

use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;

/// The folders of this version, which are known, if not for every call.
const KNOWN: [&str; 8] = [
    "config",
    "data",
    "delete",
    "destroy",
    "detailed-metadata",
    "metadata",
    "subkeys",
    "undelete",
];

/// Says what was probably meant.
pub(super) fn answer(call: &Call<'_>, verb: &str) -> Result<Reply, Error> {
    call.note_unknown(Vec::new());
    let first = call.path.split('/').next().unwrap_or_default();
    if KNOWN.contains(&first) {
        return Err(Error::Unsupported(UnsupportedReason::Operation));
    }
    Ok(Reply::none().with_status(404).warn(format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate \
         API endpoints to use. If using the Keyfold CLI, use 'keyfold kv {verb}' for this \
         operation."
    )))
}
