//! `sys/internal/counters/`: how many tokens and entities there are.

use serde::Serialize;

use super::{Row, System};
use crate::error::Error;
use crate::reply::Reply;
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            Op::Read,
            "internal/counters/tokens",
            "Counts the tokens.",
            |s, _| Box::pin(s.tokens_count()),
        ),
        Row::new(
            Op::Read,
            "internal/counters/entities",
            "Counts the entities.",
            |s, _| Box::pin(s.entities_count()),
        ),
        Row::new(
            Op::Read,
            "internal/counters/requests",
            "Is gone.",
            |s, _| Box::pin(s.requests_count()),
        ),
    ]
}

#[derive(Serialize)]
struct Counters<T> {
    counters: T,
}

#[derive(Serialize)]
struct ServiceTokens {
    service_tokens: Total,
}

#[derive(Serialize)]
struct Entities {
    entities: Total,
}

#[derive(Serialize)]
struct Total {
    total: usize,
}

impl System {
    async fn tokens_count(&self) -> Result<Reply, Error> {
        let total = self.vault.tokens.count().await?;
        Reply::data(&Counters {
            counters: ServiceTokens {
                service_tokens: Total { total },
            },
        })
    }

    async fn entities_count(&self) -> Result<Reply, Error> {
        let total = self.vault.identity.count().await?;
        Reply::data(&Counters {
            counters: Entities {
                entities: Total { total },
            },
        })
    }

    async fn requests_count(&self) -> Result<Reply, Error> {
        Err(Error::NotFoundBecause(
            "The functionality has been removed on this path".to_owned(),
        ))
    }
}
