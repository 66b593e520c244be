//! `sys/seal-status` as the wire shows it.

use serde::Serialize;

use super::{Core, Progress, State};
use crate::error::Error;

/// The body of `seal-status` and of `unseal`.
#[derive(Serialize)]
pub struct SealStatus {
    #[serde(rename = "type")]
    kind: &'static str,
    initialized: bool,
    /// No keys are in memory.
    pub sealed: bool,
    t: u8,
    n: u8,
    progress: usize,
    nonce: String,
    version: &'static str,
    build_date: &'static str,
    commit_date: &'static str,
    migration: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    recovery_seal: bool,
    storage_type: &'static str,
    /// Tells this server from others that speak the same API.
    server: &'static str,
}

impl Core {
    /// The state of the seal.
    pub async fn seal_status(&self) -> Result<SealStatus, Error> {
        let mut status = SealStatus {
            kind: "shamir",
            initialized: true,
            sealed: true,
            t: 0,
            n: 0,
            progress: 0,
            nonce: String::new(),
            version: self.settings.version,
            build_date: "",
            commit_date: "",
            migration: false,
            cluster_name: None,
            cluster_id: None,
            recovery_seal: false,
            storage_type: self.storage.kind(),
            server: "keyfold",
        };
        match &*self.state() {
            State::Uninit => status.initialized = false,
            State::Sealed(sealed) => {
                let Progress { given, nonce } = sealed.progress();
                (status.t, status.n) = (sealed.seal.threshold, sealed.seal.shares);
                (status.progress, status.nonce) = (given, nonce);
            }
            State::Unsealed(vault) => {
                status.sealed = false;
                (status.t, status.n) = (vault.seal.threshold, vault.seal.shares);
                status.cluster_name = Some(vault.cluster.name.clone());
                status.cluster_id = Some(vault.cluster.id.clone());
            }
        }
        Ok(status)
    }
}
