//! `sys/generate-root`, for whoever holds shares; `sys/generate-root-token`, the same with a token
//! besides; and `sys/decode-token`.

use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::insider::{self, Cancel, Give};
use super::{Row, System};
use crate::error::Error;
use crate::lifecycle::{Cover, RootTokenStatus, uncover};
use crate::openpgp::Recipient;
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            Op::Read,
            "generate-root/attempt",
            "How far a new root token is.",
            |s, c| Box::pin(s.root_token_read(c)),
        )
        .open(),
        Row::new(
            Op::Write,
            "generate-root/attempt",
            "Asks for a new root token.",
            |s, c| Box::pin(s.root_token_begin(c, Family::Open)),
        )
        .open(),
        Row::new(
            Op::Delete,
            "generate-root/attempt",
            "Asks for it no more.",
            |s, c| Box::pin(s.root_token_cancel_open(c)),
        )
        .open(),
        Row::new(
            Op::Write,
            "generate-root/update",
            "Gives a share for a new root token.",
            |s, c| Box::pin(s.root_token_give(c, Family::Open)),
        )
        .open(),
        Row::new(
            Op::Read,
            "generate-root-token/attempt",
            "How far a new root token is.",
            |s, _| Box::pin(s.root_token_status()),
        ),
        Row::new(
            Op::Write,
            "generate-root-token/attempt",
            "Asks for a new root token.",
            |s, c| Box::pin(s.root_token_begin(c, Family::Token)),
        ),
        Row::new(
            Op::Delete,
            "generate-root-token/attempt",
            "Asks for it no more.",
            |s, _| Box::pin(s.root_token_cancel()),
        ),
        Row::new(
            Op::Write,
            "generate-root-token/update",
            "Gives a share for a new root token.",
            |s, c| Box::pin(s.root_token_give(c, Family::Token)),
        ),
        Row::new(
            Op::Write,
            "decode-token",
            "Takes the pad off a new root token.",
            |s, c| Box::pin(s.decode_token(c)),
        )
        .open(),
    ]
}

/// Which calls they are: the older ones answer bare.
#[derive(Clone, Copy)]
enum Family {
    Open,
    Token,
}

#[derive(Deserialize)]
struct Begin {
    #[serde(default, deserialize_with = "weak::string")]
    otp: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    pgp_key: Option<String>,
}

#[derive(Deserialize)]
struct Decode {
    #[serde(default, deserialize_with = "weak::string")]
    encoded_token: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    otp: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    started: bool,
    progress: usize,
    required: u8,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_token: Option<&'a str>,
    /// Its older name.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_root_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pgp_fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otp_length: Option<usize>,
}

#[derive(Serialize)]
struct Token<'a> {
    token: &'a str,
}

/// The answer to a look, and to a begin, which tells the pad that it made.
fn begun(status: &RootTokenStatus, family: Family, otp: &str) -> Result<Reply, Error> {
    let open = matches!(family, Family::Open);
    let told = open || status.started;
    let shown = Shown {
        nonce: told.then_some(&status.nonce),
        started: status.started,
        progress: status.progress,
        required: status.required,
        complete: false,
        encoded_token: open.then_some(""),
        encoded_root_token: open.then_some(""),
        pgp_fingerprint: told.then_some(&status.fingerprint),
        otp: Some(otp),
        otp_length: Some(status.pad_length),
    };
    match family {
        Family::Open => Reply::bare(&shown),
        Family::Token => Reply::data(&shown),
    }
}

/// The answer to a share.
fn given(status: &RootTokenStatus, family: Family) -> Result<Reply, Error> {
    let open = matches!(family, Family::Open);
    let encoded = status.encoded.as_deref().unwrap_or_default();
    let shown = Shown {
        nonce: Some(&status.nonce),
        started: status.started,
        progress: status.progress,
        required: status.required,
        complete: status.encoded.is_some(),
        encoded_token: Some(encoded),
        encoded_root_token: open.then_some(encoded),
        pgp_fingerprint: Some(&status.fingerprint),
        otp: open.then_some(""),
        otp_length: open.then_some(0),
    };
    match family {
        Family::Open => Reply::bare(&shown),
        Family::Token => Reply::data(&shown),
    }
}

impl System {
    async fn root_token_status(&self) -> Result<Reply, Error> {
        begun(&self.vault.root_token_status().await, Family::Token, "")
    }

    /// Whoever has no token is not told the nonce: it is what tells an insider.
    async fn root_token_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let mut status = self.vault.root_token_status().await;
        if !insider::permits(&self.vault, call).await? {
            status.nonce.clear();
        }
        begun(&status, Family::Open, "")
    }

    async fn root_token_begin(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        let asked = call.decode::<Begin>()?;
        let (cover, told) = match (filled(asked.otp), filled(asked.pgp_key)) {
            (Some(pad), _) => (Cover::pad(pad)?, None),
            (None, Some(key)) => {
                let recipient = Recipient::parse(&key, call.now)?;
                (Cover::For(Box::new(recipient)), None)
            }
            (None, None) => Cover::fresh(),
        };
        let told = told.unwrap_or_else(|| Secret::new(String::new()));
        let with_token = matches!(family, Family::Token);
        let status = self.vault.root_token_begin(cover, with_token).await?;
        begun(&status, family, told.expose())
    }

    async fn root_token_give(&self, call: &Call<'_>, family: Family) -> Result<Reply, Error> {
        let asked = call.decode::<Give>()?;
        let Some(key) = asked.key.filter(|key| !key.expose().is_empty()) else {
            return Err(Error::bad(
                "'key' must be specified in request body as JSON",
            ));
        };
        let share = super::doors::share(key.expose())?;
        let nonce = asked.nonce.unwrap_or_default();
        let status = self.vault.root_token_give(share, &nonce).await?;
        given(&status, family)
    }

    async fn root_token_cancel(&self) -> Result<Reply, Error> {
        let insider = crate::lifecycle::Insider::Token;
        self.vault.root_token_cancel(insider).await?;
        Ok(Reply::none())
    }

    async fn root_token_cancel_open(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Cancel>()?;
        let insider = insider::of(&self.vault, call, asked.nonce.as_deref()).await?;
        self.vault.root_token_cancel(insider).await?;
        Ok(Reply::none())
    }

    async fn decode_token(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Decode>()?;
        let (Some(encoded), Some(pad)) = (filled(asked.encoded_token), filled(asked.otp)) else {
            return Err(Error::bad("provided 'encoded_token' or 'otp' is empty"));
        };
        let token = uncover(&encoded, &pad)?;
        Reply::data(&Token {
            token: token.expose(),
        })
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
