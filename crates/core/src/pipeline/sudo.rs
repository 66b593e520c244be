//! Which paths demand `sudo` on every server, as the tables of routes say: for those who write
//! policies without one at hand.

use crate::ports::engine::{Access, Engine, access};
use crate::request::Op;
use crate::sys::System;
use crate::tokens::TokenAuth;

/// Its handler asks for `sudo`, as that of `create` does where it is asked for the same.
const ORPHAN: &str = "auth/token/create-orphan";

/// Whether a path below `/v1/` demands `sudo`. Only `sys/` and `auth/token/` are mounted everywhere.
pub fn demands_sudo(op: Op, path: &str) -> bool {
    if (op, path) == (Op::Write, ORPHAN) {
        return true;
    }
    below::<System>("sys/", op, path) || below::<TokenAuth>("auth/token/", op, path)
}

fn below<E: Engine>(mount: &str, op: Op, path: &str) -> bool {
    let below = path.strip_prefix(mount);
    below.and_then(|below| access::<E>(op, below)) == Some(Access::Sudo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_decide() {
        for (op, path, wanted) in [
            (Op::Write, "sys/seal", true),
            (Op::Read, "sys/audit", true),
            (Op::Write, "sys/auth/people", true),
            (Op::Read, "sys/raw/core/x", true),
            (Op::Write, "sys/leases/revoke-prefix/a/b", true),
            (Op::Read, "sys/mounts", false),
            (Op::Read, "sys/health", false),
            (Op::Write, "auth/token/create-orphan", true),
            (Op::List, "auth/token/accessors", true),
            (Op::Write, "auth/token/create", false),
            (Op::Read, "secret/data/a", false),
            (Op::Read, "sys/nothing", false),
        ] {
            assert_eq!(demands_sudo(op, path), wanted, "{op:?} {path}");
        }
    }
}
