//! A row of an engine's table.

use super::{Call, Future_};
use crate::error::Error;
use crate::reply::Reply;
use crate::request::Op;

/// Answers a call.
pub type Handler<E> = for<'a> fn(&'a E, &'a Call<'a>) -> Future_<'a, Result<Reply, Error>>;

/// Says whether what a write names is there already, so that the policy check knows `create` from
/// `update`.
pub type Exists<E> = for<'a> fn(&'a E, &'a Call<'a>) -> Future_<'a, Result<bool, Error>>;

/// What a route demands besides the capability of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A token whose policies allow it.
    Token,
    /// And with `sudo`.
    Sudo,
    /// Nothing: answered without a token, but only while unsealed.
    Open,
    /// Nothing, and it works in every state: the seal's own doors.
    Door,
}

/// One row of an engine's table.
pub struct Route<E: 'static> {
    /// What is asked.
    pub op: Op,
    /// Below the mount: literal segments, `{name}` for one segment, `{name...}` for the rest
    /// (which may be empty and may end in `/`), or for all up to segments that follow it.
    pub pattern: &'static str,
    /// What it demands.
    pub access: Access,
    /// One sentence for HELP.
    pub help: &'static str,
    /// For writes that may create.
    pub exists: Option<Exists<E>>,
    /// The handler.
    pub run: Handler<E>,
}

impl<E> Route<E> {
    /// A row for callers with a token.
    pub const fn new(op: Op, pattern: &'static str, help: &'static str, run: Handler<E>) -> Self {
        Self {
            op,
            pattern,
            access: Access::Token,
            help,
            exists: None,
            run,
        }
    }

    /// Demands `sudo` too.
    pub const fn sudo(mut self) -> Self {
        self.access = Access::Sudo;
        self
    }

    /// Answered without a token.
    pub const fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    /// Works in every state of the seal.
    pub(crate) const fn door(mut self) -> Self {
        self.access = Access::Door;
        self
    }

    /// A write that may create.
    pub const fn exists(mut self, exists: Exists<E>) -> Self {
        self.exists = Some(exists);
        self
    }
}
