//! What there is of a cluster: its nodes, all of them active; no replication, no experiments.

use serde::Serialize;

use super::{Row, System};
use crate::error::Error;
use crate::ports::nodes::Member;
use crate::reply::Reply;
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(Op::Read, "ha-status", "The nodes.", |s, _| {
            Box::pin(s.ha_status())
        }),
        Row::new(Op::Read, "replication/status", "There is none.", |s, _| {
            Box::pin(s.replication_status())
        })
        .open(),
        Row::new(
            Op::Write,
            "step-down",
            "Has another node take over.",
            |s, _| Box::pin(s.step_down()),
        )
        .sudo(),
        Row::new(
            Op::Read,
            "experiments",
            "What is on trial: nothing.",
            |s, _| Box::pin(s.experiments()),
        ),
    ]
}

#[derive(Serialize)]
struct Nodes {
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    hostname: String,
    api_address: String,
    cluster_address: &'static str,
    /// It answers requests; every node does that holds a lease.
    active_node: bool,
    last_echo: Option<String>,
    version: String,
    /// Its name among the nodes of a shared store, and the last commit whose changes it has done.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_index: Option<u64>,
}

impl From<Member> for Node {
    fn from(member: Member) -> Self {
        Self {
            hostname: member.host,
            api_address: member.address,
            cluster_address: "",
            active_node: member.alive,
            last_echo: None,
            version: member.version,
            node_id: Some(member.id),
            applied_index: Some(member.applied.0),
        }
    }
}

#[derive(Serialize)]
struct Replication {
    mode: &'static str,
}

impl System {
    async fn ha_status(&self) -> Result<Reply, Error> {
        if let Some(nodes) = self.core.storage().nodes() {
            let members = nodes.members().await?;
            let nodes = members.into_iter().map(Node::from).collect();
            return Reply::injected(&Nodes { nodes });
        }
        let settings = self.core.settings();
        Reply::injected(&Nodes {
            nodes: vec![Node {
                hostname: super::machine::hostname(),
                api_address: settings.api_addr.clone(),
                cluster_address: "",
                active_node: true,
                last_echo: None,
                version: settings.version.to_owned(),
                node_id: None,
                applied_index: None,
            }],
        })
    }

    async fn step_down(&self) -> Result<Reply, Error> {
        Err(Error::bad(match self.core.storage().nodes() {
            None => "this is the only node: there is none that could take over",
            Some(_) => "every node is active: there is nothing to take over",
        }))
    }

    async fn experiments(&self) -> Result<Reply, Error> {
        #[derive(Serialize)]
        struct Experiments {
            keys: [String; 0],
        }
        Reply::data(&Experiments { keys: [] })
    }

    async fn replication_status(&self) -> Result<Reply, Error> {
        Reply::data(&Replication { mode: "disabled" })
    }
}
