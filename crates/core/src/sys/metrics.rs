//! `sys/metrics`.

use keyfold_api::weak;
use serde::Deserialize;

use super::{Row, System};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    vec![Row::new(
        Op::Read,
        "metrics",
        "What the server counts.",
        |s, c| Box::pin(s.metrics(c)),
    )]
}

#[derive(Deserialize)]
struct Query {
    #[serde(default, deserialize_with = "weak::string")]
    format: Option<String>,
}

impl System {
    async fn metrics(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let query = call.decode::<Query>()?;
        self.core.report(query.format.as_deref())
    }
}
