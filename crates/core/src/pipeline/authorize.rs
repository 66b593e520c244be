//! The policy check, and the proof that it was passed.

use std::sync::Arc;

use super::listing::KeysShown;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::policy::{Acl, Denial, Grant, JsonParams, Operation, ParamSource};
use crate::ports::engine::{Access, Call, Found, Meant};
use crate::request::{Op, Request};
use crate::tokens::Caller;

/// Proof that the request's token may do it, or that the route asks for none. Made here only.
pub struct Authorized(());

impl Authorized {
    /// What the server does by itself asks nobody.
    pub(super) const fn own() -> Self {
        Self(())
    }
}

/// What the deciding rule grants besides.
#[derive(Clone, Default)]
pub(super) struct Extent {
    /// `sudo`.
    pub sudo: bool,
    /// Entries that a list may have in one answer.
    pub page_limit: Option<usize>,
    /// Which keys a list may name.
    pub keys: Option<KeysShown>,
    /// All that the token's policies say.
    pub acl: Option<Arc<Acl>>,
}

/// Checks a request against the policies of its token. A path that no route serves is checked
/// too: who may not ask is not told that nothing is there. So is the path that is `meant` by one
/// that is spelt otherwise.
pub(super) async fn check(
    vault: &Unsealed,
    request: &Request,
    caller: &Caller,
    found: &Result<Found<'_>, Error>,
    creates: bool,
    meant: Option<&Meant>,
) -> Result<(Authorized, Extent), Error> {
    if super::is_open(found) {
        return Ok((Authorized(()), Extent::default()));
    }
    let token = caller.token()?;
    // Help tells no data: a valid token is all it takes.
    if request.op == Op::Help {
        return Ok((Authorized(()), Extent::default()));
    }
    let acl = vault.acl_with(token, caller.identity.as_deref()).await?;
    let question = Question {
        path: &request.path,
        operation: operation(request.op, creates),
        sudo: found.as_ref().is_ok_and(|f| f.access == Access::Sudo),
        params: &JsonParams(request.body.bytes()),
        meant,
    };
    let grant = question.put_to(&acl).map_err(|_| Error::Denied)?;
    if !grant.permits_wrapping(request.wrap_ttl) {
        return Err(Error::Denied);
    }
    let limit = grant.pagination_limit;
    let extent = Extent {
        sudo: grant.sudo,
        page_limit: limit.and_then(|limit| usize::try_from(limit).ok()),
        keys: KeysShown::new(&acl, grant.keys_filters, &request.path),
        acl: Some(acl),
    };
    Ok((Authorized(()), extent))
}

impl Call<'_> {
    /// Whether the caller may update another path of the mount, too, with the members of this call:
    /// for a call that acts on more than what its path names.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] where its policies do not allow that.
    pub fn may_update(&self, below: &str) -> Result<(), Error> {
        let (acl, mount) = match (&self.caller.acl, self.mount) {
            (Some(acl), Some(mount)) => (acl, mount),
            _ => return Err(Error::Denied),
        };
        let question = Question {
            path: &format!("{}{below}", mount.path),
            operation: Operation::Update,
            sudo: false,
            params: &JsonParams(self.body.bytes()),
            meant: None,
        };
        let grant = question.put_to(acl).map_err(|_| Error::Denied)?;
        match grant.permits_wrapping(self.wrap_ttl) {
            true => Ok(()),
            false => Err(Error::Denied),
        }
    }
}

/// What is asked of the policies of a token.
pub(crate) struct Question<'a> {
    /// Below `/v1/`.
    pub path: &'a str,
    /// To do what.
    pub operation: Operation,
    /// The route demands `sudo` besides.
    pub sudo: bool,
    /// With which parameters.
    pub params: &'a dyn ParamSource,
    /// The path that this one means.
    pub meant: Option<&'a Meant>,
}

/// Why it is not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The deciding rule, or that there is none.
    Rule(Denial),
    /// The rule would do, but for the `sudo` that the route demands.
    Sudo,
    /// The rule would do, but the path that is meant by this one is not permitted.
    Meant(Denial),
    /// The rule would do, but another denies what the path is called besides.
    Twin,
}

impl Question<'_> {
    /// The answer of a set of policies.
    pub(crate) fn put_to(&self, acl: &Acl) -> Result<Grant, Refusal> {
        let checked = acl.check(self.path, self.operation, self.params);
        let mut grant = checked.map_err(Refusal::Rule)?;
        if self.sudo && !grant.sudo {
            return Err(Refusal::Sudo);
        }
        if let Some(twin) = self.meant.and_then(|meant| meant.twin.as_deref())
            && acl.denies_by_name(twin, self.operation)
        {
            return Err(Refusal::Twin);
        }
        if let Some(meant) = self.meant
            && (meant.path != self.path || acl.has_capitals())
        {
            let other = self.of_meant(meant, acl).map_err(Refusal::Meant)?;
            if self.sudo && !other.sudo {
                return Err(Refusal::Meant(Denial::Capability));
            }
            grant.narrow(&other);
        }
        Ok(grant)
    }

    fn of_meant(&self, meant: &Meant, acl: &Acl) -> Result<Grant, Denial> {
        let (path, operation, params) = (&meant.path, self.operation, self.params);
        match meant.caseless {
            None => acl.check(path, operation, params),
            Some(before) => acl.check_caseless(path, before, operation, params),
        }
    }
}

fn operation(op: Op, creates: bool) -> Operation {
    match op {
        Op::Read | Op::Help => Operation::Read,
        Op::List => Operation::List,
        Op::Scan => Operation::Scan,
        Op::Write if creates => Operation::Create,
        Op::Write => Operation::Update,
        Op::Patch => Operation::Patch,
        Op::Delete => Operation::Delete,
    }
}
