//! csr and set-certificate: a certificate for a version of a key that signs.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use keyfold_keys::der::{self, Reader, tag};
use keyfold_keys::digest::Digest;
use keyfold_keys::transit::{Curve, Family, Padding, Scheme, ServiceKey, from_pem, to_pem};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::census::{Kind, Uses};
use super::decrypt::NO_PRIVATE_HALF;
use super::key::{Settings, policy_key};
use super::{Transit, chains, key_name, pace};

const REQUEST: &str = "CERTIFICATE REQUEST";
/// Certificates of a chain: each read of the key shows them.
const LONGEST: usize = 64;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::int")]
    version: Option<i64>,
    /// A request whose subject and attributes the new one has.
    #[serde(deserialize_with = "weak::string")]
    csr: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Set {
    #[serde(deserialize_with = "weak::int")]
    version: Option<i64>,
    #[serde(deserialize_with = "weak::string")]
    certificate_chain: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    csr: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// A request for a certificate.
pub(super) async fn request(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Ask>()?;
    let template = match asked.csr.as_deref().unwrap_or_default() {
        "" => Template::default(),
        pem => Template::of(pem).ok_or_else(|| Error::bad("could not decode PEM CSR"))?,
    };
    let key = transit.cache.key(name).await?;
    let key =
        key.ok_or_else(|| Error::bad(format!("key with provided name '{name}' not found")))?;
    let settings = &key.settings;
    settings.usable()?;
    settings.makes()?;
    signs(settings)?;
    let version = version(settings, asked.version.unwrap_or_default())?;
    settings.uncompromised(version)?;
    let signer = transit.cache.version(&key, version).await?;
    if signer.is_public_only() {
        return Err(Error::bad(NO_PRIVATE_HALF));
    }
    let spki = signer
        .spki()
        .ok_or(Error::Bug("a key that signs has no public half"))?;
    let info = der::sequence(&[
        &der::integer(&[]),
        &der::element(tag::SEQUENCE, &template.subject),
        &spki,
        &der::element(tag::FIRST, &template.attributes),
    ]);
    let csr = pace::slow(settings.kind, || sign(&signer, &info))?;
    let signed = Uses::one(Kind::Sign, info.len());
    signer.tally.add(&signed, transit.census.user(call));
    Reply::data(&Shown {
        csr: &to_pem(REQUEST, &csr),
        name,
        kind: settings.kind.name(),
    })
}

/// Keeps a chain of certificates, whose first is that of the version.
pub(super) async fn set(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Set>()?;
    let pem = asked.certificate_chain.unwrap_or_default();
    let chain = from_pem("CERTIFICATE", &pem)
        .ok_or_else(|| Error::bad("could not decode a PEM block in the certificate chain"))?;
    if chain.len() > LONGEST {
        let text = format!("has more than {LONGEST} certificates");
        return Err(Error::field("certificate_chain", text));
    }
    transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (mut settings, revision) = stored
                .ok_or_else(|| Error::bad(format!("key with provided name '{name}' not found")))?;
            settings.usable()?;
            signs(&settings)?;
            let version = version(&settings, asked.version.unwrap_or_default())?;
            let key = transit.cache.key(name).await?.ok_or(Error::NotFound)?;
            let key = transit.cache.version(&key, version).await?;
            check(&chain, &key)?;
            settings.certified = true;
            let batch = Batch::new().unchanged(policy_key(name), revision);
            let batch = chains::put(&settings, version, &chain, batch)?;
            transit.commit(name, settings.put(name, batch)?).await
        })
        .await?;
    Ok(Reply::none())
}

/// The subject and the attributes of a request, as the bytes inside them.
#[derive(Default)]
struct Template {
    subject: Vec<u8>,
    attributes: Vec<u8>,
}

impl Template {
    fn of(pem: &str) -> Option<Self> {
        let blocks = from_pem(REQUEST, pem)?;
        let mut request = Reader::new(blocks.first()?).sequence().ok()?;
        let mut info = request.sequence().ok()?;
        info.integer().ok()?;
        let subject = info.take(tag::SEQUENCE).ok()?;
        info.take(tag::SEQUENCE).ok()?;
        let attributes = match info.peek() {
            Some(tag::FIRST) => info.take(tag::FIRST).ok()?,
            _ => &[],
        };
        Some(Self {
            subject: subject.to_vec(),
            attributes: attributes.to_vec(),
        })
    }
}

fn signs(settings: &Settings) -> Result<(), Error> {
    match settings.kind.signs() {
        true if settings.derived => Err(Error::bad(
            "a derived key has a public half for each context, and no certificate",
        )),
        true if settings.kind.curve_half().is_some() => Err(Error::bad(
            "keys of type hybrid have two public halves, and no certificate",
        )),
        true => Ok(()),
        false => Err(Error::bad(format!(
            "key type '{}' does not support signing",
            settings.kind.name()
        ))),
    }
}

/// The version that is asked for; 0 asks for the latest.
fn version(settings: &Settings, asked: i64) -> Result<u32, Error> {
    match asked {
        0 => Ok(settings.latest_version),
        asked => settings
            .decryption_version(asked)
            .map_err(|_| Error::field("version", "no such key version")),
    }
}

/// All are certificates, and the first is of the key and of no authority.
fn check(chain: &[Vec<u8>], key: &ServiceKey) -> Result<(), Error> {
    let refused = |why: &str| Error::field("certificate_chain", why);
    for (index, der) in chain.iter().enumerate() {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| refused("not a certificate"))?;
        if !rest.is_empty() {
            return Err(refused("not a certificate"));
        }
        if index > 0 {
            continue;
        }
        if certificate.is_ca() {
            return Err(refused(
                "certificate in the first element is not a valid leaf certificate",
            ));
        }
        if key.spki().as_deref() != Some(certificate.public_key().raw) {
            return Err(refused("the first certificate is of another key"));
        }
    }
    Ok(())
}

/// What is to be signed, with its signature.
fn sign(key: &ServiceKey, info: &[u8]) -> Result<Vec<u8>, Error> {
    let (hash, algorithm) = match key.kind().family() {
        Family::Ecdsa(Curve::P256) => (Digest::Sha2_256, ecdsa_with(2)),
        Family::Ecdsa(Curve::P384) => (Digest::Sha2_384, ecdsa_with(3)),
        Family::Ecdsa(Curve::P521) => (Digest::Sha2_512, ecdsa_with(4)),
        Family::Rsa(_) => (Digest::Sha2_256, sha256_with_rsa()),
        Family::MlDsa(set) => (
            Digest::Sha2_512,
            der::sequence(&[&der::element(tag::OID, set.oid())]),
        ),
        _ => (
            Digest::Sha2_512,
            der::sequence(&[&der::element(tag::OID, &[0x2b, 0x65, 0x70])]),
        ),
    };
    let scheme = Scheme {
        hash: Some(hash),
        prehashed: false,
        padding: Padding::Pkcs1,
        side_by_side: false,
    };
    let signature = key.sign(info, &scheme, None)?;
    Ok(der::sequence(&[info, &algorithm, &der::bits(&signature)]))
}

/// `ecdsa-with-SHA256` and its like.
fn ecdsa_with(hash: u8) -> Vec<u8> {
    let oid = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, hash];
    der::sequence(&[&der::element(tag::OID, &oid)])
}

fn sha256_with_rsa() -> Vec<u8> {
    let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    der::sequence(&[&der::element(tag::OID, &oid), &der::element(tag::NULL, &[])])
}
