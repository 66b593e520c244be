//! `sys/health`: a status code for each state, which the query may change.

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::Doors;
use crate::error::Error;
use crate::lifecycle::{Core, SealReport, State};
use crate::ports::engine::Call;
use crate::reply::Reply;

/// Codes for states that this server has; those of others are taken and have no effect.
#[derive(Deserialize)]
struct Query {
    #[serde(default, deserialize_with = "weak::uint")]
    activecode: Option<u64>,
    #[serde(default, deserialize_with = "weak::uint")]
    sealedcode: Option<u64>,
    #[serde(default, deserialize_with = "weak::uint")]
    uninitcode: Option<u64>,
    #[serde(default, deserialize_with = "weak::uint")]
    standbycode: Option<u64>,
    #[serde(default, deserialize_with = "weak::uint")]
    drsecondarycode: Option<u64>,
    #[serde(default, deserialize_with = "weak::uint")]
    performancestandbycode: Option<u64>,
    #[serde(default, deserialize_with = "weak::uint")]
    haunhealthycode: Option<u64>,
    #[serde(default, deserialize_with = "weak::uint")]
    removedcode: Option<u64>,
}

#[derive(Serialize)]
struct Health {
    initialized: bool,
    sealed: bool,
    standby: bool,
    performance_standby: bool,
    replication_performance_mode: &'static str,
    replication_dr_mode: &'static str,
    server_time_utc: u64,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    /// No audit device can write, so requests are refused. Only where it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_blocked: Option<bool>,
    /// The seals that failed last, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seals_failing: Vec<SealReport>,
}

impl Doors {
    pub(super) async fn health(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let query = call.decode::<Query>().map_err(|_| Error::BadSilently)?;
        let others = [
            query.standbycode,
            query.drsecondarycode,
            query.performancestandbycode,
            query.haunhealthycode,
            query.removedcode,
        ];
        let code = |wished: Option<u64>, usual: u16| match wished {
            None => Ok(usual),
            Some(code) => u16::try_from(code)
                .ok()
                .filter(|c| (100..1000).contains(c))
                .ok_or(()),
        };
        for other in others {
            code(other, 0).map_err(|()| Error::BadSilently)?;
        }
        let (health, wished, usual) = describe(&self.0, &query);
        let status = code(wished, usual).map_err(|()| Error::BadSilently)?;
        Ok(Reply::bare(&health)?.with_status(status))
    }
}

fn describe(core: &Core, query: &Query) -> (Health, Option<u64>, u16) {
    let mut health = Health {
        initialized: true,
        sealed: true,
        standby: true,
        performance_standby: false,
        replication_performance_mode: "unknown",
        replication_dr_mode: "unknown",
        server_time_utc: core.clock().now().secs(),
        version: core.settings().version,
        cluster_name: None,
        cluster_id: None,
        audit_blocked: None,
        seals_failing: core.failing_seals(),
    };
    match &*core.state() {
        State::Uninit => {
            health.initialized = false;
            (health, query.uninitcode, 501)
        }
        State::Sealed(_) => (health, query.sealedcode, 503),
        State::Unsealed(vault) => {
            let fresh = core.is_fresh();
            health.sealed = false;
            health.standby = false;
            health.replication_performance_mode = "disabled";
            health.replication_dr_mode = "disabled";
            health.cluster_name = Some(vault.cluster.name.clone());
            health.cluster_id = Some(vault.cluster.id.clone());
            health.audit_blocked = vault.audit.is_blocked().then_some(true);
            match fresh {
                true => (health, query.activecode, 200),
                // It refuses requests until it hears from the store again.
                false => (health, query.haunhealthycode, 474),
            }
        }
    }
}
