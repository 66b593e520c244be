//! What answers in every state of the seal, without a token and mostly bare of the envelope.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_api::weak;
use keyfold_keys::Share;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::lifecycle::{Core, Initialized, Shares, State};
use crate::openpgp::{self, Recipient};
use crate::ports::engine::{Call, Engine, Route};
use crate::reply::Reply;
use crate::request::Op;

/// The seal's own calls.
pub struct Doors(pub Arc<Core>);

/// Longest share: 32 bytes and the x.
const SHARE_MAX: usize = 33;
const SHARE_MIN: usize = 16;

impl Engine for Doors {
    fn routes() -> &'static [Route<Self>] {
        type Row = Route<Doors>;
        static ROUTES: &[Row] = &[
            Row::new(Op::Read, "init", "Whether the store has begun.", |d, _| {
                Box::pin(d.initialized())
            })
            .door(),
            Row::new(Op::Write, "init", "Begins the store.", |d, c| {
                Box::pin(d.init(c))
            })
            .door(),
            Row::new(Op::Read, "seal-status", "The state of the seal.", |d, _| {
                Box::pin(d.seal_status())
            })
            .door(),
            Row::new(Op::Write, "unseal", "Gives a share.", |d, c| {
                Box::pin(d.unseal(c))
            })
            .door(),
            Row::new(
                Op::Read,
                "share-check",
                "What a share is checked with.",
                |d, _| Box::pin(d.share_terms()),
            )
            .door(),
            Row::new(
                Op::Write,
                "share-check",
                "Whether a share is one of today's, by its check.",
                |d, c| Box::pin(d.share_check(c)),
            )
            .door(),
            Row::new(
                Op::Read,
                "seal-backend-status",
                "Whether the seals work.",
                |d, _| Box::pin(d.seal_backends()),
            )
            .door(),
            Row::new(Op::Read, "health", "For load balancers.", |d, c| {
                Box::pin(d.health(c))
            })
            .door(),
            Row::new(Op::Read, "leader", "Who is active.", |d, _| {
                Box::pin(d.leader())
            })
            .door(),
        ];
        ROUTES
    }
}

impl Doors {
    /// Whether a path is a door, whatever is asked of it.
    pub(crate) fn has(path: &str) -> bool {
        let below = path.strip_prefix("sys/");
        below.is_some_and(|below| Self::routes().iter().any(|row| row.pattern == below))
    }
}

#[derive(Deserialize)]
struct Init {
    #[serde(default)]
    secret_shares: Option<i64>,
    #[serde(default)]
    secret_threshold: Option<i64>,
    #[serde(default, deserialize_with = "weak::list")]
    pgp_keys: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::string")]
    root_token_pgp_key: Option<String>,
    #[serde(default)]
    recovery_shares: Option<i64>,
    #[serde(default)]
    recovery_threshold: Option<i64>,
    #[serde(default, deserialize_with = "weak::list")]
    recovery_pgp_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Unseal {
    #[serde(default, alias = "Key")]
    key: Option<Secret<String>>,
    #[serde(default, alias = "Reset")]
    reset: Option<bool>,
    #[serde(default, alias = "Migrate")]
    migrate: Option<bool>,
}

#[derive(Serialize)]
struct InitReply<'a> {
    keys: Vec<String>,
    keys_base64: Vec<String>,
    /// Shares beside a seal, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_keys_base64: Option<Vec<String>>,
    root_token: &'a str,
}

#[derive(Serialize)]
struct IsInitialized {
    initialized: bool,
}

#[derive(Serialize)]
struct Leader<'a> {
    ha_enabled: bool,
    is_self: bool,
    leader_address: &'a str,
    leader_cluster_address: &'a str,
}

impl Doors {
    async fn initialized(&self) -> Result<Reply, Error> {
        let initialized = !matches!(*self.0.state(), State::Uninit);
        Reply::bare(&IsInitialized { initialized })
    }

    async fn init(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = decode::<Init>(call)?;
        if !matches!(*self.0.state(), State::Uninit) {
            return Err(Error::bad("Vault is already initialized"));
        }
        // Every input is checked before anything is made.
        let kind = self.0.seal_kind();
        let secret = (asked.secret_shares, asked.secret_threshold);
        let recovery = (asked.recovery_shares, asked.recovery_threshold);
        let by_machine = kind != "shamir";
        let (wanted, idle, idle_names) = match by_machine {
            false => (secret, recovery, "recovery_shares,recovery_threshold"),
            true => (recovery, secret, "secret_shares,secret_threshold"),
        };
        if idle.0.unwrap_or(0) != 0 || idle.1.unwrap_or(0) != 0 {
            return Err(Error::bad(format!(
                "parameters {idle_names} not applicable to seal type {kind}"
            )));
        }
        let (shares, threshold) = (wanted.0.unwrap_or(0), wanted.1.unwrap_or(0));
        let split = match by_machine {
            false => Some(Shares::new(shares, threshold)?),
            true => Shares::recovery(shares, threshold)?,
        };
        let (keys, idle, idle_name) = match by_machine {
            false => (asked.pgp_keys, asked.recovery_pgp_keys, "recovery_pgp_keys"),
            true => (asked.recovery_pgp_keys, asked.pgp_keys, "pgp_keys"),
        };
        if idle.is_some_and(|keys| !keys.is_empty()) {
            return Err(Error::bad(format!(
                "parameters {idle_name} not applicable to seal type {kind}"
            )));
        }
        let count = split.map_or(0, |split| split.shares);
        let of = if by_machine { "recovery" } else { "seal" };
        let recipients = Recipient::parse_all(keys, count, of, call.now)?;
        let for_token = asked.root_token_pgp_key.filter(|key| !key.is_empty());
        let for_token = for_token.map(|key| Recipient::parse(&key, call.now));
        let for_token = for_token.transpose()?;
        let Initialized { shares, root_token } = self.0.init(split, None).await?;
        let told = openpgp::told(&shares, &recipients)?;
        let hexed = told.iter().map(|s| hex::encode(s.expose())).collect();
        let base64 = told.iter().map(|s| STANDARD.encode(s.expose())).collect();
        let root_token = match for_token {
            None => root_token,
            Some(recipient) => {
                let text = Secret::new(root_token.expose().clone().into_bytes());
                Secret::new(STANDARD.encode(recipient.seal(&text)?))
            }
        };
        let root_token = root_token.expose();
        Reply::bare(&match by_machine {
            false => InitReply {
                keys: hexed,
                keys_base64: base64,
                recovery_keys: None,
                recovery_keys_base64: None,
                root_token,
            },
            true => InitReply {
                keys: Vec::new(),
                keys_base64: Vec::new(),
                recovery_keys: split.map(|_| hexed),
                recovery_keys_base64: split.map(|_| base64),
                root_token,
            },
        })
    }

    async fn seal_status(&self) -> Result<Reply, Error> {
        Reply::bare(&self.0.seal_status().await?)
    }

    async fn unseal(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = decode::<Unseal>(call)?;
        if matches!(*self.0.state(), State::Uninit) {
            return Err(Error::bad("Vault is not initialized"));
        }
        if asked.migrate == Some(true) && !self.0.seals.is_unsettled() {
            return Err(Error::bad(
                "can't perform a seal migration, no migration seal found",
            ));
        }
        if asked.reset == Some(true) {
            self.0.reset_unseal()?;
            return self.seal_status().await;
        }
        let Some(key) = asked.key.filter(|k| !k.expose().is_empty()) else {
            return Err(Error::bad(
                "'key' must be specified in request body as JSON, or 'reset' set to true",
            ));
        };
        self.0.unseal(share(key.expose())?).await?;
        self.seal_status().await
    }

    async fn leader(&self) -> Result<Reply, Error> {
        Reply::bare(&Leader {
            ha_enabled: self.0.storage().nodes().is_some(),
            // As `sys/health`: one that has lost touch with its storage answers nothing.
            is_self: !self.0.is_sealed() && self.0.is_fresh(),
            leader_address: &self.0.settings().api_addr,
            leader_cluster_address: "",
        })
    }
}

/// These bodies are typed strictly, and say so in words that clients know.
fn decode<T: serde::de::DeserializeOwned>(call: &Call<'_>) -> Result<T, Error> {
    match call.decode::<T>() {
        Err(Error::BadRequest(text)) => {
            Err(Error::bad(format!("failed to decode JSON input: {text}")))
        }
        decoded => decoded,
    }
}

/// A share as hex or base64.
pub(super) fn share(text: &str) -> Result<Share, Error> {
    let not_a_share = || Error::bad("'key' must be a valid hex or base64 string");
    let fits = |bytes: &Secret<Vec<u8>>| bytes.expose().len() >= SHARE_MIN;
    let hexed = hex::decode(text).ok().map(Secret::new);
    let based = STANDARD.decode(text).ok().map(Secret::new);
    if hexed.is_none() && based.is_none() {
        return Err(not_a_share());
    }
    // Some texts are both: then it is what has the length of a share.
    let mut read = [hexed, based].into_iter().flatten();
    let Some(bytes) = read.find(fits) else {
        return Err(Error::bad(format!(
            "invalid key: key is shorter than minimum {SHARE_MIN} bytes: a part of it is missing"
        )));
    };
    if bytes.expose().len() > SHARE_MAX {
        return Err(Error::bad(format!(
            "invalid key: key is longer than maximum {SHARE_MAX} bytes"
        )));
    }
    Share::from_bytes(bytes.expose()).map_err(|_| not_a_share())
}
