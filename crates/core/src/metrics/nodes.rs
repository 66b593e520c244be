//! Where this node stands among those that share its store.

use std::time::Instant;

use super::family::{Family, Kind, Value};
use crate::ports::nodes::Nodes;

/// Nothing where there is one node.
pub(super) fn families(nodes: Option<&dyn Nodes>, version: &str) -> Vec<Family> {
    let Some(nodes) = nodes else {
        return Vec::new();
    };
    let (position, now) = (nodes.position(), Instant::now());
    let gauge = |name, help, value| Family::single(name, help, Kind::Gauge, Value::Count(value));
    let mut info = Family::new(
        "vault_node_info",
        "This node's name among the others, and its version.",
        Kind::Gauge,
    );
    let labels = vec![("node_id", position.id), ("version", version.to_owned())];
    info.push(labels, Value::Count(1));
    let lag = now.saturating_duration_since(position.current);
    vec![
        info,
        gauge(
            "vault_node_fresh",
            "Whether it holds a lease, and so answers.",
            u64::from(nodes.lease() > now),
        ),
        gauge(
            "vault_node_applied_index",
            "The last commit whose changes it has done.",
            position.applied.0,
        ),
        gauge(
            "vault_node_lag_milliseconds",
            "For how long it may not have heard of what others have committed.",
            u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
        ),
    ]
}
