//! A secrets engine: a table of routes over a view of its own storage.
//!
//! ```text
//!   transit/encrypt/orders            Router: longest mount prefix
//!   └──────┘└─────────────┘
//!    mount    pattern "encrypt/{name}" → Route { op, access, help, exists, run }
//! ```
//!
//! The pipeline finds the route once, asks `exists` where a write may create, checks the token's
//! policies, audits, and only then calls `run`.

mod chore;
mod destroyed;
mod keys;
mod kind;
mod meant;
mod route;
mod unknown;
mod window;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use keyfold_api::{Seconds, body::Decoded};
use serde::de::DeserializeOwned;

pub use self::chore::Chore;
pub use self::destroyed::{DestroyedKey, DestroyedKeys};
pub use self::keys::{ServiceKeyInfo, ServiceKeys};
pub use self::kind::{EngineKind, MountContext};
pub use self::meant::Meant;
pub use self::route::{Access, Exists, Handler, Route};
pub use self::unknown::Unknown;
pub use self::window::Window;

use super::auth::Grants;
pub use super::pattern::Params;
use super::pattern::matches;
use crate::audit::Admitted;
use crate::clock::Time;
use crate::error::Error;
use crate::mounts::MountRecord;
use crate::ports::storage::Batch;
use crate::reply::{Form, Reply};
use crate::request::{Body, Op};
use crate::tokens::{Caller, Token, TokenParams};

/// A boxed future, as handlers return.
pub type Future_<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request as a handler sees it.
pub struct Call<'a> {
    /// What is asked.
    pub op: Op,
    /// The whole path, with the mount.
    pub full_path: &'a str,
    /// The path below the mount.
    pub path: &'a str,
    /// What the pattern's names stand for.
    pub params: Params<'a>,
    /// The members.
    pub body: &'a Body,
    /// Whose request it is.
    pub caller: &'a Caller,
    /// The policy check found that this write creates, and allowed that.
    pub creates: bool,
    /// When it came in.
    pub now: Time,
    /// Who is at the other end, where there is an address.
    pub remote: Option<IpAddr>,
    /// The answer is asked for wrapped, for so long.
    pub wrap_ttl: Option<Seconds>,
    /// The mount that is asked; none for the seal's own doors.
    pub mount: Option<&'a MountRecord>,
    /// What the handler found in the body and has no use for.
    pub unknown: Unknown,
}

impl<'a> Call<'a> {
    /// A call of nobody in particular; the pipeline fills in what it knows.
    pub fn new(op: Op, path: &'a str, params: Params<'a>, body: &'a Body, now: Time) -> Self {
        static NOBODY: Caller = Caller::anonymous();
        Self {
            op,
            full_path: path,
            path,
            params,
            body,
            caller: &NOBODY,
            creates: false,
            now,
            remote: None,
            wrap_ttl: None,
            mount: None,
            unknown: Unknown::default(),
        }
    }

    /// What a name of the pattern stands for; empty where the pattern has no such name.
    pub fn param(&self, name: &str) -> &str {
        self.params
            .0
            .iter()
            .find(|(n, _)| *n == name)
            .map_or("", |(_, v)| v)
    }

    /// The members as two parts that a handler takes; names that neither knows are noted.
    pub fn decode_both<A: DeserializeOwned, B: DeserializeOwned>(&self) -> Result<(A, B), Error> {
        let a = self.body.decode::<A>()?;
        let b = self.body.decode::<B>()?;
        let unknown = a.unknown.into_iter().filter(|n| b.unknown.contains(n));
        self.note_unknown(unknown.collect());
        Ok((a.value, b.value))
    }

    /// The members as what the handler takes; names that it does not know are noted.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let Decoded { value, unknown } = self.body.decode()?;
        self.note_unknown(unknown);
        Ok(value)
    }

    /// For handlers that read the body's bytes themselves: the names that they do not know.
    pub fn note_unknown(&self, names: Vec<String>) {
        self.unknown.note(names);
    }

    /// The answer with its warning about members without effect; [`Dispatch::run`] does it.
    pub fn warned(&self, mut reply: Reply) -> Reply {
        #[derive(serde::Deserialize)]
        struct Nothing {}
        if reply.form == Form::Bare {
            return reply;
        }
        let unread = || match self.body.bytes() {
            b"" => Vec::new(),
            // What can't be parsed and was not read had no effect either; it has no names.
            _ => self
                .body
                .decode::<Nothing>()
                .map(|d| d.unknown)
                .unwrap_or_default(),
        };
        let captured = |name: &str| self.params.0.iter().any(|(n, _)| *n == name);
        let warnings = self.unknown.warnings(unread, captured);
        reply.warnings.splice(0..0, warnings);
        reply
    }
}

/// An engine, for those who write one.
pub trait Engine: Sized + Send + Sync + 'static {
    /// Its table. The first row that matches counts.
    fn routes() -> &'static [Route<Self>];

    /// Another node, or another part of this one, changed a key of the view: forget it.
    fn invalidate(&self, _key: &str) {}

    /// All of the view may have changed.
    fn invalidate_all(&self) {}

    /// The path that one means, where it is not read letter by letter.
    fn meant(&self, _path: &str) -> Option<Meant> {
        None
    }

    /// For auth methods: whom a login names, before it is known whether they are it. Such a name is
    /// locked after failures, known or not: see [`crate::lockout`].
    fn attempt(&self, _call: &Call<'_>) -> Option<String> {
        None
    }

    /// The mount's options are about to become these: what that brings with it, or why it can't
    /// be. A new engine opens with them afterwards.
    fn retune(&self, _options: &BTreeMap<String, String>) -> Result<Retune, Error> {
        Ok(Retune::default())
    }

    /// For auth methods: what a token that was made by a login here may have by now. An error when
    /// whoever logged in may not go on; it is shown to the caller.
    fn renew<'a>(&'a self, _token: &'a Token) -> Future_<'a, Result<TokenParams, Error>> {
        Box::pin(async { Err(Error::bad("lease is not renewable")) })
    }

    /// For auth methods: roles or users after the one of that name, from at most `limit` records.
    /// For those who go through all of them bit by bit.
    fn grants<'a>(&'a self, _after: &'a str, _limit: usize) -> Future_<'a, Result<Grants, Error>> {
        Box::pin(async { Ok(Grants::default()) })
    }

    /// Keys that it keeps for services, after the one of that name, at most `limit`: for a report.
    fn service_keys<'a>(
        &'a self,
        _after: &'a str,
        _limit: usize,
    ) -> Future_<'a, Result<ServiceKeys, Error>> {
        Box::pin(async { Ok(ServiceKeys::default()) })
    }

    /// What it has to do by itself by now, at most `limit`. What is done stands there no more.
    fn chores(&self, _now: Time, _limit: usize) -> Future_<'_, Result<Vec<Chore>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Stores what it noted of its own use and holds in memory alone. Each node is asked now and
    /// then, and before its vault is sealed; what can't be stored is kept.
    fn settle(&self) -> Future_<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// All keys that it destroyed for good: asked, while nothing is written, before a snapshot takes the
    /// place of the store.
    fn destroyed(&self) -> Future_<'_, Result<DestroyedKeys, Error>> {
        Box::pin(async { Ok(DestroyedKeys::default()) })
    }

    /// A snapshot has taken the place of the store in which this key had been destroyed. The engine
    /// notes that again, and refuses the key where it came back. It may be told twice.
    fn revived<'a>(&'a self, _key: &'a DestroyedKey) -> Future_<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// What a change of a mount's options brings with it.
#[derive(Default)]
pub struct Retune {
    /// Records of the engine's view, for the commit that changes the options.
    pub batch: Batch,
    /// Remarks for whoever changes them.
    pub warnings: Vec<String>,
}

/// A row found for a call: its place in the table.
pub struct Found<'a> {
    index: usize,
    /// The captures.
    pub params: Params<'a>,
    /// What the row demands.
    pub access: Access,
    /// The row can say whether its target exists.
    pub may_create: bool,
}

/// What a path is for, by operation.
#[derive(Debug, Clone)]
pub struct Help {
    /// What is asked.
    pub op: Op,
    /// The pattern.
    pub pattern: &'static str,
    /// The sentence.
    pub help: &'static str,
    /// What it demands.
    pub access: Access,
    /// A write that may create.
    pub may_create: bool,
}

/// An engine, for the pipeline: the table behind a pointer. Implemented for every [`Engine`].
pub trait Dispatch: Send + Sync + 'static {
    /// The row for a path, or why there is none.
    fn find<'a>(&self, op: Op, path: &'a str) -> Result<Found<'a>, Error>;
    /// Whether the write's target is there.
    fn exists<'a>(
        &'a self,
        found: &Found<'_>,
        call: &'a Call<'a>,
    ) -> Future_<'a, Result<bool, Error>>;
    /// Runs the row's handler. Only a request that the audit broker admitted gets here.
    fn run<'a>(
        &'a self,
        admitted: Admitted,
        found: &Found<'_>,
        call: &'a Call<'a>,
    ) -> Future_<'a, Result<Reply, Error>>;
    /// Rows whose pattern matches the path, whatever the operation; all of them for "".
    fn help(&self, path: &str) -> Vec<Help>;
    /// See [`Engine::invalidate`].
    fn invalidate(&self, key: &str);
    /// See [`Engine::invalidate_all`].
    fn invalidate_all(&self);
    /// See [`Engine::meant`].
    fn meant(&self, path: &str) -> Option<Meant>;
    /// See [`Engine::attempt`].
    fn attempt(&self, call: &Call<'_>) -> Option<String>;
    /// See [`Engine::retune`].
    fn retune(&self, options: &BTreeMap<String, String>) -> Result<Retune, Error>;
    /// See [`Engine::renew`].
    fn renew<'a>(&'a self, token: &'a Token) -> Future_<'a, Result<TokenParams, Error>>;
    /// See [`Engine::grants`].
    fn grants<'a>(&'a self, after: &'a str, limit: usize) -> Future_<'a, Result<Grants, Error>>;
    /// See [`Engine::service_keys`].
    fn service_keys<'a>(
        &'a self,
        after: &'a str,
        limit: usize,
    ) -> Future_<'a, Result<ServiceKeys, Error>>;
    /// See [`Engine::chores`].
    fn chores(&self, now: Time, limit: usize) -> Future_<'_, Result<Vec<Chore>, Error>>;
    /// See [`Engine::settle`].
    fn settle(&self) -> Future_<'_, Result<(), Error>>;
    /// See [`Engine::destroyed`].
    fn destroyed(&self) -> Future_<'_, Result<DestroyedKeys, Error>>;
    /// See [`Engine::revived`].
    fn revived<'a>(&'a self, key: &'a DestroyedKey) -> Future_<'a, Result<(), Error>>;
}

/// What the row for a path demands, where there is one.
pub(crate) fn access<E: Engine>(op: Op, path: &str) -> Option<Access> {
    let mut rows = E::routes().iter();
    let row = rows.find(|row| row.op == op && matches(row.pattern, path).is_some());
    row.map(|row| row.access)
}

impl<E: Engine> Dispatch for E {
    fn find<'a>(&self, op: Op, path: &'a str) -> Result<Found<'a>, Error> {
        let (mut known, mut open) = (false, false);
        for (index, row) in E::routes().iter().enumerate() {
            if let Some(params) = matches(row.pattern, path) {
                if row.op == op {
                    let may_create = row.exists.is_some();
                    return Ok(Found {
                        index,
                        params,
                        access: row.access,
                        may_create,
                    });
                }
                known = true;
                // Whoever may ask for help without a token is not for this row to say.
                open |= row.access == Access::Open && op != Op::Help;
            }
        }
        use crate::error::UnsupportedReason::{OpenOperation, Operation, Path};
        Err(Error::Unsupported(match (known, open) {
            (_, true) => OpenOperation,
            (true, false) => Operation,
            (false, false) => Path,
        }))
    }

    fn exists<'a>(
        &'a self,
        found: &Found<'_>,
        call: &'a Call<'a>,
    ) -> Future_<'a, Result<bool, Error>> {
        match E::routes().get(found.index).and_then(|row| row.exists) {
            Some(exists) => exists(self, call),
            None => Box::pin(async { Ok(true) }),
        }
    }

    fn run<'a>(
        &'a self,
        _: Admitted,
        found: &Found<'_>,
        call: &'a Call<'a>,
    ) -> Future_<'a, Result<Reply, Error>> {
        match E::routes().get(found.index) {
            Some(row) => Box::pin(async move { Ok(call.warned((row.run)(self, call).await?)) }),
            None => Box::pin(async { Err(Error::Bug("a route of another engine")) }),
        }
    }

    fn help(&self, path: &str) -> Vec<Help> {
        E::routes()
            .iter()
            .filter(|row| path.is_empty() || matches(row.pattern, path).is_some())
            .map(|row| Help {
                op: row.op,
                pattern: row.pattern,
                help: row.help,
                access: row.access,
                may_create: row.exists.is_some(),
            })
            .collect()
    }

    fn invalidate(&self, key: &str) {
        Engine::invalidate(self, key);
    }

    fn invalidate_all(&self) {
        Engine::invalidate_all(self);
    }

    fn meant(&self, path: &str) -> Option<Meant> {
        Engine::meant(self, path)
    }

    fn attempt(&self, call: &Call<'_>) -> Option<String> {
        Engine::attempt(self, call)
    }

    fn retune(&self, options: &BTreeMap<String, String>) -> Result<Retune, Error> {
        Engine::retune(self, options)
    }

    fn renew<'a>(&'a self, token: &'a Token) -> Future_<'a, Result<TokenParams, Error>> {
        Engine::renew(self, token)
    }

    fn grants<'a>(&'a self, after: &'a str, limit: usize) -> Future_<'a, Result<Grants, Error>> {
        Engine::grants(self, after, limit)
    }

    fn service_keys<'a>(
        &'a self,
        after: &'a str,
        limit: usize,
    ) -> Future_<'a, Result<ServiceKeys, Error>> {
        Engine::service_keys(self, after, limit)
    }

    fn chores(&self, now: Time, limit: usize) -> Future_<'_, Result<Vec<Chore>, Error>> {
        Engine::chores(self, now, limit)
    }

    fn settle(&self) -> Future_<'_, Result<(), Error>> {
        Engine::settle(self)
    }

    fn destroyed(&self) -> Future_<'_, Result<DestroyedKeys, Error>> {
        Engine::destroyed(self)
    }

    fn revived<'a>(&'a self, key: &'a DestroyedKey) -> Future_<'a, Result<(), Error>> {
        Engine::revived(self, key)
    }
}
