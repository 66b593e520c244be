//! Request headers that stand in the audit lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Broker;
use crate::barrier::json;
use crate::error::Error;
use crate::ports::storage::Batch;

/// Where the settings are stored.
pub(super) const KEY: &str = "audit/headers";
/// Headers that can be configured.
const MOST: usize = 128;
/// Length of a header's name, bytes.
const LONGEST: usize = 256;
/// These hold credentials: never in clear.
const CREDENTIALS: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-vault-token",
];

/// How a header stands in the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderSetting {
    /// As an HMAC.
    pub hmac: bool,
}

/// The headers that are wanted, by their names in lower case.
pub type HeaderSettings = BTreeMap<String, HeaderSetting>;

/// A header of a request that is wanted.
pub struct AuditedHeader {
    /// In lower case.
    pub name: String,
    /// As an HMAC.
    pub hmac: bool,
    /// In the order in which they came.
    pub values: Vec<String>,
}

impl Broker {
    /// The headers that the lines want; none costs next to nothing.
    pub fn headers(&self) -> Option<Arc<HeaderSettings>> {
        let headers = self.headers.load();
        (!headers.is_empty()).then(|| headers.clone())
    }

    /// Wants a header.
    pub async fn want_header(&self, name: &str, setting: HeaderSetting) -> Result<(), Error> {
        check(name)?;
        if !setting.hmac && CREDENTIALS.contains(&name) {
            let what = format!("has to be true for {name}, which holds a credential");
            return Err(Error::field("hmac", what));
        }
        self.change_headers(|headers| {
            if headers.len() >= MOST && !headers.contains_key(name) {
                return Err(Error::bad(format!("more than {MOST} headers")));
            }
            headers.insert(name.to_owned(), setting);
            Ok(())
        })
        .await
    }

    /// Wants a header no more; one that is not wanted is no error.
    pub async fn drop_header(&self, name: &str) -> Result<(), Error> {
        self.change_headers(|headers| {
            headers.remove(name);
            Ok(())
        })
        .await
    }

    async fn change_headers(
        &self,
        edit: impl Fn(&mut HeaderSettings) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let headers = self.view.change(KEY, || async {
            let stored = self.view.read::<HeaderSettings>(KEY).await?;
            let (mut headers, batch) = match stored {
                Some((headers, revision)) => (headers, Batch::new().unchanged(KEY, revision)),
                None => (HeaderSettings::new(), Batch::new().absent(KEY)),
            };
            edit(&mut headers)?;
            self.view.commit(batch.put(KEY, json(&headers)?)).await?;
            Ok(headers)
        });
        self.headers.store(Arc::new(headers.await?));
        Ok(())
    }

    pub(super) async fn reload_headers(&self) -> Result<(), Error> {
        let stored = self.view.read::<HeaderSettings>(KEY).await?;
        let headers = stored.map(|(headers, _)| headers).unwrap_or_default();
        self.headers.store(Arc::new(headers));
        Ok(())
    }
}

/// A name that a header can have, in lower case.
fn check(name: &str) -> Result<(), Error> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > LONGEST || !name.bytes().all(token) {
        return Err(Error::field("header", "no name of a header"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["x-req", "x_1.a", "!"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a:b", "ä", "a/b", &"x".repeat(257)] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
