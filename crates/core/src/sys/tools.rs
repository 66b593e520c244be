//! `sys/tools/`: random bytes and hashes.

use super::Row;
use crate::request::Op;
use crate::tools;

pub(super) fn rows() -> Vec<Row> {
    let random = |pattern| {
        Row::new(Op::Write, pattern, "Gives random bytes.", |_, c| {
            Box::pin(async move { tools::random(c) })
        })
    };
    let hash = |pattern| {
        Row::new(Op::Write, pattern, "Hashes what is sent.", |_, c| {
            Box::pin(async move { tools::hash(c) })
        })
    };
    vec![
        random("tools/random"),
        random("tools/random/{first}"),
        random("tools/random/{source}/{bytes}"),
        hash("tools/hash"),
        hash("tools/hash/{algorithm}"),
    ]
}
