//! The ciphertexts of an existing server, opened with the keys of its backups.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::*;

const VECTORS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/golden/transit-vectors.json"
);

#[derive(Deserialize)]
struct Vectors {
    keys: Vec<Key>,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Key {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    backup: String,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    key: String,
    op: String,
    request: Request,
    response: Fields,
    plaintext_base64: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    body: Fields,
}

/// The members of requests and responses that are looked at here.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Fields {
    plaintext: Option<String>,
    ciphertext: Option<String>,
    context: Option<String>,
    associated_data: Option<String>,
    batch_input: Vec<Fields>,
    batch_results: Vec<Fields>,
}

#[derive(Deserialize)]
struct Backup {
    policy: Policy,
    archived_keys: Archive,
}

#[derive(Deserialize)]
struct Policy {
    derived: bool,
    min_available_version: usize,
}

#[derive(Deserialize)]
struct Archive {
    keys: Vec<Material>,
}

#[derive(Deserialize)]
struct Material {
    key: Option<String>,
}

struct Restored {
    derived: bool,
    versions: BTreeMap<i64, ServiceKey>,
}

#[test]
fn ciphertexts_of_the_peer_open() {
    let vectors: Vectors = serde_json::from_slice(&std::fs::read(VECTORS).unwrap()).unwrap();
    let keys: BTreeMap<_, _> = vectors
        .keys
        .iter()
        .filter_map(|key| Some((key.name.as_str(), restore(key)?)))
        .collect();
    let mut opened = BTreeMap::new();
    for entry in &vectors.entries {
        let Some(key) = keys.get(entry.key.as_str()) else {
            continue;
        };
        for (request, response) in calls(entry) {
            let plaintext = match entry.op.as_str() {
                "encrypt" => entry.plaintext_base64.clone(),
                "encrypt-batch" => request.plaintext.clone(),
                "datakey" => response.plaintext.clone(),
                "rewrap" | "rewrap-batch" => None,
                _ => continue,
            };
            let found = open(key, &request, &response);
            if let Some(plaintext) = plaintext {
                assert_eq!(STANDARD.encode(found), plaintext, "{}", entry.id);
            }
            *opened.entry(entry.op.as_str()).or_insert(0) += 1;
        }
    }
    assert!(
        keys.len() >= 14,
        "four types, plain, derived and convergent, and the two odd ones"
    );
    for op in [
        "encrypt",
        "encrypt-batch",
        "datakey",
        "rewrap",
        "rewrap-batch",
    ] {
        assert!(
            opened.get(op).is_some_and(|count| *count > 10),
            "{op}: {opened:?}"
        );
    }
}

/// A key that is a cipher's.
fn restore(key: &Key) -> Option<Restored> {
    let kind = KeyType::from_name(&key.kind).filter(|kind| kind.is_symmetric())?;
    let backup: Backup = serde_json::from_slice(&STANDARD.decode(&key.backup).unwrap()).unwrap();
    let first = backup.policy.min_available_version;
    let versions = backup
        .archived_keys
        .keys
        .iter()
        .enumerate()
        .filter_map(|(index, material)| {
            let material = STANDARD
                .decode(material.key.as_ref().filter(|key| !key.is_empty())?)
                .unwrap();
            let version = i64::try_from(index + first).unwrap();
            Some((version, ServiceKey::new(kind, &material, None).unwrap()))
        });
    Some(Restored {
        derived: backup.policy.derived,
        versions: versions.collect(),
    })
}

fn calls(entry: &Entry) -> Vec<(Fields, Fields)> {
    let (request, response) = (&entry.request.body, &entry.response);
    if request.batch_input.is_empty() {
        return vec![(request.clone(), response.clone())];
    }
    request
        .batch_input
        .iter()
        .cloned()
        .zip(response.batch_results.iter().cloned())
        .collect()
}

fn open(key: &Restored, request: &Fields, response: &Fields) -> Vec<u8> {
    let bytes = |text: &Option<String>| STANDARD.decode(text.clone().unwrap_or_default()).unwrap();
    let ciphertext = response.ciphertext.as_ref().unwrap();
    let parsed = Ciphertext::parse(ciphertext).unwrap();
    let sealed = parsed.decode().unwrap();
    let written = Ciphertext::format(u32::try_from(parsed.version).unwrap(), &sealed);
    assert_eq!(&written, ciphertext);
    let version = key.versions.get(&parsed.version).unwrap();
    let cipher = if key.derived {
        version.derive(&bytes(&request.context), Kdf::Hkdf, false)
    } else {
        version.cipher()
    };
    cipher
        .unwrap()
        .decrypt(&bytes(&request.associated_data), sealed)
        .unwrap()
        .expose()
        .clone()
}
