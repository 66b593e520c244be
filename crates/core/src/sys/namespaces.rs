//! `sys/namespaces`: there is the root and no other. Programs that list them, or look for one, are
//! answered as by a server that has none.

use serde::Serialize;

use super::{Row, System};
use crate::error::Error;
use crate::reply::Reply;
use crate::request::Op;

/// What whoever wants one can do instead.
const INSTEAD: &str = "this server has no namespaces: give each tenant mounts below a path of its \
                       own, such as \"team-a/kv\", an auth method, and policies for that path";

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    let list = |op, pattern| {
        let help = "The namespaces, of which there are none.";
        Row::new(op, pattern, help, |_, _| Box::pin(nothing()))
    };
    vec![
        list(Op::List, "namespaces"),
        list(Op::List, "namespaces/"),
        list(Op::Scan, "namespaces"),
        list(Op::Scan, "namespaces/"),
        list(Op::Read, "namespaces/{path}"),
        Row::new(
            Op::Write,
            "namespaces/{path...}",
            "Refused: there are none.",
            |_, _| Box::pin(refused()),
        ),
        Row::new(
            Op::Patch,
            "namespaces/{path...}",
            "Refused: there are none.",
            |_, _| Box::pin(refused()),
        ),
        Row::new(
            Op::Delete,
            "namespaces/{path}",
            "Says that there is none.",
            |_, _| Box::pin(gone()),
        ),
        Row::new(
            Op::Read,
            "internal/ui/namespaces",
            "The namespaces, of which there are none.",
            |s, _| Box::pin(s.ui_namespaces()),
        ),
    ]
}

async fn nothing() -> Result<Reply, Error> {
    Err(Error::NotFound)
}

async fn refused() -> Result<Reply, Error> {
    Err(Error::bad(INSTEAD))
}

async fn gone() -> Result<Reply, Error> {
    Ok(Reply::none().warn("requested namespace does not exist"))
}

impl System {
    /// The root namespace is not told.
    async fn ui_namespaces(&self) -> Result<Reply, Error> {
        #[derive(Serialize)]
        struct Nothing {}
        Reply::data(&Nothing {})
    }
}
