//! A new root token, by those who hold the shares.
//!
//! It goes out covered: by a one-time pad that whoever began has, or for an OpenPGP key. Who sees
//! the answer of the last share sees no token.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use keyfold_keys::Share;
use keyfold_secret::Secret;

use super::Insider;
use super::gathering::{Gathering, Given, shares_of};
use crate::error::Error;
use crate::id;
use crate::lifecycle::unsealed::Unsealed;
use crate::openpgp::Recipient;
use crate::tokens::NewToken;

/// Characters of a pad for a token that begins with `s.`, and for one that begins with `hvs.`: the
/// lengths that clients know.
const PADS: [(usize, &str); 2] = [(26, "s."), (28, "hvs.")];
/// What a pad has that nobody asked for.
const USUAL: usize = 26;
/// Characters of a token after its prefix.
const RANDOM: usize = 24;

/// What covers the token on its way.
pub(crate) enum Cover {
    /// As long as the token.
    Pad(Secret<String>),
    /// Someone's OpenPGP key.
    For(Box<Recipient>),
}

impl Cover {
    /// The pad of a request.
    pub fn pad(pad: String) -> Result<Self, Error> {
        match PADS.iter().any(|(length, _)| *length == pad.len()) {
            true => Ok(Self::Pad(Secret::new(pad))),
            false => Err(Error::bad("OTP string has incorrect length")),
        }
    }

    /// A fresh pad, and what is told of it.
    pub fn fresh() -> (Self, Option<Secret<String>>) {
        let pad = id::base62(USUAL);
        (Self::Pad(Secret::new(pad.clone())), Some(Secret::new(pad)))
    }

    /// A token that fits, and how it looks on its way.
    fn token(&self) -> Result<(Secret<String>, String), Error> {
        match self {
            Self::Pad(pad) => {
                let pad = pad.expose();
                let prefix = PADS.iter().find(|(length, _)| *length == pad.len());
                let (_, prefix) = prefix.ok_or(Error::Bug("a pad of another length"))?;
                let token = Secret::new(format!("{prefix}{}", id::base62(RANDOM)));
                let covered = xor(token.expose().as_bytes(), pad.as_bytes());
                Ok((token, STANDARD_NO_PAD.encode(covered)))
            }
            Self::For(recipient) => {
                let token = Secret::new(crate::tokens::fresh());
                let text = Secret::new(token.expose().clone().into_bytes());
                Ok((token, STANDARD.encode(recipient.seal(&text)?)))
            }
        }
    }
}

/// An attempt that is under way.
pub(super) struct Attempt {
    nonce: String,
    cover: Cover,
    given: Gathering,
    /// A token was shown to begin it.
    with_token: bool,
}

/// How far it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct RootTokenStatus {
    /// Names the attempt; empty while there is none.
    pub nonce: String,
    /// One is under way, or has just ended.
    pub started: bool,
    /// Shares given.
    pub progress: usize,
    /// Shares that are needed.
    pub required: u8,
    /// Characters that the pad has, or should have.
    pub pad_length: usize,
    /// Whose key the token is encrypted for; else empty.
    pub fingerprint: String,
    /// The covered token, when all shares are there.
    pub encoded: Option<String>,
}

impl Attempt {
    fn status(&self, required: u8) -> RootTokenStatus {
        let (pad_length, fingerprint) = match &self.cover {
            Cover::Pad(pad) => (pad.expose().len(), String::new()),
            Cover::For(recipient) => (USUAL, recipient.fingerprint().to_owned()),
        };
        RootTokenStatus {
            nonce: self.nonce.clone(),
            started: true,
            progress: self.given.count(),
            required,
            pad_length,
            fingerprint,
            encoded: None,
        }
    }
}

impl Unsealed {
    /// How far the attempt is, if there is one.
    pub(crate) async fn root_token_status(&self) -> RootTokenStatus {
        let wraps = self.seals.wraps();
        match &*self.ceremonies.root_token.lock().await {
            Some(attempt) => attempt.status(attempt.given.required(&wraps)),
            None => RootTokenStatus {
                required: wraps.split().1,
                pad_length: USUAL,
                ..RootTokenStatus::default()
            },
        }
    }

    /// Begins an attempt. There is one at a time.
    pub(crate) async fn root_token_begin(
        &self,
        cover: Cover,
        with_token: bool,
    ) -> Result<RootTokenStatus, Error> {
        self.seals.settle_told(&**self.barrier.storage()).await?;
        let required = shares_of(&self.seals.wraps())?.threshold;
        let mut place = self.ceremonies.root_token.lock().await;
        if place.is_some() {
            return Err(Error::bad(
                "root generation already in progress for this namespace",
            ));
        }
        let attempt = place.insert(Attempt {
            nonce: id::uuid(),
            cover,
            given: Gathering::default(),
            with_token,
        });
        tracing::info!(nonce = attempt.nonce, "a root token is asked for");
        Ok(attempt.status(required))
    }

    /// Takes a share; with the last one the token is made.
    pub(crate) async fn root_token_give(
        &self,
        share: Share,
        nonce: &str,
    ) -> Result<RootTokenStatus, Error> {
        let mut place = self.ceremonies.root_token.lock().await;
        let attempt = place
            .as_mut()
            .ok_or_else(|| Error::bad("no root generation in progress"))?;
        if attempt.nonce != nonce {
            return Err(Error::bad(
                "incorrect nonce supplied: it is not that of this root generation",
            ));
        }
        self.seals.settle_told(&**self.barrier.storage()).await?;
        let wraps = self.seals.wraps();
        let Given::All(shown) = attempt.given.give(share, &wraps)? else {
            return Ok(attempt.status(attempt.given.required(&wraps)));
        };
        let needed = wraps.set(shown.set).map_or(0, |kept| kept.record.threshold);
        let storage = &**self.barrier.storage();
        self.seals.settle_shares(storage, shown.set, None).await?;
        let (token, encoded) = attempt.cover.token()?;
        self.tokens.create(NewToken::root(Some(token))).await?;
        let status = RootTokenStatus {
            progress: usize::from(needed),
            encoded: Some(encoded),
            ..attempt.status(needed)
        };
        *place = None;
        tracing::warn!(nonce = status.nonce, "a root token was made by shares");
        Ok(status)
    }

    /// Ends the attempt; none is no error.
    pub(crate) async fn root_token_cancel(&self, insider: Insider<'_>) -> Result<(), Error> {
        let mut place = self.ceremonies.root_token.lock().await;
        if let Some(attempt) = &*place
            && !insider.may_end(
                &attempt.nonce,
                attempt.given.count() > 0 || attempt.with_token,
            )
        {
            return Err(Error::bad(super::NOT_YOURS));
        }
        *place = None;
        Ok(())
    }
}

/// What a pad covered: the token.
pub(crate) fn uncover(encoded: &str, pad: &str) -> Result<Secret<String>, Error> {
    let bytes = STANDARD_NO_PAD
        .decode(encoded.trim_end_matches('='))
        .map_err(|_| Error::field("encoded_token", "is not base64"))?;
    if bytes.len() != pad.len() {
        return Err(Error::bad(format!(
            "error xoring token: length of byte slices is not equivalent: {} != {}",
            bytes.len(),
            pad.len()
        )));
    }
    let text = String::from_utf8(xor(&bytes, pad.as_bytes()));
    text.map(Secret::new)
        .map_err(|_| Error::field("otp", "is not the one of this token"))
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_out_from_under_its_pad_only() {
        for (length, prefix) in PADS {
            let pad = id::base62(length);
            let cover = Cover::pad(pad.clone()).ok().unwrap();
            let (token, encoded) = cover.token().ok().unwrap();
            assert!(token.expose().starts_with(prefix));
            assert_eq!(token.expose().len(), length);
            let again = uncover(&encoded, &pad).ok().unwrap();
            assert_eq!(again.expose(), token.expose());
            let other = uncover(&encoded, &id::base62(length));
            assert!(other.is_err() || other.is_ok_and(|t| t.expose() != token.expose()));
            assert!(uncover(&encoded, "x").is_err());
        }
        for wrong in ["", "short", &id::base62(27)] {
            assert!(Cover::pad(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(uncover("not base64!", "x").is_err());
        assert!(uncover("/w", "\0").is_err(), "no text");
    }
}
