//! PKCS#11, for the seal and for managed keys: libraries, tokens, sessions and what they say.
//!
//! ```text
//!   Library (one for each path, for the life of the process)
//!     └─ at work: anybody with an Open ── alone: who ends it, or tries another PIN
//!          └─ Started: logins by slot, sessions that wait for the next use
//! ```

mod call;
mod fault;
mod hash;
mod library;
mod object;
mod place;
mod token;

pub(crate) use self::call::{NONCE_LEN, TAG_LEN, gcm, oaep};
pub(crate) use self::fault::{Fault, of, of_decryption, of_input};
pub(crate) use self::hash::Hash;
pub(crate) use self::library::Library;
pub(crate) use self::object::Named;
pub(crate) use self::place::{Place, number};
pub(crate) use self::token::Open;
