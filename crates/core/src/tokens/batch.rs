//! Batch tokens: nothing of them is stored. The text is the record, sealed under a key of core's:
//!
//! ```text
//!   hvb. base64url( nonce 24 │ ciphertext │ tag 16 )      XAES-256-GCM, plaintext: JSON
//! ```
//!
//! So they cost the store nothing, and in turn can't be renewed, counted, found by an accessor or
//! revoked alone. One dies at its end, or with its parent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use keyfold_keys::aead::TAG_LEN;
use keyfold_keys::xaes;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::create::NewToken;
use super::pairs::Pairs;
use super::record::{Hash, Kind, Token};
use super::store::Tokens;
use crate::barrier::{View, json, retry};
use crate::clock::Time;
use crate::error::Error;
use crate::ports::storage::Batch;

/// How their texts begin.
pub(super) const PREFIX: &str = "hvb.";
/// Longest text: it has to fit into a header with every proxy on its way.
pub(super) const LONGEST: usize = 8192;
/// Where the key is stored.
pub(super) const KEY: &str = "token/batch-key";
const AAD: &[u8] = b"keyfold/1 batch token";
/// As long as the id of an entity.
const SOMEBODY: &str = "00000000-0000-0000-0000-000000000000";

/// What one carries: see [`Token`] for the members. Borrowed from what is asked for, owned where it
/// was read.
#[derive(Serialize, Deserialize)]
struct Carried<'a> {
    #[serde(rename = "p")]
    policies: Cow<'a, [String]>,
    #[serde(rename = "a")]
    path: Cow<'a, str>,
    #[serde(rename = "d")]
    display_name: Cow<'a, str>,
    #[serde(rename = "c")]
    created: Time,
    #[serde(rename = "t")]
    ttl: u64,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    meta: Option<Cow<'a, BTreeMap<String, String>>>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    parent: Option<Hash>,
    #[serde(rename = "b", default, skip_serializing_if = "<[IpNet]>::is_empty")]
    bound_cidrs: Cow<'a, [IpNet]>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    entity: Option<Cow<'a, str>>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    role: Option<Cow<'a, str>>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    mount: Option<Cow<'a, str>>,
}

/// Reads the key; a store that was begun without one gets it now.
pub(super) async fn open_key(view: &View) -> Result<xaes::Key, Error> {
    retry(|| async {
        if let Some(stored) = view.get(KEY).await? {
            let bytes = <&[u8; xaes::KEY_LEN]>::try_from(stored.value.expose().as_slice())
                .map_err(|_| Error::corrupt(format!("sys/{KEY}")))?;
            return Ok(xaes::Key::new(bytes));
        }
        let bytes = keyfold_keys::rng::bytes::<{ xaes::KEY_LEN }>();
        let first = Batch::new().absent(KEY).put(KEY, bytes);
        view.commit(first).await?;
        Ok(xaes::Key::new(&bytes))
    })
    .await
}

impl Tokens {
    /// Makes one: nothing is written.
    pub(super) fn carry(&self, new: NewToken) -> Result<(Arc<Token>, Secret<String>), Error> {
        let created = self.clock.now();
        let mut data = json(&carried(&new, created)?)?;
        check_length(data.len())?;
        let nonce = keyfold_keys::rng::bytes::<{ xaes::NONCE_LEN }>();
        let tag = self.batch_key.seal(&nonce, AAD, &mut data)?;
        let sealed = [&nonce[..], &data, &tag].concat();
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
        let token = token(new, created, self.hash(&text));
        Ok((Arc::new(token), Secret::new(text)))
    }

    /// Refuses what [`Tokens::carry`] would, before the entity that it is for is known.
    pub(super) fn check_carriable(&self, new: &NewToken) -> Result<(), Error> {
        let carried = Carried {
            entity: Some(SOMEBODY.into()),
            ..carried(new, self.clock.now())?
        };
        let mut length = Length(0);
        serde_json::to_writer(&mut length, &carried)
            .map_err(|_| Error::Bug("a batch token that can't be written"))?;
        check_length(length.0)
    }

    /// The token that a text carries; none where we did not make it.
    pub(super) fn carried(&self, text: &str) -> Option<Arc<Token>> {
        let sealed = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (nonce, data) = sealed.split_first_chunk::<{ xaes::NONCE_LEN }>()?;
        let mut data = data.to_vec();
        let plain = self.batch_key.open(nonce, AAD, &mut data).ok()?;
        let carried: Carried<'_> = serde_json::from_slice(plain).ok()?;
        let created = carried.created;
        let token = token(carried.into(), created, self.hash(text));
        Some(Arc::new(token))
    }
}

/// What a text has to carry; an error where only a record could keep it.
fn carried(new: &NewToken, created: Time) -> Result<Carried<'_>, Error> {
    check(new)?;
    Ok(Carried {
        policies: (&*new.policies).into(),
        path: (&*new.path).into(),
        display_name: (&*new.display_name).into(),
        created,
        ttl: new.ttl,
        meta: new.meta.as_ref().map(Cow::Borrowed),
        parent: new.parent.clone(),
        bound_cidrs: (&*new.bound_cidrs).into(),
        entity: new.entity.as_deref().map(Cow::Borrowed),
        role: new.role.as_deref().map(Cow::Borrowed),
        mount: new.mount.as_deref().map(Cow::Borrowed),
    })
}

impl From<Carried<'_>> for NewToken {
    fn from(carried: Carried<'_>) -> Self {
        Self {
            policies: carried.policies.into_owned(),
            path: carried.path.into_owned(),
            display_name: carried.display_name.into_owned(),
            ttl: carried.ttl,
            meta: carried.meta.map(Cow::into_owned),
            parent: carried.parent,
            kind: Kind::Batch,
            bound_cidrs: carried.bound_cidrs.into_owned(),
            entity: carried.entity.map(Cow::into_owned),
            role: carried.role.map(Cow::into_owned),
            mount: carried.mount.map(Cow::into_owned),
            ..Self::default()
        }
    }
}

fn token(new: NewToken, created: Time, hash: Hash) -> Token {
    Token {
        hash,
        accessor: Box::default(),
        policies: new.policies.into(),
        path: new.path.into(),
        display_name: new.display_name.into(),
        meta: new.meta.map(Pairs::from),
        num_uses: 0,
        spent: false,
        released: false,
        created,
        creation_ttl: new.ttl,
        granted_ttl: new.ttl,
        explicit_max_ttl: 0,
        period: 0,
        renewable: false,
        expires: Some(created.plus(Duration::from_secs(new.ttl))),
        renewed: None,
        parent: new.parent,
        depth: 0,
        kind: Kind::Batch,
        bound_cidrs: new.bound_cidrs.into(),
        entity: new.entity.map(Box::from),
        role: new.role.map(Box::from),
        mount: new.mount.map(Box::from),
        internal: Pairs::default(),
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is too much for one text is refused: by the length of the plaintext.
fn check_length(plaintext: usize) -> Result<(), Error> {
    let sealed = xaes::NONCE_LEN + plaintext + TAG_LEN;
    if PREFIX.len() + (sealed * 4).div_ceil(3) > LONGEST {
        return Err(Error::bad(format!(
            "a batch token carries its policies and metadata, and this one would be longer than \
             {LONGEST} characters"
        )));
    }
    Ok(())
}

/// What only a record could keep is refused.
fn check(new: &NewToken) -> Result<(), Error> {
    if new.policies.iter().any(|p| p == "root") {
        return Err(Error::bad("batch tokens cannot be root tokens"));
    }
    for (value, name) in [(new.num_uses, "num_uses"), (new.period, "period")] {
        if value > 0 {
            return Err(Error::bad(format!(
                "batch tokens cannot have \"{name}\" set"
            )));
        }
    }
    // One without an end could never be got rid of.
    if new.ttl == 0 {
        return Err(Error::bad("a batch token needs a time to live"));
    }
    Ok(())
}
