//! Which bcrypt hashes a mount has.
//!
//! ```text
//!   bcrypt/<cost, two digits>/<name>    empty: the user's password is kept under such a hash
//! ```
//!
//! Written and removed with the user's record.

use keyfold_core::barrier::View;
use keyfold_core::error::Error;

const FOLDER: &str = "bcrypt/";

/// The place of a user with a hash of a cost.
pub(super) fn place(cost: u32, name: &str) -> String {
    format!("{FOLDER}{cost:02}/{name}")
}

/// The largest cost; none where no user has such a hash.
pub(super) async fn dearest(view: &View) -> Result<Option<u32>, Error> {
    // A folder for each cost there is: a dozen at most.
    let page = view.list(FOLDER, "", 0).await?;
    let costs = page.names.iter();
    Ok(costs
        .filter_map(|name| name.trim_end_matches('/').parse().ok())
        .max())
}
