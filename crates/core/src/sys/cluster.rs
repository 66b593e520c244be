//! What there is of a cluster: one node, no replication, no experiments.

use serde::Serialize;

use super::{Row, System};
use crate::error::Error;
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
struct Nodes<'a> {
    nodes: [Node<'a>; 1],
}

#[derive(Serialize)]
struct Node<'a> {
    hostname: &'a str,
    api_address: &'a str,
    cluster_address: &'a str,
    active_node: bool,
    last_echo: Option<String>,
    version: &'a str,
}

#[derive(Serialize)]
struct Replication {
    mode: &'static str,
}

impl System {
    async fn ha_status(&self) -> Result<Reply, Error> {
        let settings = self.core.settings();
        Reply::injected(&Nodes {
            nodes: [Node {
                hostname: &super::machine::hostname(),
                api_address: &settings.api_addr,
                cluster_address: "",
                active_node: true,
                last_echo: None,
                version: settings.version,
            }],
        })
    }

    async fn step_down(&self) -> Result<Reply, Error> {
        Err(Error::bad(
            "this is the only node: there is none that could take over",
        ))
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
