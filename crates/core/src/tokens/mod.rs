//! Tokens: made, looked up, renewed, revoked with their whole tree.
//!
//! A service token's text is never stored. Its name in the store and in the cache is an HMAC of it, under
//! a key that is made at init and lies in the store like any record:
//!
//! ```text
//!   sys/token/hmac-key             32 bytes
//!   sys/token/id/<h>               the token's record
//!   sys/token/accessor/<h(acc)>    h
//!   sys/token/parent/<p>/<h>       child h of parent p
//!   sys/token/revoking/<h>         h is gone, what hangs from it has to go
//!   sys/token/ending/<uuid>        a path whose leases have to end
//!   sys/token/role/<name>          a token role
//!   sys/token/batch-key            32 bytes, which seal what batch tokens carry
//!   sys/lease/<path>/h<h>          which path made it
//!   sys/token/disowned/<uuid>      there are tokens whose auth method is gone
//!   sys/expire/<seconds>-<h>       when it ends, in order
//!   sys/cubbyhole/<h>/<path>       what it keeps for itself
//! ```

mod batch;
mod chain;
mod create;
mod cubbyhole;
mod disowned;
pub mod expiry;
mod lease;
mod life;
pub(crate) mod login;
mod pairs;
mod params;
mod prefix;
mod record;
mod reply;
mod revoke;
mod role;
mod routes;
mod store;
mod tidy;
mod wrapping;

use std::sync::Arc;

use keyfold_secret::Secret;

use crate::identity::Standing;
use crate::policy::Acl;

pub use self::create::NewToken;
pub(crate) use self::create::fresh;
pub(crate) use self::disowned::disowning;
pub use self::life::{Granted, Limits, Wish};
pub use self::pairs::Pairs;
pub use self::params::{
    TokenMembers, TokenParams, TokenType, admits, parse_cidr, parse_cidrs, show_cidrs,
};
pub use self::record::{Hash, Kind, Token};
pub(crate) use self::role::Role;
pub use self::routes::TokenAuth;
pub use self::store::Tokens;
pub use self::wrapping::{NewWrapping, RESPONSE};

/// Whose request it is.
pub struct Caller {
    /// The token, for a call that came with a valid one.
    pub token: Option<Arc<Token>>,
    /// The entity that the token acts for.
    pub identity: Option<Arc<Standing>>,
    /// Its text as it was presented.
    pub text: Option<Secret<String>>,
    /// The deciding policy rule grants `sudo`.
    pub sudo: bool,
    /// The deciding policy rule lets a list have this many entries in one answer.
    pub page_limit: Option<usize>,
    /// What the policy check read, for [`Call::may_update`](crate::ports::engine::Call::may_update).
    pub acl: Option<Arc<Acl>>,
}

impl Caller {
    /// Nobody.
    pub const fn anonymous() -> Self {
        Self {
            token: None,
            identity: None,
            text: None,
            sudo: false,
            page_limit: None,
            acl: None,
        }
    }

    /// The token of a call that a route with [`crate::ports::engine::Access::Token`] got.
    pub fn token(&self) -> Result<&Arc<Token>, crate::Error> {
        self.token.as_ref().ok_or(crate::Error::NoToken)
    }
}
