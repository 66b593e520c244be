//! A key as it is shown.

use std::collections::BTreeMap;

use keyfold_api::time;
use keyfold_core::error::Error;
use keyfold_core::managed::Named;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{CurveHalf, Family, KeyType, ParameterSet, ServiceKey};
use serde::Serialize;

use super::compromise::Compromises;
use super::key::{Copied, Settings, version_key};
use super::kind::PQC;
use super::shred::Mark;
use super::{Transit, chains, times};

/// The members of the answer.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    /// Of ML-DSA, alone or in a hybrid.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter_set: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hybrid_key_type_pqc: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hybrid_key_type_ec: Option<&'static str>,
    derived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kdf: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergent_encryption: Option<bool>,
    /// The newest that the key type has: always -1.
    #[serde(skip_serializing_if = "Option::is_none")]
    convergent_encryption_version: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_size: Option<u32>,
    exportable: bool,
    allow_plaintext_backup: bool,
    deletion_allowed: bool,
    /// Ours, and shown only where it is false: what else may open the key's envelopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    offline_slots_allowed: Option<bool>,
    /// Versions that decrypt.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'a Versions>,
    /// The managed keys of its versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_keys: Option<BTreeMap<u32, &'a Named>>,
    latest_version: u32,
    min_available_version: u32,
    min_decryption_version: u32,
    min_encryption_version: u32,
    auto_rotate_period: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    originator_usage_period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_usage_period: Option<u64>,
    imported_key: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    imported_key_allow_rotation: Option<bool>,
    soft_deleted: bool,
    #[serde(skip_serializing_if = "Compromises::is_empty")]
    compromised: &'a Compromises,
    /// How far its destruction is, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    shred: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_info: Option<&'a Copied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_info: Option<&'a Copied>,
    supports_encryption: bool,
    supports_decryption: bool,
    supports_derivation: bool,
    supports_signing: bool,
}

/// Versions that the answer to a rotation tells of.
const NEWEST: u32 = 256;

/// Versions by their number.
pub(super) type Versions = BTreeMap<u32, Version>;

/// What is told of one version.
#[derive(Serialize, Clone)]
#[serde(untagged)]
pub(super) enum Version {
    /// The second it was made in.
    Made(u64),
    /// The public half as well. Boxed: a key may have ten thousand versions that have none.
    Public(Box<Public>),
}

/// A version with a public half.
#[derive(Serialize, Clone)]
pub(super) struct Public {
    certificate_chain: String,
    creation_time: String,
    name: &'static str,
    public_key: String,
}

impl Version {
    /// A version that was made in a second.
    fn of(key: &ServiceKey, settings: &Settings, secs: u64, context: &[u8]) -> Result<Self, Error> {
        let public_key = match (settings.derived, context) {
            (true, []) => String::new(),
            (true, context) => {
                let public = key.derived_public(context, settings.kdf)?;
                keyfold_api::base64::encode(&public)
            }
            (false, _) => key.public_shown(),
        };
        Ok(Self::Public(Box::new(Public {
            certificate_chain: String::new(),
            creation_time: time::format_nanos(i128::from(secs) * 1_000_000_000),
            name: type_name(settings.kind),
            public_key,
        })))
    }

    /// A new version.
    pub fn new(key: &ServiceKey, settings: &Settings, secs: u64) -> Result<Self, Error> {
        match settings.kind.has_public() {
            true => Self::of(key, settings, secs, &[]),
            false => Ok(Self::Made(secs)),
        }
    }
}

/// The name that stands beside a public key: that of its curve, or of its type.
fn type_name(kind: KeyType) -> &'static str {
    match kind.family() {
        Family::Ecdsa(curve) => curve.name(),
        _ => kind.name(),
    }
}

/// The versions of a key that decrypt. The cost grows with them: their times are one record for
/// each thousand, and a public key stands in the record of its version.
pub(super) async fn versions(
    transit: &Transit,
    settings: &Settings,
    context: &[u8],
) -> Result<Versions, Error> {
    versions_from(transit, settings, 1, context).await
}

/// The newest [`NEWEST`] of them, for an answer that is to cost the same however many there are.
pub(super) async fn newest(transit: &Transit, settings: &Settings) -> Result<Versions, Error> {
    let from = settings.latest_version.saturating_sub(NEWEST - 1);
    versions_from(transit, settings, from, &[]).await
}

async fn versions_from(
    transit: &Transit,
    settings: &Settings,
    from: u32,
    context: &[u8],
) -> Result<Versions, Error> {
    let view = &transit.view;
    let times = times::usable(view, settings, from).await?;
    if !settings.kind.has_public() {
        let made = times
            .into_iter()
            .map(|(version, secs)| (version, Version::Made(secs)));
        return Ok(made.collect());
    }
    let mut versions = Versions::new();
    for (version, secs) in times {
        let at = version_key(&settings.id, version);
        let record = view.get(&at).await?;
        let key = record.and_then(|record| settings.read_version(record.value.expose()));
        let key = key.ok_or_else(|| Error::corrupt(at))?;
        let mut told = Version::of(&key, settings, secs, context)?;
        if let Version::Public(public) = &mut told
            && settings.certified
        {
            public.certificate_chain = chains::pem(view, settings, version).await?;
        }
        versions.insert(version, told);
    }
    Ok(versions)
}

/// The answer to what made a version: the newest are told of, and that there are more.
pub(super) fn show_newest(
    name: &str,
    settings: &Settings,
    mut versions: Versions,
) -> Result<Reply, Error> {
    let first = settings.latest_version.saturating_sub(NEWEST - 1);
    let versions = versions.split_off(&first);
    let reply = show(name, settings, &versions)?;
    Ok(match first > settings.oldest() {
        true => reply.warn(format!(
            "\"keys\" has the newest {NEWEST} versions; a read of the key has all of them"
        )),
        false => reply,
    })
}

/// The answer.
pub(super) fn show(name: &str, settings: &Settings, versions: &Versions) -> Result<Reply, Error> {
    let kind = settings.kind;
    let set = |secs: u64| (secs > 0).then_some(secs);
    let managed = settings.managed.iter();
    let managed = managed.map(|(version, kept)| (*version, &kept.named));
    let (encrypts, hmac) = (settings.encrypts(), kind.family() == Family::Hmac);
    Reply::data(&Shown {
        name,
        kind: settings.type_name(),
        parameter_set: kind.parameter_set().map(ParameterSet::name),
        hybrid_key_type_pqc: kind.curve_half().map(|_| PQC),
        hybrid_key_type_ec: kind.curve_half().map(CurveHalf::name),
        derived: settings.derived,
        kdf: settings.derived.then_some(settings.kdf.name()),
        convergent_encryption: settings.derived.then_some(settings.convergent),
        convergent_encryption_version: settings.convergent.then_some(-1),
        key_size: hmac.then_some(settings.key_size),
        exportable: settings.exportable,
        allow_plaintext_backup: settings.allow_plaintext_backup,
        deletion_allowed: settings.deletion_allowed,
        offline_slots_allowed: settings.offline_slots_forbidden.then_some(false),
        keys: (!hmac).then_some(versions),
        managed_keys: settings.is_managed().then(|| managed.collect()),
        latest_version: settings.latest_version,
        min_available_version: settings.min_available_version,
        min_decryption_version: settings.min_decryption_version,
        min_encryption_version: settings.min_encryption_version,
        auto_rotate_period: settings.auto_rotate_period,
        originator_usage_period: set(settings.periods.originator),
        recipient_usage_period: set(settings.periods.recipient),
        imported_key: settings.imported,
        imported_key_allow_rotation: settings
            .imported
            .then_some(settings.allow_imported_rotation),
        soft_deleted: settings.soft_deleted,
        compromised: &settings.compromised,
        shred: settings.shred.as_ref().map(Mark::state),
        backup_info: settings.backup.as_ref(),
        restore_info: settings.restore.as_ref(),
        supports_encryption: encrypts,
        supports_decryption: encrypts,
        supports_derivation: kind.derives() && !settings.is_managed(),
        supports_signing: settings.signs(),
    })
}
