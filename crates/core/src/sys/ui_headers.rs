//! `sys/config/ui/headers`: headers for the answers of a web interface. They are taken and shown;
//! there is no web interface here that would send them.

use std::collections::BTreeMap;

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::{Row, System};
use crate::barrier::json;
use crate::error::Error;
use crate::ports::engine::Call;
use crate::ports::storage::Batch;
use crate::reply::{self, Reply};
use crate::request::Op;

/// One record with all of them.
const KEY: &str = "config/ui-headers";
/// Headers that are kept at most.
const MAX: usize = 256;

pub(super) fn rows() -> Vec<Row> {
    let list = |pattern| {
        Row::new(Op::List, pattern, "Lists the headers.", |s, _| {
            Box::pin(s.ui_headers_list())
        })
        .sudo()
    };
    let row = Row::new;
    vec![
        list("config/ui/headers"),
        list("config/ui/headers/"),
        row(
            Op::Read,
            "config/ui/headers/{name}",
            "Reads a header.",
            |s, c| Box::pin(s.ui_header_read(c)),
        )
        .sudo(),
        row(
            Op::Write,
            "config/ui/headers/{name}",
            "Sets a header.",
            |s, c| Box::pin(s.ui_header_write(c)),
        )
        .sudo(),
        row(
            Op::Delete,
            "config/ui/headers/{name}",
            "Removes a header.",
            |s, c| Box::pin(s.ui_header_delete(c)),
        )
        .sudo(),
    ]
}

type Headers = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
struct Read {
    #[serde(default, deserialize_with = "weak::boolean")]
    multivalue: Option<bool>,
}

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::list")]
    values: Option<Vec<String>>,
    /// All values are taken, whatever it says.
    #[serde(default, rename = "multivalue", deserialize_with = "weak::boolean")]
    _multivalue: Option<bool>,
}

#[derive(Serialize)]
struct First<'a> {
    value: &'a str,
}

#[derive(Serialize)]
struct All<'a> {
    values: &'a [String],
}

impl System {
    async fn ui_headers_list(&self) -> Result<Reply, Error> {
        reply::keys(self.ui_headers().await?.into_keys().collect())
    }

    async fn ui_header_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let all = call.decode::<Read>()?.multivalue.unwrap_or(false);
        let headers = self.ui_headers().await?;
        let (_, values) = found(&headers, call.param("name")).ok_or(Error::NotFound)?;
        match values.first() {
            Some(value) if !all => Reply::data(&First { value }),
            _ => Reply::data(&All { values }),
        }
    }

    async fn ui_header_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = call.param("name");
        let values = call.decode::<Write>()?.values.unwrap_or_default();
        if values.is_empty() {
            return Err(Error::bad("header and values must be specified"));
        }
        if name.to_ascii_lowercase().starts_with("x-vault-") {
            return Err(Error::bad("X-Vault headers cannot be set"));
        }
        self.change_ui_headers(|headers| {
            // One header, however it is spelt.
            headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
            if headers.len() >= MAX {
                return Err(Error::bad(format!("there are {MAX} headers already")));
            }
            headers.insert(name.to_owned(), values.clone());
            Ok(())
        })
        .await?;
        Ok(Reply::none().with_status(200))
    }

    async fn ui_header_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = call.param("name");
        self.change_ui_headers(|headers| {
            headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
            Ok(())
        })
        .await?;
        Ok(Reply::none())
    }

    async fn ui_headers(&self) -> Result<Headers, Error> {
        let stored = self.vault.system.read::<Headers>(KEY).await?;
        Ok(stored.map(|(headers, _)| headers).unwrap_or_default())
    }

    async fn change_ui_headers(
        &self,
        change: impl Fn(&mut Headers) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let view = &self.vault.system;
        let attempt = || async {
            let stored = view.read::<Headers>(KEY).await?;
            let (mut headers, batch) = match stored {
                Some((headers, revision)) => (headers, Batch::new().unchanged(KEY, revision)),
                None => (Headers::new(), Batch::new().absent(KEY)),
            };
            change(&mut headers)?;
            view.commit(batch.put(KEY, json(&headers)?)).await
        };
        view.change(KEY, attempt).await.map(|_| ())
    }
}

fn found<'a>(headers: &'a Headers, name: &str) -> Option<(&'a String, &'a Vec<String>)> {
    let mut headers = headers.iter();
    headers.find(|(known, _)| known.eq_ignore_ascii_case(name))
}
