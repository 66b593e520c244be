//! `keys/:name/census`: what is known of the versions of a key, for those who have to judge whether
//! one is still needed. It tells of no key material, and reading it is no use.

use keyfold_api::{time, weak};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Family, KeyType, Nonces};
use serde::{Deserialize, Serialize};

use super::super::compromise::Compromise;
use super::super::key::Settings;
use super::super::{Transit, key_name, times};
use super::callers::CallerHash;
use super::kind::Kind;
use super::record::{Record, Seen};

/// Versions that one answer tells of when nobody says, and at most.
const PAGE: u32 = 1_000;

/// Messages that one AES-GCM key may encrypt under random nonces of 96 bits, so that two of them are
/// equal with a probability of 2^-32 at most: NIST SP 800-38D, 8.3. The same bound of birthdays
/// holds for ChaCha20-Poly1305, whose nonces are as long.
const RANDOM_96_BIT_NONCES: u64 = 1 << 32;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::int")]
    after: Option<i64>,
    #[serde(deserialize_with = "weak::int")]
    limit: Option<i64>,
    #[serde(deserialize_with = "weak::boolean")]
    callers: Option<bool>,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    latest_version: u32,
    min_decryption_version: u32,
    min_available_version: u32,
    versions: Vec<Version>,
    /// The version to go on after, where there are more.
    next: Option<u32>,
}

#[derive(Serialize)]
struct Version {
    version: u32,
    state: State,
    /// Since when somebody else may have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    compromised: Option<Compromise>,
    /// Null where that is not known: of versions before the first of a key that was restored.
    created: Option<String>,
    operations: serde_json::Map<String, serde_json::Value>,
    total: u64,
    bytes: u64,
    first_used: Option<String>,
    last_used: Option<String>,
    /// Null as well where the last caller had no accessor.
    last_caller: Option<CallerHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callers: Option<Vec<Caller>>,
    /// Operations of callers that are not told apart.
    other_callers: u64,
    /// Null where the type has none.
    aead_limit: Option<Limit>,
}

#[derive(Serialize)]
pub(in super::super) struct Caller {
    caller: CallerHash,
    first_used: Option<String>,
    last_used: Option<String>,
    operations: u64,
}

#[derive(Serialize)]
struct Limit {
    /// Ciphertexts that were made under the version. Of a derived key they are spread over the keys
    /// of all contexts, each of which has the limit for itself.
    messages: u64,
    limit: u64,
    remaining: u64,
}

/// What may be done with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum State {
    /// The newest: it is used where nobody asks for another.
    Active,
    /// It opens what it made.
    Retiring,
    /// Somebody else may have it: what it made is rewrapped, and nothing else is done with it.
    Compromised,
    /// It is stored, and the settings refuse its use.
    Retired,
    /// It is gone.
    Destroyed,
}

impl State {
    /// That of a version.
    pub fn of(settings: &Settings, version: u32) -> Self {
        if version < settings.min_available_version {
            Self::Destroyed
        } else if version < settings.min_decryption_version {
            Self::Retired
        } else if settings.compromised.contains_key(&version) {
            Self::Compromised
        } else if version == settings.latest_version {
            Self::Active
        } else {
            Self::Retiring
        }
    }
}

pub(in super::super) async fn read(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Ask>()?;
    let after = match asked.after.unwrap_or_default() {
        after @ 0.. => u32::try_from(after).unwrap_or(u32::MAX),
        _ => return Err(Error::field("after", "is a version of the key, or 0")),
    };
    let limit = match asked.limit.unwrap_or(i64::from(PAGE)) {
        limit @ 1.. => u32::try_from(limit).unwrap_or(PAGE).min(PAGE),
        _ => return Err(Error::field("limit", "must be 1 or more")),
    };
    let (settings, _) = transit.stored(name).await?.ok_or(Error::NotFound)?;
    let last = settings.latest_version.min(after.saturating_add(limit));
    let versions = after.saturating_add(1)..=last;
    let sums = transit
        .census
        .of(transit, &settings.id, versions.clone())
        .await?;
    let made = times::known(&transit.view, &settings.id, versions.clone()).await?;
    let none = Record::default();
    let with_callers = asked.callers.unwrap_or_default();
    let versions = versions.map(|version| {
        let record = sums.get(&version).unwrap_or(&none);
        Version {
            version,
            state: State::of(&settings, version),
            compromised: settings.compromised.get(&version).cloned(),
            created: made.get(&version).copied().and_then(second),
            operations: operations(record),
            total: record.total(),
            bytes: record.bytes,
            first_used: second(record.first),
            last_used: second(record.last()),
            last_caller: record.last_caller,
            callers: with_callers.then(|| callers(&record.callers)),
            other_callers: record.others,
            aead_limit: limit_of(settings.kind).map(|limit| Limit {
                messages: record.sealed(),
                limit,
                remaining: limit.saturating_sub(record.sealed()),
            }),
        }
    });
    Reply::data(&Shown {
        name,
        kind: settings.type_name(),
        latest_version: settings.latest_version,
        min_decryption_version: settings.min_decryption_version,
        min_available_version: settings.min_available_version,
        versions: versions.collect(),
        next: (last < settings.latest_version).then_some(last),
    })
}

/// `census/caller`: what a token is called here.
pub(in super::super) async fn caller(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Ask {
        #[serde(deserialize_with = "weak::string")]
        accessor: Option<String>,
    }
    let asked = call.decode::<Ask>()?.accessor;
    let accessor = asked.filter(|accessor| !accessor.is_empty());
    let accessor = accessor.ok_or_else(|| Error::field("accessor", "missing"))?;
    Reply::data(&serde_json::json!({"caller": transit.census.caller(call, &accessor)}))
}

/// Callers as they are shown, those with the latest uses first.
pub(in super::super) fn callers(seen: &[Seen]) -> Vec<Caller> {
    let mut seen: Vec<&Seen> = seen.iter().collect();
    seen.sort_by_key(|seen| (std::cmp::Reverse(seen.last), seen.caller));
    let shown = seen.into_iter().map(|seen| Caller {
        caller: seen.caller,
        first_used: second(seen.first),
        last_used: second(seen.last),
        operations: seen.uses,
    });
    shown.collect()
}

pub(in super::super) fn operations(record: &Record) -> serde_json::Map<String, serde_json::Value> {
    let counts = Kind::ALL.into_iter();
    counts
        .map(|kind| (kind.name().to_owned(), record.of(kind).into()))
        .collect()
}

/// How many messages a key of a type may encrypt.
fn limit_of(kind: KeyType) -> Option<u64> {
    matches!(kind.family(), Family::Aead(Nonces::Short(_))).then_some(RANDOM_96_BIT_NONCES)
}

/// A second as it is shown; none for zero.
pub(in super::super) fn second(secs: u64) -> Option<String> {
    (secs > 0).then(|| time::format_nanos(i128::from(secs) * 1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        let settings = Settings {
            latest_version: 4,
            min_decryption_version: 3,
            min_available_version: 2,
            ..Settings::new(KeyType::default())
        };
        let states = [1, 2, 3, 4].map(|version| State::of(&settings, version));
        assert_eq!(
            states,
            [
                State::Destroyed,
                State::Retired,
                State::Retiring,
                State::Active
            ]
        );
    }

    #[test]
    fn limits() {
        assert_eq!(limit_of(KeyType::Aes128Gcm96), Some(4_294_967_296));
        assert_eq!(limit_of(KeyType::ChaCha20Poly1305), Some(4_294_967_296));
        for kind in [KeyType::XChaCha20Poly1305, KeyType::Rsa2048, KeyType::Hmac] {
            assert_eq!(limit_of(kind), None);
        }
    }
}
