//! Writing and patching a policy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_api::Seconds;
use keyfold_api::weak::{self, Scalar};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::System;
use crate::clock::Time;
use crate::error::Error;
use crate::policies::{Change, End};
use crate::policy::Policy;
use crate::ports::engine::Call;
use crate::reply::{Json, Reply};

/// What both take.
#[derive(Deserialize)]
struct Settings {
    #[serde(default, deserialize_with = "weak::int")]
    cas: Option<i64>,
    #[serde(default, deserialize_with = "weak::boolean")]
    cas_required: Option<bool>,
    #[serde(default, deserialize_with = "moment")]
    expiration: Option<End>,
    #[serde(default, deserialize_with = "span")]
    ttl: Option<End>,
    #[serde(default, deserialize_with = "weak::boolean")]
    allow_wildcards_in_identity_templates: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    allow_slashes_in_identity_templates: Option<bool>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default, deserialize_with = "weak::string")]
    policy: Option<String>,
    /// An old name of `policy`.
    #[serde(default, deserialize_with = "weak::string")]
    rules: Option<String>,
}

#[derive(Deserialize)]
struct Patched {
    /// Present and null is a text that was taken away, which no policy can do without.
    #[serde(default, deserialize_with = "text")]
    policy: Option<String>,
}

impl System {
    pub(super) async fn policy_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = super::named(call)?;
        let (written, settings) = call.decode_both::<Written, Settings>()?;
        let mut warnings = Vec::new();
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let text = match (given(written.policy), given(written.rules)) {
            (Some(text), _) => text,
            (None, Some(text)) => {
                warnings.push("'rules' is deprecated, please use 'policy' instead".to_owned());
                text
            }
            (None, None) => return Err(no_text()),
        };
        if name != call.param("name") {
            warnings.push("policy name was converted to lower case".to_owned());
        }
        let change = settings.change(Some(plain(text)))?;
        warnings.extend(self.vault.policies.write(&name, &change).await?);
        warnings.extend(self.remarks(&name, &change)?);
        Ok(Reply {
            warnings,
            ..Reply::none()
        })
    }

    pub(super) async fn policy_patch(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = super::named(call)?;
        let (patched, settings) = call.decode_both::<Patched, Settings>()?;
        if patched.policy.as_deref() == Some("") {
            return Err(no_text());
        }
        let change = settings.change(patched.policy.map(plain))?;
        let mut warnings = self.vault.policies.patch(&name, &change).await?;
        warnings.extend(self.remarks(&name, &change)?);
        Ok(Reply {
            warnings,
            // Answered by an envelope with nothing in it, where a write is answered by nothing.
            ..Reply::raw(Json::raw(b"null".to_vec()))
        })
    }

    /// Remarks on a new text that take knowing what is mounted.
    fn remarks(&self, name: &str, change: &Change) -> Result<Vec<String>, Error> {
        let Some(text) = &change.text else {
            return Ok(Vec::new());
        };
        // It was read before it was written.
        let parsed = Policy::parse(name, text);
        let (policy, _) = parsed.map_err(|_| Error::Bug("a stored policy does not parse"))?;
        Ok(self.unserved(&policy))
    }
}

impl Settings {
    fn change(self, text: Option<String>) -> Result<Change, Error> {
        let given = |end: Option<End>| end.is_some_and(|end| end != End::Never);
        if given(self.expiration) && given(self.ttl) {
            return Err(Error::bad(
                "cannot supply both 'expiration' and 'ttl' for policies",
            ));
        }
        Ok(Change {
            text,
            cas: self.cas,
            cas_required: self.cas_required,
            end: if given(self.ttl) {
                self.ttl
            } else {
                self.expiration.or(self.ttl)
            },
            wildcards: self.allow_wildcards_in_identity_templates,
            slashes: self.allow_slashes_in_identity_templates,
        })
    }
}

fn no_text() -> Error {
    Error::bad("'policy' parameter not supplied or empty")
}

/// A policy may come in base64.
pub(in crate::sys) fn plain(text: String) -> String {
    let decoded = STANDARD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or(text)
}

/// RFC 3339, or seconds since 1970; null takes the end away.
fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<End>, D::Error> {
    let Some(given) = Option::<Scalar<'de>>::deserialize(from)? else {
        return Ok(Some(End::Never));
    };
    let time = Time::parse(&given.to_text());
    let time = time.ok_or_else(|| D::Error::custom("could not parse string as date and time"))?;
    Ok(Some(End::At(time)))
}

/// A duration; null takes the end away.
fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<End>, D::Error> {
    let ttl: Option<Seconds> = weak::duration(from)?;
    Ok(Some(ttl.map_or(End::Never, End::After)))
}

/// A text; null is the empty one.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Some(weak::string(from)?.unwrap_or_default()))
}
