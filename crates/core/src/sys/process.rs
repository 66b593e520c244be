//! What the process tells of itself: its configuration, its requests, its log.

use std::sync::Arc;

use keyfold_api::weak;
use serde::Deserialize;

use super::{Row, System};
use crate::error::{Error, UnsupportedReason};
use crate::ports::engine::Call;
use crate::ports::host::Host;
use crate::reply::Reply;
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    let levels = |pattern| {
        Row::new(Op::Read, pattern, "Levels of the log.", |s, c| {
            Box::pin(s.loggers_read(c))
        })
    };
    let set = |pattern| {
        Row::new(Op::Write, pattern, "Sets a level of the log.", |s, c| {
            Box::pin(s.loggers_write(c))
        })
    };
    let reset = |pattern| {
        Row::new(
            Op::Delete,
            pattern,
            "Back to the configured level.",
            |s, c| Box::pin(s.loggers_reset(c)),
        )
    };
    vec![
        Row::new(
            Op::Read,
            "config/state/sanitized",
            "The configuration without secrets.",
            |s, _| Box::pin(s.config_state()),
        ),
        Row::new(Op::Read, "in-flight-req", "Requests under way.", |s, _| {
            Box::pin(s.in_flight())
        }),
        levels("loggers"),
        levels("loggers/{name}"),
        set("loggers"),
        set("loggers/{name}"),
        reset("loggers"),
        reset("loggers/{name}"),
    ]
}

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::string")]
    level: Option<String>,
}

impl System {
    /// A vault inside another program has no server around it.
    fn host(&self) -> Result<&Arc<dyn Host>, Error> {
        let host = self.core.host();
        host.ok_or(Error::Unsupported(UnsupportedReason::Path))
    }

    async fn config_state(&self) -> Result<Reply, Error> {
        Ok(Reply::raw(self.host()?.config()?))
    }

    async fn in_flight(&self) -> Result<Reply, Error> {
        Reply::bare(&self.host()?.ongoing())
    }

    async fn loggers_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let mut levels = self.host()?.log_levels();
        let name = call.param("name");
        levels.retain(|logger, _| name.is_empty() || *logger == name);
        Reply::data(&levels)
    }

    async fn loggers_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let level = call.decode::<Write>()?.level.unwrap_or_default();
        if level.is_empty() {
            return Err(Error::bad("level is required"));
        }
        let name = Some(call.param("name")).filter(|name| !name.is_empty());
        self.host()?.set_log_level(name, Some(&level))?;
        Ok(Reply::none())
    }

    async fn loggers_reset(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = Some(call.param("name")).filter(|name| !name.is_empty());
        self.host()?.set_log_level(name, None)?;
        Ok(Reply::none())
    }
}
