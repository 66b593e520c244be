//! `sys/seal-backend-status`: whether the seals work. It answers while the vault is sealed, which is
//! when it is needed.

use serde::Serialize;

use super::Doors;
use crate::error::Error;
use crate::lifecycle::SealReport;
use crate::reply::Reply;

#[derive(Serialize)]
struct Seals {
    healthy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unhealthy_since: Option<String>,
    backends: Vec<Backend>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Backend {
    /// Shares need no machine that could fail.
    People {
        name: &'static str,
        healthy: bool,
    },
    Machine(SealReport),
}

impl Doors {
    pub(super) async fn seal_backends(&self) -> Result<Reply, Error> {
        let reports = self.0.seal_reports();
        let since = reports.iter().filter_map(|r| r.unhealthy_since.clone());
        let unhealthy_since = since.min();
        let mut backends: Vec<_> = reports.into_iter().map(Backend::Machine).collect();
        if self.0.shares_open() {
            backends.push(Backend::People {
                name: "shamir",
                healthy: true,
            });
        }
        let reply = Reply::data(&Seals {
            healthy: unhealthy_since.is_none(),
            unhealthy_since,
            backends,
        })?;
        Ok(self.0.seal_remarks().into_iter().fold(reply, Reply::warn))
    }
}
