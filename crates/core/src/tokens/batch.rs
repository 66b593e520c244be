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
        let carried = self.carriable(&new)?;
        let mut data = json(&carried)?;
        check_length(&data)?;
        let nonce = keyfold_keys::rng::bytes::<{ xaes::NONCE_LEN }>();
        let tag = self.batch_key.seal(&nonce, AAD, &mut data)?;
        let sealed = [&nonce[..], &data, &tag].concat();
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
        let token = carried.token(self.hash(&text));
        Ok((Arc::new(token), Secret::new(text)))
    }

    /// Refuses what [`Tokens::carry`] would, before the entity that it is for is known.
    pub(super) fn check_carriable(&self, new: &NewToken) -> Result<(), Error> {
        let carried = Carried {
            entity: Some(SOMEBODY.into()),
            ..self.carriable(new)?
        };
        check_length(&json(&carried)?)
    }

    fn carriable<'a>(&self, new: &'a NewToken) -> Result<Carried<'a>, Error> {
        check(new)?;
        Ok(Carried {
            policies: (&*new.policies).into(),
            path: (&*new.path).into(),
            display_name: (&*new.display_name).into(),
            created: self.clock.now(),
            ttl: new.ttl,
            meta: new.meta.as_ref().map(Cow::Borrowed),
            parent: new.parent.clone(),
            bound_cidrs: (&*new.bound_cidrs).into(),
            entity: new.entity.as_deref().map(Cow::Borrowed),
            role: new.role.as_deref().map(Cow::Borrowed),
            mount: new.mount.as_deref().map(Cow::Borrowed),
        })
    }

    /// The token that a text carries; none where we did not make it.
    pub(super) fn carried(&self, text: &str) -> Option<Arc<Token>> {
        let sealed = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (nonce, data) = sealed.split_first_chunk::<{ xaes::NONCE_LEN }>()?;
        let mut data = data.to_vec();
        let plain = self.batch_key.open(nonce, AAD, &mut data).ok()?;
        let carried: Carried<'_> = serde_json::from_slice(plain).ok()?;
        Some(Arc::new(carried.token(self.hash(text))))
    }
}

impl Carried<'_> {
    fn token(self, hash: Hash) -> Token {
        Token {
            hash,
            accessor: Box::default(),
            policies: self.policies.into(),
            path: self.path.into(),
            display_name: self.display_name.into(),
            meta: self.meta.map(|meta| Pairs::from(meta.into_owned())),
            num_uses: 0,
            spent: false,
            released: false,
            created: self.created,
            creation_ttl: self.ttl,
            granted_ttl: self.ttl,
            explicit_max_ttl: 0,
            period: 0,
            renewable: false,
            expires: Some(self.created.plus(Duration::from_secs(self.ttl))),
            renewed: None,
            parent: self.parent,
            depth: 0,
            kind: Kind::Batch,
            bound_cidrs: self.bound_cidrs.into(),
            entity: self.entity.map(Box::from),
            role: self.role.map(Box::from),
            mount: self.mount.map(Box::from),
            internal: Pairs::default(),
        }
    }
}

/// What is too much for one text is refused: by the length of the plaintext.
fn check_length(data: &[u8]) -> Result<(), Error> {
    let sealed = xaes::NONCE_LEN + data.len() + TAG_LEN;
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
