//! `sys/key-status`.

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
}
