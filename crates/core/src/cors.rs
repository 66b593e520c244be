//! Which web pages of other origins may call: `sys/config/cors`, and the answer to each request
//! that names an origin.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::barrier::View;
use crate::error::Error;
use crate::kept::Kept;
use crate::lifecycle::Core;

const KEY: &str = "config/cors";
/// Request headers that are always allowed: those that clients of this API send.
pub(crate) const HEADERS: [&str; 10] = [
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-Policy-Override",
];

/// The settings; by default no page of another origin is answered in a special way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// It is turned on.
    pub enabled: bool,
    /// Origins, or `*` alone.
    pub allowed_origins: Vec<String>,
    /// Request headers, the usual ones among them.
    pub allowed_headers: Vec<String>,
    /// The browser may send its cookies and certificates along.
    pub allow_credentials: bool,
}

/// How an origin is to be answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Origin {
    /// The settings are off: as if it had named none.
    Ignored,
    /// It may read the answer.
    Allowed(Arc<Cors>),
    /// It gets none.
    Refused,
}

impl Cors {
    /// Every origin may call.
    pub fn allows_all(&self) -> bool {
        self.allowed_origins == ["*"]
    }
}

pub(crate) fn kept(view: View) -> Kept<Cors> {
    Kept::new(view, KEY)
}

impl Core {
    /// What is to be told to a page of an origin. A sealed vault has no settings.
    pub async fn origin(&self, origin: &str) -> Result<Origin, Error> {
        let Ok(vault) = self.unsealed() else {
            return Ok(Origin::Ignored);
        };
        let cors = vault.cors.current().await?;
        if !cors.enabled {
            return Ok(Origin::Ignored);
        }
        let known = |allowed: &String| allowed.eq_ignore_ascii_case(origin);
        Ok(
            match cors.allows_all() || cors.allowed_origins.iter().any(known) {
                true => Origin::Allowed(cors),
                false => Origin::Refused,
            },
        )
    }
}
