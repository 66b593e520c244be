//! The keys of a server, from its shares and a copy of its store: the same way down that it goes itself, by the
//! formats as they are documented.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_backends::storage::Redb;
use keyfold_core::ports::storage::Storage;
use keyfold_keys::aead::{self, Algorithm};
use keyfold_keys::{kdf, rng, shamir, xaes};
use serde_json::Value;

use crate::scan::Needle;

/// What a key is derived for.
pub const CONTEXT: &[u8] = b"customer 4711";

/// Random bytes for a canary.
pub fn random() -> [u8; 16] {
    rng::bytes()
}

/// What hexadecimal digits stand for.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// The unseal key and the root key alone: what a server has no need of between two uses.
pub fn above_keyring(dir: &Path, shares: &[String]) -> Vec<Needle> {
    let copy = dir.join("copy.redb");
    fs::copy(dir.join("store"), &copy).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store(Redb::open(&copy).unwrap());
        let unseal_key = unseal_key(shares);
        let root_key = store.root_key(&unseal_key).await;
        // It is the one that opens the keyring.
        store.kek(&root_key).await;
        let keys = [("unseal key", unseal_key), ("root key", root_key)];
        let needles = keys.iter().flat_map(|(name, key)| {
            let text = Needle::text(&format!("{name} in base64"), &STANDARD.encode(key));
            Needle::halves(name, key).into_iter().chain([text])
        });
        needles.collect()
    })
}

/// The unseal key, the root key, each KEK, DEK and transit key: in halves, and what is ever text also as that.
pub fn of_store(dir: &Path, shares: &[String]) -> Vec<Needle> {
    let copy = dir.join("copy.redb");
    fs::copy(dir.join("store"), &copy).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store(Redb::open(&copy).unwrap());
        let mut needles = Vec::new();
        let mut note = |name: &str, key: &[u8]| {
            needles.extend(Needle::halves(name, key));
            needles.push(Needle::text(
                &format!("{name} in base64"),
                &STANDARD.encode(key),
            ));
        };
        let unseal_key = unseal_key(shares);
        note("unseal key", &unseal_key);
        let root_key = store.root_key(&unseal_key).await;
        note("root key", &root_key);
        let kek = store.kek(&root_key).await;
        note("KEK", &kek);
        let mut transit_keys = 0;
        for (mount, dek) in store.deks(&kek).await {
            note("DEK", &dek);
            for key in store.transit_keys(&mount, &dek).await {
                note("transit key", &key);
                let mut derived = [0; 32];
                kdf::hkdf_sha256(&key, &[CONTEXT], &mut derived).unwrap();
                note("derived transit key", &derived);
                transit_keys += 1;
            }
        }
        assert_eq!(transit_keys, 2);
        needles
    })
}

fn unseal_key(shares: &[String]) -> Vec<u8> {
    let shares: Vec<Vec<u8>> = shares.iter().map(|share| bytes(share)).collect();
    let shares: Vec<&[u8]> = shares.iter().map(Vec::as_slice).collect();
    shamir::combine(&shares).unwrap().expose().clone()
}

struct Store(Redb);

impl Store {
    /// `core/seal/shamir`: format 1, nonce 12, AES-256-GCM.
    async fn root_key(&self, unseal_key: &[u8]) -> Vec<u8> {
        let seal: Value = serde_json::from_slice(&self.get("core/seal/shamir").await).unwrap();
        let wrapped = STANDARD.decode(seal["root_key"].as_str().unwrap()).unwrap();
        let (nonce, sealed) = wrapped[1..].split_first_chunk().unwrap();
        let context = format!(
            "core/seal/shamir {} of {}",
            seal["threshold"], seal["shares"]
        );
        let aad = [&wrapped[..1], context.as_bytes()].concat();
        let key = aead::Key::new(Algorithm::Aes256Gcm, unseal_key).unwrap();
        key.open(*nonce, &aad, &mut sealed.to_vec())
            .unwrap()
            .to_vec()
    }

    /// `core/keyring`: format 1, nonce 24, XAES-256-GCM over JSON.
    async fn kek(&self, root_key: &[u8]) -> Vec<u8> {
        let wrapped = self.get("core/keyring").await;
        let keyring: Value =
            serde_json::from_slice(&open(root_key, 1, b"core/keyring", &wrapped)).unwrap();
        STANDARD
            .decode(keyring[0]["key"].as_str().unwrap())
            .unwrap()
    }

    /// `core/dek/<mount>/1`: format 1, term 4, nonce 24, XAES-256-GCM.
    async fn deks(&self, kek: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut deks = Vec::new();
        for mount in self.list("core/dek/").await {
            let at = format!("core/dek/{mount}1");
            let dek = open(kek, 5, at.as_bytes(), &self.get(&at).await);
            deks.push((mount.trim_end_matches('/').to_owned(), dek));
        }
        assert!(deks.len() >= 3, "the system's, and those of two mounts");
        deks
    }

    /// `logical/<mount>/keys/<id>/1`, where the mount has any: a record with format 1 and the material.
    async fn transit_keys(&self, mount: &str, dek: &[u8]) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let folder = format!("logical/{mount}/keys/");
        for id in self.list(&folder).await {
            let at = format!("{folder}{id}1");
            let context = [
                &(mount.len() as u64).to_be_bytes(),
                mount.as_bytes(),
                at.as_bytes(),
            ]
            .concat();
            let record = open(dek, 5, &context, &self.get(&at).await);
            keys.push(record[1..].to_vec());
        }
        keys
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        self.0
            .get(key)
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("no record {key}"))
            .value
    }

    async fn list(&self, folder: &str) -> Vec<String> {
        self.0.list(folder, "", 0).await.unwrap().names
    }
}

/// A message of XAES-256-GCM after a header; both are in its additional data.
fn open(key: &[u8], header_len: usize, context: &[u8], message: &[u8]) -> Vec<u8> {
    let (header, rest) = message.split_at(header_len);
    let (nonce, sealed) = rest.split_first_chunk().unwrap();
    let key = xaes::Key::new(key.try_into().unwrap());
    key.open(nonce, &[header, context].concat(), &mut sealed.to_vec())
        .unwrap()
        .to_vec()
}
