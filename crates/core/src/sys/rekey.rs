//! `sys/rekey` and `sys/rekey-recovery-key`, for whoever holds shares; `sys/rotate/root` and
//! `sys/rotate/recovery`, the same with a token besides.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::insider::{self, Cancel, Give};
use super::{Row, System};
use crate::error::Error;
use crate::lifecycle::{
    Backup, Family, Insider, NewShares, RekeyStatus, Rekeyed, Terms, Verification, Verified,
};
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::Op;

/// The rows of a family. A row's handler is a plain function, so each family has its own.
macro_rules! family {
    ($family:expr, $base:literal) => {
        [
            Row::new(
                Op::Read,
                concat!($base, "/init"),
                "How far new shares are.",
                |s, c| Box::pin(s.rekey_read(c, $family)),
            ),
            Row::new(
                Op::Write,
                concat!($base, "/init"),
                "Asks for new shares.",
                |s, c| Box::pin(s.rekey_begin(c, $family)),
            ),
            Row::new(
                Op::Delete,
                concat!($base, "/init"),
                "Asks for them no more.",
                |s, c| Box::pin(s.rekey_cancel(c, $family)),
            ),
            Row::new(
                Op::Write,
                concat!($base, "/update"),
                "Gives a share for new shares.",
                |s, c| Box::pin(s.rekey_give(c, $family)),
            ),
            Row::new(
                Op::Read,
                concat!($base, "/verify"),
                "How far the new shares are shown.",
                |s, c| Box::pin(s.rekey_verify_read(c, $family)),
            ),
            Row::new(
                Op::Write,
                concat!($base, "/verify"),
                "Shows one of the new shares.",
                |s, c| Box::pin(s.rekey_verify(c, $family)),
            ),
            Row::new(
                Op::Delete,
                concat!($base, "/verify"),
                "Begins to show them anew.",
                |s, c| Box::pin(s.rekey_verify_restart(c, $family)),
            ),
        ]
    };
}

pub(super) fn rows() -> Vec<Row> {
    let open = [
        family!(Family::Rekey, "rekey"),
        family!(Family::RekeyRecovery, "rekey-recovery-key"),
    ];
    let with_token = [
        family!(Family::RotateRoot, "rotate/root"),
        family!(Family::RotateRecovery, "rotate/recovery"),
    ];
    let root = Row::new(
        Op::Write,
        "rotate/root",
        "A new root key, by the seals alone.",
        |s, _| Box::pin(s.rotate_root()),
    );
    let open = open.into_iter().flatten().map(Row::open);
    let rows = open.chain(with_token.into_iter().flatten());
    rows.chain([root.sudo()]).chain(backup_rows()).collect()
}

/// Backups need a token in all families: a store has one set of shares, so it has one backup.
fn backup_rows() -> impl Iterator<Item = Row> {
    let paths = [
        "rekey/backup",
        "rekey/recovery-key-backup",
        "rotate/root/backup",
        "rotate/recovery/backup",
    ];
    paths.into_iter().flat_map(|path| {
        [
            Row::new(Op::Read, path, "The kept shares, encrypted.", |s, _| {
                Box::pin(s.shares_backup())
            })
            .sudo(),
            Row::new(Op::Delete, path, "Keeps them no more.", |s, _| {
                Box::pin(s.drop_shares_backup())
            })
            .sudo(),
        ]
    })
}

#[derive(Deserialize)]
struct Begin {
    #[serde(default, deserialize_with = "weak::int")]
    secret_shares: Option<i64>,
    #[serde(default, deserialize_with = "weak::int")]
    secret_threshold: Option<i64>,
    #[serde(default, deserialize_with = "weak::list")]
    pgp_keys: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::boolean")]
    backup: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    require_verification: Option<bool>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    started: bool,
    t: u8,
    n: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<usize>,
    required: u8,
    /// Null where there are none; the calls with a token leave it out then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pgp_fingerprints: Option<Option<&'a [String]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_nonce: Option<&'a str>,
}

#[derive(Serialize)]
struct Complete<'a> {
    nonce: &'a str,
    complete: bool,
    keys: Vec<String>,
    keys_base64: Vec<String>,
    pgp_fingerprints: Option<&'a [String]>,
    backup: bool,
    verification_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_nonce: Option<&'a str>,
}

#[derive(Serialize)]
struct Showing<'a> {
    nonce: &'a str,
    started: bool,
    t: u8,
    n: u8,
    progress: usize,
}

#[derive(Serialize)]
struct Shown<'a> {
    nonce: &'a str,
    complete: bool,
}

#[derive(Serialize)]
struct Kept<'a> {
    nonce: &'a str,
    keys: &'a BTreeMap<String, Vec<String>>,
    keys_base64: BTreeMap<&'a String, Vec<String>>,
}

fn answer<T: Serialize>(family: Family, value: &T) -> Result<Reply, Error> {
    match family.has_token() {
        true => Reply::data(value),
        false => Reply::bare(value),
    }
}

fn status(family: Family, status: &RekeyStatus) -> Result<Reply, Error> {
    let open = !family.has_token();
    let started = !status.nonce.is_empty() || status.split.0 > 0;
    let told = open || started;
    let verification = status.verification_nonce.as_deref();
    let names = status.fingerprints.as_deref();
    answer(
        family,
        &Status {
            nonce: told.then_some(&status.nonce),
            started,
            t: status.split.1,
            n: status.split.0,
            progress: told.then_some(status.progress),
            required: status.required,
            pgp_fingerprints: (open || names.is_some()).then_some(names),
            backup: (open || names.is_some()).then_some(status.backup),
            verification_required: told.then_some(status.verify),
            verification_nonce: match open {
                true => verification,
                false => started.then_some(verification.unwrap_or_default()),
            },
        },
    )
}

fn complete(family: Family, made: &NewShares) -> Result<Reply, Error> {
    let verification = made.verification_nonce.as_deref();
    let shares = || made.shares.iter().map(|share| share.expose());
    answer(
        family,
        &Complete {
            nonce: &made.nonce,
            complete: true,
            keys: shares().map(hex::encode).collect(),
            keys_base64: shares().map(|share| STANDARD.encode(share)).collect(),
            pgp_fingerprints: made.fingerprints.as_deref(),
            backup: made.backup,
            verification_required: verification.is_some(),
            verification_nonce: match family.has_token() {
                true => Some(verification.unwrap_or_default()),
                false => verification,
            },
        },
    )
}

fn showing(family: Family, verification: &Verification) -> Result<Reply, Error> {
    answer(
        family,
        &Showing {
            nonce: &verification.nonce,
            started: true,
            t: verification.split.1,
            n: verification.split.0,
            progress: verification.progress,
        },
    )
}

impl System {
    async fn rekey_read(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        family.check(&self.core.seals)?;
        let mut told = self.vault.rekey_status(family).await;
        if !self.is_insider(call, family).await? {
            told.nonce.clear();
            told.verification_nonce = None;
        }
        status(family, &told)
    }

    async fn rekey_begin(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        let asked = call.decode::<Begin>()?;
        family.check(&self.core.seals)?;
        let numbers = (
            asked.secret_shares.unwrap_or(0),
            asked.secret_threshold.unwrap_or(0),
        );
        let verify = asked.require_verification.unwrap_or(false);
        let keys = (asked.pgp_keys, asked.backup.unwrap_or(false));
        let terms = Terms::new(family, numbers, verify, keys, call.now)?;
        self.rekeyed(family, self.vault.rekey_begin(terms).await?)
    }

    async fn rekey_give(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        let (key, nonce) = given(call, family)?;
        let share = super::doors::share(key.expose())?;
        let went = self.vault.rekey_give(family, share, &nonce).await?;
        self.rekeyed(family, went)
    }

    fn rekeyed(&self, family: Family, went: Rekeyed) -> Result<Reply, Error> {
        match went {
            Rekeyed::More(told) => status(family, &told),
            Rekeyed::Done(made) => {
                let told = made.unsettled.map(|stored| self.vault.once_told(stored));
                let reply = Reply {
                    after: told,
                    ..complete(family, &made)?
                };
                Ok(remarked(reply, &made.away))
            }
        }
    }

    async fn rekey_cancel(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        let asked = call.decode::<Cancel>()?;
        let insider = self.insider(call, family, asked.nonce.as_deref()).await?;
        self.vault.rekey_cancel(family, insider).await?;
        Ok(Reply::none())
    }

    async fn rekey_verify_read(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        let mut told = self.vault.verify_status(family).await?;
        if !self.is_insider(call, family).await? {
            told.nonce.clear();
        }
        showing(family, &told)
    }

    async fn rekey_verify(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        let (key, nonce) = given(call, family)?;
        let share = super::doors::share(key.expose())?;
        match self.vault.verify_give(family, share, &nonce).await? {
            Verified::More(told) => showing(family, &told),
            Verified::Done { nonce, away } => {
                let shown = Shown {
                    nonce: &nonce,
                    complete: true,
                };
                Ok(remarked(answer(family, &shown)?, &away))
            }
        }
    }

    async fn rekey_verify_restart(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        let asked = call.decode::<Cancel>()?;
        let insider = self.insider(call, family, asked.nonce.as_deref()).await?;
        let told = self.vault.verify_restart(family, insider).await?;
        showing(family, &told)
    }

    async fn shares_backup(&self) -> Result<Reply, Error> {
        let Backup { nonce, keys } = self.vault.shares_backup().await?;
        let base64 = |text: &String| Some(STANDARD.encode(hex::decode(text).ok()?));
        let again = |texts: &Vec<String>| texts.iter().filter_map(base64).collect();
        let keys_base64 = keys.iter().map(|(name, texts)| (name, again(texts)));
        Reply::injected(&Kept {
            nonce: &nonce,
            keys: &keys,
            keys_base64: keys_base64.collect(),
        })
    }

    async fn drop_shares_backup(&self) -> Result<Reply, Error> {
        self.vault.drop_shares_backup().await?;
        Ok(Reply::none())
    }

    async fn rotate_root(&self) -> Result<Reply, Error> {
        let away = self.vault.rotate_root().await?;
        Ok(remarked(Reply::none(), &away))
    }

    async fn is_insider(&self, call: &Call<'_>, family: Family) -> Result<bool, Error> {
        Ok(family.has_token() || insider::permits(&self.vault, call).await?)
    }

    async fn insider<'a>(
        &self,
        call: &Call<'_>,
        family: Family,
        nonce: Option<&'a str>,
    ) -> Result<Insider<'a>, Error> {
        match family.has_token() {
            true => Ok(Insider::Token),
            false => insider::of(&self.vault, call, nonce).await,
        }
    }
}

/// Tells of seals that were away while the root key was rotated.
fn remarked(reply: Reply, away: &[String]) -> Reply {
    away.iter().fold(reply, |reply, name| {
        reply.warn(format!(
            "seal {name} is away: its wrap went with the old root key, so it does not open the \
             store until it works again and has a new one"
        ))
    })
}

/// A share and the nonce that comes with it.
fn given(call: &Call<'_>, family: Family) -> Result<(Secret<String>, String), Error> {
    let asked = call.decode::<Give>()?;
    let key = asked.key.filter(|key| !key.expose().is_empty());
    let nonce = asked.nonce.filter(|nonce| !nonce.is_empty());
    let missing = |name: &str| Error::bad(format!("missing required field '{name}'"));
    match (key, nonce) {
        (None, _) if !family.has_token() => Err(Error::bad(
            "'key' must be specified in request body as JSON",
        )),
        (None, _) => Err(missing("key")),
        (Some(_), None) if family.has_token() => Err(missing("nonce")),
        (Some(key), nonce) => Ok((key, nonce.unwrap_or_default())),
    }
}
