//! `sys/rotate`, and when it happens by itself: `sys/rotate/config`.

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::{Row, System};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    let rotate = |pattern| {
        Row::new(
            Op::Write,
            pattern,
            "A new term; every dek wrapped anew; the old term gone.",
            |s, _| Box::pin(s.rotate()),
        )
        .sudo()
    };
    let read = |pattern| {
        Row::new(
            Op::Read,
            pattern,
            "When the kek is rotated by itself.",
            |s, _| Box::pin(s.rotation_read()),
        )
    };
    let write = |pattern| {
        Row::new(
            Op::Write,
            pattern,
            "Sets when the kek is rotated by itself.",
            |s, c| Box::pin(s.rotation_write(c)),
        )
    };
    vec![
        rotate("rotate"),
        rotate("rotate/keyring"),
        read("rotate/config"),
        write("rotate/config"),
        read("rotate/keyring/config"),
        write("rotate/keyring/config"),
    ]
}

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::boolean")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "weak::int")]
    max_operations: Option<i64>,
    #[serde(default, deserialize_with = "weak::duration")]
    interval: Option<Seconds>,
}

#[derive(Serialize)]
struct Shown {
    enabled: bool,
    max_operations: u64,
    interval: Interval,
}

/// As the wire has it: a number where there is none, a text where there is one.
#[derive(Serialize)]
#[serde(untagged)]
enum Interval {
    None(u8),
    Every(String),
}

impl System {
    async fn rotate(&self) -> Result<Reply, Error> {
        let rotated = self.vault.rotate().await?;
        tracing::info!(
            term = rotated.term,
            deks = rotated.deks,
            "the kek was rotated"
        );
        Ok(Reply::none())
    }

    async fn rotation_read(&self) -> Result<Reply, Error> {
        let config = self.vault.rotation.config().await?;
        let interval = config.interval;
        Reply::data(&Shown {
            enabled: config.enabled,
            max_operations: config.max_operations,
            interval: match interval {
                0 => Interval::None(0),
                _ => Interval::Every(hours(interval)),
            },
        })
    }

    /// What is left out stays as it is.
    async fn rotation_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        let config = self.vault.rotation.config().await?.changed(
            asked.enabled,
            asked.max_operations.map(number),
            asked.interval.map(|seconds| number(seconds.0)),
        )?;
        self.vault.rotation.configure(&config).await?;
        Ok(Reply::none())
    }
}

fn hours(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
    format!("{hours}h{minutes}m{}s", seconds % 60)
}
