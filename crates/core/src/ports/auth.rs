//! An auth method: an engine below `auth/` that finds out who somebody is.
//!
//! ```text
//!   auth/people/login/ann ──► engine: Reply::login(Login) ──► pipeline: identity, limits, token
//! ```
//!
//! A method is an [`Engine`](super::engine::Engine) like any other: its configuration and its roles
//! are routes. A login route is [`open`](super::engine::Route::open) and answers with a [`Login`];
//! the token is made by the pipeline, in one place for all methods. When such a token is to be
//! renewed, [`Engine::renew`](super::engine::Engine::renew) says what it may have by now.

use std::collections::BTreeMap;

use crate::tokens::TokenParams;

/// A page of the roles or users of a method: their names, and what a login by them gets.
#[derive(Default)]
pub struct Grants {
    /// In the order of the store.
    pub grants: Vec<(String, TokenParams)>,
    /// The name to go on after, where there are more.
    pub next: Option<String>,
}

/// Who has logged in, and what they get.
pub struct Login {
    /// What the method calls them: the name of the entity's alias. Empty: nobody in particular.
    pub alias: String,
    /// What is known of the alias, for templated policies.
    pub alias_metadata: BTreeMap<String, String>,
    /// Names of external groups that the method says they belong to.
    pub groups: Vec<String>,
    /// Behind the mount's name in the token's `display_name`; empty: the mount's name alone.
    pub display_name: String,
    /// Shown as the token's `metadata`.
    pub metadata: BTreeMap<String, String>,
    /// What the method needs when the token is to be renewed; stored, never shown.
    pub internal: BTreeMap<String, String>,
    /// What the role or the user grants.
    pub params: TokenParams,
}
