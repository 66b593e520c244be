//! `sys/capabilities-self`.

use std::collections::BTreeMap;

use keyfold_api::weak;
use serde::Deserialize;

use super::System;
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Paths {
    #[serde(default, deserialize_with = "weak::list")]
    paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::list")]
    path: Option<Vec<String>>,
    /// The caller's own token is what counts.
    #[serde(default, rename = "token", deserialize_with = "weak::secret_string")]
    _token: Option<keyfold_secret::Secret<String>>,
}

impl System {
    pub(super) async fn capabilities_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Paths>()?;
        let paths = asked
            .paths
            .filter(|p| !p.is_empty())
            .or(asked.path)
            .unwrap_or_default();
        if paths.is_empty() {
            return Err(Error::bad("paths must be supplied"));
        }
        let acl = self.vault.acl(call.caller.token()?).await?;
        let mut told: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
        for path in &paths {
            let path = path.strip_prefix('/').unwrap_or(path);
            told.insert(path, acl.capabilities(path));
        }
        if let ([only], Some(first)) = (paths.as_slice(), told.values().next().cloned()) {
            let _ = only;
            told.insert("capabilities", first);
        }
        Reply::injected(&told)
    }
}
