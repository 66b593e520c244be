//! Lists of secrets, `metadata/` and `detailed-metadata/`: page by page of one folder, or of all
//! that is below it.

use std::collections::BTreeMap;

use keyfold_api::weak::{self, Scalar};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::{Reply, keys};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::super::scan;
use super::metadata::show;
use super::record::{Secret, metadata_key};
use super::{Kv, path};

/// Records read before other tasks of the thread get their turn.
const TURN: usize = 128;

#[derive(Deserialize)]
struct List {
    /// The page begins behind this name, which need not exist.
    #[serde(default, deserialize_with = "weak::string")]
    after: Option<String>,
    /// Names of a page.
    #[serde(default)]
    limit: Limit,
}

#[derive(Deserialize)]
struct Scan {
    /// Paths in the answer.
    #[serde(default)]
    limit: Limit,
}

/// How many names an answer may have.
#[derive(Clone, Copy, Default)]
enum Limit {
    /// All, or as many as a policy lets pass.
    #[default]
    All,
    /// As many as a policy lets pass: `max`.
    Max,
    /// So many.
    Of(usize),
}

impl<'de> Deserialize<'de> for Limit {
    /// Numbers in the forms of [`weak::int`]; zero and less stand for all.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = match Option::<Scalar<'_>>::deserialize(from)? {
            None => return Ok(Self::All),
            Some(Scalar::Text(text)) if text == "max" => return Ok(Self::Max),
            Some(scalar) => scalar,
        };
        let number = scalar.to_int().map_err(D::Error::custom)?;
        Ok(match usize::try_from(number) {
            Ok(limit @ 1..) => Self::Of(limit),
            _ => Self::All,
        })
    }
}

#[derive(Serialize)]
struct Detailed {
    /// Of a folder nothing is known.
    key_info: BTreeMap<String, Box<RawValue>>,
    keys: Vec<String>,
}

impl Kv {
    pub(super) async fn list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (_, names) = self.page(call).await?;
        keys(names)
    }

    pub(super) async fn list_detailed(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (folder, names) = self.page(call).await?;
        self.detailed(&folder, names).await
    }

    pub(super) async fn scan(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (_, paths) = self.below(call).await?;
        keys(paths)
    }

    pub(super) async fn scan_detailed(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (folder, paths) = self.below(call).await?;
        self.detailed(&folder, paths).await
    }

    async fn detailed(&self, folder: &str, names: Vec<String>) -> Result<Reply, Error> {
        let view = self.view().await?;
        let mut detailed = Detailed {
            key_info: BTreeMap::new(),
            keys: Vec::with_capacity(names.len()),
        };
        for (n, name) in names.into_iter().enumerate() {
            if n % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let info = if name.ends_with('/') {
                Some(RawValue::from_string("{}".to_owned()))
            } else {
                // One that was removed since the page was read is left out.
                let read = view.read::<Secret>(&format!("{folder}{name}")).await?;
                read.map(|(secret, _)| to_raw_value(&show(&secret)))
            };
            if let Some(info) = info {
                let info = info.map_err(|_| Error::Bug("metadata does not serialise"))?;
                detailed.key_info.insert(name.clone(), info);
                detailed.keys.push(name);
            }
        }
        if detailed.keys.is_empty() {
            return Err(Error::NotFound);
        }
        Reply::data(&detailed)
    }

    /// The storage key of the folder that is listed, and the names of the page.
    async fn page(&self, call: &Call<'_>) -> Result<(String, Vec<String>), Error> {
        let folder = metadata_key(&path::folder(call)?);
        let asked = call.decode::<List>()?;
        let after = asked.after.unwrap_or_default();
        let limit = asked.limit.within(call.caller.page_limit)?;
        let page = self.view().await?.list(&folder, &after, limit).await?;
        Ok((folder, page.names))
    }

    /// The same for all that is below the folder.
    async fn below(&self, call: &Call<'_>) -> Result<(String, Vec<String>), Error> {
        let folder = metadata_key(&path::folder(call)?);
        let asked = call.decode::<Scan>()?;
        let limit = asked.limit.within(call.caller.page_limit)?;
        let paths = scan::below(self.view().await?, &folder, limit).await?;
        Ok((folder, paths))
    }
}

impl Limit {
    /// As the store takes it: zero for all.
    fn within(self, policy: Option<usize>) -> Result<usize, Error> {
        match (self, policy) {
            (Self::Of(limit), _) => Ok(limit),
            // The bound holds for those who ask for no page, too.
            (Self::All | Self::Max, Some(bound)) => Ok(bound),
            (Self::All, None) => Ok(0),
            (Self::Max, None) => Err(Error::field(
                "limit",
                "no policy sets a bound that \"max\" could stand for",
            )),
        }
    }
}
