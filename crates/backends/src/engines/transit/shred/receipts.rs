//! The receipts of a mount, for those who want to see one again.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::{self, Reply};
use keyfold_keys::statement::Statement;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{Transit, is_name};

/// Folder of the receipts.
const FOLDER: &str = "receipts/";
/// Names that one answer has when nobody says.
const PAGE: usize = 1_000;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "keyfold_api::weak::string")]
    after: Option<String>,
    #[serde(deserialize_with = "keyfold_api::weak::int")]
    limit: Option<i64>,
}

/// A receipt to be read, and the same as it was signed.
#[derive(Serialize)]
struct Shown<'a> {
    receipt: &'a RawValue,
    envelope: &'a Statement,
}

pub(in super::super) async fn list(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let Ask { after, limit } = call.decode()?;
    let asked = usize::try_from(limit.unwrap_or_default()).unwrap_or_default();
    let asked = if asked == 0 { PAGE } else { asked.min(PAGE) };
    let limit = call.caller.page_limit.map_or(asked, |most| asked.min(most));
    let after = after.unwrap_or_default();
    let page = transit.view.list(FOLDER, &after, limit).await?;
    reply::keys(page.names)
}

pub(in super::super) async fn read(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let id = call.param("id");
    if !is_name(id) {
        return Err(Error::NotFound);
    }
    let stored = transit.view.read(&place(id)).await?;
    let (statement, _) = stored.ok_or(Error::NotFound)?;
    show(&statement)
}

/// The answer.
pub(super) fn show(statement: &Statement) -> Result<Reply, Error> {
    let receipt = serde_json::from_slice(statement.unverified());
    Reply::data(&Shown {
        receipt: receipt.map_err(|_| Error::corrupt(FOLDER))?,
        envelope: statement,
    })
}

/// Where a receipt is stored.
pub(super) fn place(id: &str) -> String {
    format!("{FOLDER}{id}")
}
