//! The way of a request, in order, on one screen.
//!
//! ```text
//!   unsealed? → token → route → exists? → ACL → audit(request) → use → engine → wrap → audit(answer)
//! ```
//!
//! Two proofs hold the order: only the ACL check makes an [`Authorized`], only the audit broker
//! turns it into an [`Admitted`], and an engine runs for nothing else.
//!
//! What few requests need is boxed where it is awaited: every request carries the room for all that
//! its future may hold.
//!
//! [`Admitted`]: crate::audit::Admitted

mod authorize;
mod chores;
mod fresh;
mod listing;
mod sudo;
mod wrapping;

use std::sync::Arc;

pub use self::authorize::Authorized;
pub(crate) use self::authorize::{Question, Refusal};
pub use self::sudo::demands_sudo;
use crate::audit::{Admitted, Outcome, Parts};
use crate::cubbyhole::Cubbyhole;
use crate::error::{Error, UnsupportedReason};
use crate::identity::IdentityStore;
use crate::lifecycle::{Core, State, Unsealed};
use crate::lockout;
use crate::mounts::{Mount, MountRecord, Target};
use crate::ports::engine::{Access, Call, Dispatch, Found, Meant};
use crate::reply::Reply;
use crate::request::{Op, Request};
use crate::sys::{self, Doors, System};
use crate::tokens::{Caller, Token, TokenAuth, login};

impl Core {
    /// Answers a request.
    pub async fn handle(self: &Arc<Self>, mut request: Request) -> Result<Reply, Error> {
        self.make_sure().await?;
        self.notice_begun().await?;
        if let Some(reply) = self.door(&request).await {
            return reply;
        }
        if let Some(force) = self.begins_with(request.op, &request.path) {
            return sys::snapshot::restore(self, &request.body, force).await;
        }
        let vault = self.unsealed()?;
        self.fresh(request.index).await?;
        let caller = vault.identify(&mut request).await?;
        let reply = serve(self, &vault, request, caller).await;
        drop(vault);
        reply
    }

    /// Whether a path has an answer in the present state: [`Error::Sealed`] where it has none. The
    /// edge asks before it parses a body, so that a sealed server judges none.
    pub fn serves(self: &Arc<Self>, path: &str) -> Result<(), Error> {
        // Where that is not known, it is found out first.
        let closed = self.is_sealed() && !self.is_unsure() && !Doors::has(path);
        match closed && self.begins_with(Op::Write, path).is_none() {
            true => Err(Error::Sealed),
            false => Ok(()),
        }
    }

    /// Whether what is written to a path is read while it comes, and not held in memory.
    pub fn streams(&self, path: &str) -> bool {
        sys::snapshot::restores(path).is_some()
    }

    /// Whether a request begins the store from a snapshot, and whether by force. As of an init, no
    /// token is asked for: there is none, and nothing that could be lost.
    fn begins_with(&self, op: Op, path: &str) -> Option<bool> {
        let restores = sys::snapshot::restores(path).filter(|_| op == Op::Write);
        restores.filter(|_| matches!(*self.state(), State::Uninit))
    }

    /// The seal's own calls, which work in every state and without a token.
    async fn door(self: &Arc<Self>, request: &Request) -> Option<Result<Reply, Error>> {
        let path = request.path.strip_prefix("sys/")?;
        let doors = Doors(self.clone());
        let found = match doors.find(request.op, path) {
            Ok(found) => found,
            // A door that is asked in another way is still one, in every state.
            Err(Error::Unsupported(reason @ UnsupportedReason::Operation)) => {
                return Some(Err(Error::Unsupported(reason)));
            }
            Err(_) => return None,
        };
        let admitted = Admitted::door(&found)?;
        let call = Call {
            full_path: &request.path,
            remote: request.remote.map(|remote| remote.ip()),
            ..Call::new(
                request.op,
                path,
                found.params.clone(),
                &request.body,
                self.clock().now(),
            )
        };
        Some(doors.run(admitted, &found, &call).await)
    }
}

/// An unsealed vault's part.
pub(crate) async fn serve(
    core: &Arc<Core>,
    vault: &Arc<Unsealed>,
    request: Request,
    mut caller: Caller,
) -> Result<Reply, Error> {
    let now = vault.clock.now();
    let (mount, below) = match vault.mounts.route(&request.path) {
        Some((mount, below)) => (Some(mount), below),
        None => (None, ""),
    };
    let engine = mount.as_deref().map(|mount| engine(core, vault, mount));
    let found = match &engine {
        Some(engine) => engine.find(request.op, below),
        None => Err(Error::NoHandler(request.path.clone())),
    };
    let creates = match (&engine, &found) {
        (Some(engine), Ok(found)) if found.may_create && caller.token.is_some() => {
            let place = (below, mount.as_deref().map(|m| &m.record));
            let call = call(&request, place, found, &caller, false, now);
            engine.exists(found, &call).await.map(|exists| !exists)
        }
        _ => Ok(false),
    };
    let (creates, verdict) = match creates {
        Ok(creates) => {
            let place = mount.as_deref().zip(engine.as_deref());
            let meant = place.and_then(|(mount, engine)| {
                let meant = engine.meant(below)?;
                Some(meant.below(&mount.record.path))
            });
            let meant = meant.as_ref();
            let verdict = match wrapping::check(vault, &request, &caller).await {
                Ok(()) => authorize::check(vault, &request, &caller, &found, creates, meant).await,
                Err(error) => Err(error),
            };
            (creates, verdict)
        }
        Err(error) => (false, Err(error)),
    };
    let record = mount.as_deref().map(|m| &m.record);
    let request = &request;
    let entry = vault.audit.entry(&Parts {
        request,
        caller: &caller,
        mount: record,
        creates,
        allowed: verdict.is_ok(),
    });
    let (admitted, extent) = match verdict {
        Ok((authorized, extent)) => {
            let admitted = vault.audit.admit(authorized, entry.as_ref(), now).await?;
            (admitted, extent)
        }
        Err(error) => {
            vault.audit.refuse(entry.as_ref(), now, &error).await?;
            return Err(error);
        }
    };
    caller.sudo = extent.sudo;
    caller.page_limit = extent.page_limit;
    caller.acl = extent.acl;
    let open = is_open(&found);
    let used = if open {
        Ok(None)
    } else {
        take_use(vault, &mut caller).await
    };
    let (spent, result) = match (used, &engine, found) {
        (Err(error), ..) => (None, Err(error)),
        (Ok(spent), engine, _) if request.op == Op::Help => {
            let place = mount.as_deref().zip(engine.as_deref());
            (spent, help(core, place, &request.path, below))
        }
        (Ok(spent), Some(engine), Ok(found)) => {
            let call = call(request, (below, record), &found, &caller, creates, now);
            let name = match found.access {
                Access::Open => engine.attempt(&call),
                _ => None,
            };
            let work = engine.run(admitted, &found, &call);
            let answer = lockout::guarded(vault, record, name, work).await;
            let answer = match extent.keys {
                Some(shown) => answer.and_then(|answer| shown.only(answer)),
                None => answer,
            };
            (spent, completed(vault, record, request, answer).await)
        }
        (Ok(spent), _, Err(error)) => (spent, Err(error)),
        (Ok(spent), None, Ok(_)) => (spent, Err(Error::Bug("a route without an engine"))),
    };
    let result = match result {
        Ok(reply) => wrapping::wrapped(vault, request, reply).await,
        Err(error) => Err(error),
    };
    let outcome = match &result {
        Ok(reply) => Outcome::Done(reply),
        Err(error) => Outcome::Failed(error),
    };
    let now = vault.clock.now();
    let recorded = vault.audit.answered(entry.as_ref(), now, &outcome).await;
    // Where a snapshot was restored the token is gone with all others of before.
    if let Some(hash) = spent.filter(|_| !vault.is_replaced()) {
        Box::pin(vault.tokens.revoke(&hash)).await?;
    }
    recorded?;
    result
}

impl Unsealed {
    /// Who presents the token. A wrong or dead one is nobody, which only open routes take; so is
    /// one from an address that it is not bound to, and one whose entity is disabled or gone.
    async fn identify(&self, request: &mut Request) -> Result<Caller, Error> {
        let Some(text) = request.token.take() else {
            return Ok(Caller::anonymous());
        };
        let token = self.tokens.find(text.expose(), self.clock.now()).await?;
        let remote = request.remote.map(|remote| remote.ip());
        let (token, identity) = match token.filter(|token| token.admits(remote)) {
            Some(token) => match self.identity.of_token(&token).await {
                Ok(identity) => (Some(token), identity),
                Err(Error::NoToken) => (None, None),
                Err(error) => return Err(error),
            },
            None => (None, None),
        };
        Ok(Caller {
            token,
            identity,
            text: Some(text),
            ..Caller::anonymous()
        })
    }
}

/// Takes one use of a limited token; says which token has none left after this request.
async fn take_use(
    vault: &Unsealed,
    caller: &mut Caller,
) -> Result<Option<crate::tokens::Hash>, Error> {
    // The one use of a wrapping token is that its answer is taken out, which ends it.
    let limited = |token: &&Arc<Token>| token.num_uses > 0 && !token.is_wrapping();
    let Some(token) = caller.token.as_ref().filter(limited) else {
        return Ok(None);
    };
    let Some(left) = Box::pin(vault.tokens.spend(token)).await? else {
        return Ok(None);
    };
    let last = left.spent.then(|| left.hash.clone());
    caller.token = Some(left);
    Ok(last)
}

/// What the pipeline adds to an engine's answer: the token of a login, what the mount has to do with
/// times, and what the entity of a token adds to its policies.
async fn completed(
    vault: &Arc<Unsealed>,
    mount: Option<&MountRecord>,
    request: &Request,
    answer: Result<Reply, Error>,
) -> Result<Reply, Error> {
    let mut answer = match (answer?, mount) {
        (answer, Some(mount)) if answer.login.is_some() => {
            Box::pin(login::grant(vault, mount, request, answer)).await?
        }
        (mut answer, Some(mount)) if answer.default_lease => {
            let limits = vault.mounts.limits(&mount.path, &vault.settings);
            answer.lease_duration = limits.default_ttl;
            answer
        }
        (mut answer, Some(mount)) if answer.max_ttl.is_some() => {
            let limits = vault.mounts.limits(&mount.path, &vault.settings);
            let told = answer.max_ttl.and_then(|max| limits.truncates(max));
            answer.warnings.extend(told);
            answer
        }
        (answer, _) => answer,
    };
    if let Some(auth) = answer.auth.as_mut().filter(|a| !a.entity_id.is_empty())
        && let Some(standing) = Box::pin(vault.identity.standing(&auth.entity_id)).await?
        && !standing.policies.is_empty()
    {
        auth.policies = standing.with(&auth.token_policies);
        auth.identity_policies.clone_from(&standing.policies);
    }
    Ok(answer)
}

fn call<'a>(
    request: &'a Request,
    (below, mount): (&'a str, Option<&'a MountRecord>),
    found: &Found<'a>,
    caller: &'a Caller,
    creates: bool,
    now: crate::clock::Time,
) -> Call<'a> {
    Call {
        full_path: &request.path,
        caller,
        creates,
        remote: request.remote.map(|remote| remote.ip()),
        wrap_ttl: request.wrap_ttl,
        mount,
        ..Call::new(request.op, below, found.params.clone(), &request.body, now)
    }
}

/// Who answers below a mount.
pub(crate) fn engine(core: &Arc<Core>, vault: &Arc<Unsealed>, mount: &Mount) -> Arc<dyn Dispatch> {
    match &mount.target {
        Target::System => Arc::new(System {
            core: core.clone(),
            vault: vault.clone(),
        }),
        Target::Token => Arc::new(TokenAuth(vault.clone())),
        Target::Identity => Arc::new(IdentityStore(vault.clone())),
        Target::Cubbyhole => Arc::new(Cubbyhole(vault.clone())),
        Target::Engine { engine, .. } => engine.clone(),
    }
}

/// What is demanded for a path.
#[derive(Default)]
pub(crate) struct Demand {
    /// By its route; `None` where nothing serves it.
    pub access: Option<Access>,
    /// The right to this path too.
    pub meant: Option<Meant>,
}

/// What is demanded for a path.
pub(crate) fn demand(core: &Arc<Core>, vault: &Arc<Unsealed>, op: Op, path: &str) -> Demand {
    if let Some(below) = path.strip_prefix("sys/")
        && let Ok(door) = Doors(core.clone()).find(op, below)
    {
        return Demand {
            access: Some(door.access),
            meant: None,
        };
    }
    let Some((mount, below)) = vault.mounts.route(path) else {
        return Demand::default();
    };
    let engine = engine(core, vault, &mount);
    Demand {
        access: engine.find(op, below).ok().map(|found| found.access),
        meant: engine
            .meant(below)
            .map(|meant| meant.below(&mount.record.path)),
    }
}

/// What a path is for.
fn help(
    core: &Core,
    place: Option<(&Mount, &dyn Dispatch)>,
    path: &str,
    below: &str,
) -> Result<Reply, Error> {
    #[derive(serde::Serialize)]
    struct Help {
        help: String,
        see_also: Option<String>,
        openapi: serde_json::Value,
    }
    let (mount, engine) = place.ok_or_else(|| Error::NoHandler(path.to_owned()))?;
    let rows = engine.help(below);
    if rows.is_empty() {
        return Err(Error::Unsupported(UnsupportedReason::Path));
    }
    let help = rows.iter().fold(String::new(), |text, row| {
        let verb = format!("{:?}", row.op).to_uppercase();
        format!(
            "{text}{verb:<7} {}{}\n        {}\n",
            mount.record.path, row.pattern, row.help
        )
    });
    Reply::bare(&Help {
        help,
        see_also: None,
        openapi: sys::openapi::of_rows(core, &mount.record.path, rows),
    })
}

/// Routes that demand nothing, and those that are asked in a way that they do not have.
fn is_open(found: &Result<Found<'_>, Error>) -> bool {
    match found {
        Ok(found) => matches!(found.access, Access::Open | Access::Door),
        Err(error) => matches!(error, Error::Unsupported(UnsupportedReason::OpenOperation)),
    }
}
