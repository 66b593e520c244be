//! `sys/config/cors`.

use keyfold_api::error::multi;
use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::{Row, System};
use crate::cors::{Cors, HEADERS};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            Op::Read,
            "config/cors",
            "Which origins may call.",
            |s, _| Box::pin(s.cors_read()),
        )
        .sudo(),
        Row::new(Op::Write, "config/cors", "Lets origins call.", |s, c| {
            Box::pin(s.cors_write(c))
        })
        .sudo(),
        Row::new(Op::Delete, "config/cors", "Lets no origin call.", |s, _| {
            Box::pin(s.cors_delete())
        })
        .sudo(),
    ]
}

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::list")]
    allowed_origins: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::list")]
    allowed_headers: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::boolean")]
    allow_credentials: Option<bool>,
    /// To be off is to be deleted.
    #[serde(default, rename = "enable", deserialize_with = "weak::boolean")]
    _enable: Option<bool>,
}

#[derive(Serialize)]
struct Shown<'a> {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_origins: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_headers: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_credentials: Option<bool>,
}

impl System {
    async fn cors_read(&self) -> Result<Reply, Error> {
        let cors = self.vault.cors.current().await?;
        let on = cors.enabled;
        Reply::injected(&Shown {
            enabled: on,
            allowed_origins: on.then_some(&cors.allowed_origins),
            allowed_headers: on.then_some(&cors.allowed_headers),
            allow_credentials: on.then_some(cors.allow_credentials),
        })
    }

    async fn cors_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let allowed_origins = asked.allowed_origins.unwrap_or_default();
        if allowed_origins.is_empty() {
            return Err(Error::bad(multi(
                "at least one origin or the wildcard must be provided",
            )));
        }
        if allowed_origins.len() > 1 && allowed_origins.iter().any(|o| o == "*") {
            return Err(Error::bad(multi(
                "to allow all origins the '*' must be the only value for allowed_origins",
            )));
        }
        let more = asked.allowed_headers.unwrap_or_default();
        // They go out in a header themselves.
        let fit = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !allowed_origins.iter().all(fit) {
            return Err(Error::field("allowed_origins", "an origin is no origin"));
        }
        if !more.iter().all(|h| fit(h) && !h.contains(',')) {
            return Err(Error::field("allowed_headers", "a name is no header's"));
        }
        let usual = HEADERS.iter().map(|&header| header.to_owned());
        let cors = Cors {
            enabled: true,
            allowed_origins,
            allowed_headers: usual.chain(more).collect(),
            allow_credentials: asked.allow_credentials.unwrap_or(false),
        };
        self.vault.cors.put(&cors).await?;
        Ok(Reply::none())
    }

    async fn cors_delete(&self) -> Result<Reply, Error> {
        self.vault.cors.reset().await?;
        Ok(Reply::none())
    }
}
