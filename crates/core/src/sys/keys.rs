//! `sys/key-status` and `sys/rotate`.

use serde::Serialize;

use super::System;
use crate::error::Error;
use crate::reply::Reply;

#[derive(Serialize)]
struct KeyStatus {
    term: u32,
    install_time: String,
    /// Nothing is sealed under a term but deks: one for each mount and version of it.
    encryptions: usize,
}

impl System {
    pub(super) async fn key_status(&self) -> Result<Reply, Error> {
        let (term, install_time, encryptions) = self.vault.barrier.active_term();
        Reply::injected(&KeyStatus {
            term,
            install_time,
            encryptions,
        })
    }

    pub(super) async fn rotate(&self) -> Result<Reply, Error> {
        let rotated = self.vault.rotate().await?;
        tracing::info!(
            term = rotated.term,
            deks = rotated.deks,
            "the kek was rotated"
        );
        Ok(Reply::none())
    }
}
