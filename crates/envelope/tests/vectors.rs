//! The published vectors: each envelope is put together from its parts, opened by its wraps, and
//! damaged in each way that has an error of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad as AeadAad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use keyfold_envelope::cache::{CacheLimits, DekCache, Partition};
use keyfold_envelope::cobblestone::seal;
use keyfold_envelope::header::{Header, Prelude};
use keyfold_envelope::keyring::{DekOptions, FileStore, ServiceDeks};
use keyfold_envelope::slot::{Sector, TYPE_KEYRING, kek_id};
use keyfold_envelope::{
    Aad, Context, DecryptOptions, Detached, Error, Identity, KeyService, KeyVersions, Labels,
    Locator, NoProgress, Opened, Passphrase, RewrapItem, RewrapOutcome, ServiceError, WrappedDek,
    decrypt_stream, identities_of, open_batch, recipients_of,
};
use keyfold_secret::{Protected, Secret};
use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn number(value: &Value, name: &str) -> usize {
    value[name].as_u64().unwrap() as usize
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

fn filler(name: &str, len: usize) -> Vec<u8> {
    let block = |n: u64| {
        let input = [name.as_bytes(), &n.to_be_bytes()].concat();
        digest(&SHA256, &input).as_ref().to_vec()
    };
    (0u64..).flat_map(block).take(len).collect()
}

fn context(vector: &Value) -> Context {
    let mut context = Context::new();
    for (name, value) in vector["context"].as_object().unwrap() {
        context.insert(name, value.as_str().unwrap()).unwrap();
    }
    context
}

/// The file, from the parts as the document describes them.
fn file(vector: &Value) -> Vec<u8> {
    let dek: [u8; 32] = bytes(vector, "dek_hex").try_into().unwrap();
    let dek = Protected::init_with(|key| key.copy_from_slice(&dek));
    let salt = bytes(vector, "salt_hex").try_into().unwrap();
    let payload_context = [b"keyfold/1", &bytes(vector, "prelude_hex")[..]].concat();
    let plaintext = filler(text(vector, "name"), number(vector, "plaintext_len"));
    let message = seal(&dek, &salt, &payload_context, &plaintext).unwrap();

    let mut file = bytes(vector, "prelude_hex");
    file.resize(4040, 0);
    let slots = list(vector, "slots").iter();
    let keyring = vector.get("keyring");
    for slot in slots.chain(list(vector, "offline_slots")).chain(keyring) {
        let (at, bytes) = (512 + 512 * number(slot, "sector"), bytes(slot, "bytes_hex"));
        file[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    file.extend(message);
    file
}

/// The KEKs of one vector.
struct Keks(HashMap<u32, Vec<u8>>);

impl Keks {
    fn of(vector: &Value) -> Self {
        let slots = list(vector, "slots").iter();
        Self(
            slots
                .map(|s| (number(s, "version") as u32, bytes(s, "kek_hex")))
                .collect(),
        )
    }
}

impl KeyService for Keks {
    fn unwrap(
        &self,
        _: &Locator,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Protected<32>, ServiceError> {
        let kek = &self.0[&wrapped.version];
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, kek).unwrap());
        let (nonce, sealed) = wrapped.blob.split_first_chunk().unwrap();
        let mut sealed = sealed.to_vec();
        let aad = AeadAad::from(aad.map_or(&[][..], |aad| &aad[..]));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let dek = key
            .open_in_place(nonce, aad, &mut sealed)
            .map_err(|_| ServiceError::WrongKey)?;
        Ok(Protected::init_with(|key| key.copy_from_slice(dek)))
    }

    fn wrap(
        &self,
        _: &Locator,
        _: &Protected<32>,
        _: Option<&Aad>,
    ) -> Result<WrappedDek, ServiceError> {
        Err(ServiceError::Denied)
    }

    fn rewrap(&self, _: &Locator, _: &[RewrapItem]) -> Result<Vec<RewrapOutcome>, ServiceError> {
        Err(ServiceError::Denied)
    }

    fn versions(&self, _: &Locator) -> Result<Option<KeyVersions>, ServiceError> {
        Ok(None)
    }

    fn binds_aad(&self) -> bool {
        true
    }

    fn cluster_id(&self) -> Result<String, ServiceError> {
        Err(ServiceError::Denied)
    }
}

fn open(vector: &Value, file: &[u8]) -> (Vec<u8>, Result<Opened, Error>) {
    open_with(vector, &Keks::of(vector), file)
}

fn open_with(
    vector: &Value,
    identity: &dyn Identity,
    file: &[u8],
) -> (Vec<u8>, Result<Opened, Error>) {
    let mut released = Vec::new();
    let options = DecryptOptions::default();
    let context = context(vector);
    let result = decrypt_stream(
        &[identity],
        &context,
        file,
        &mut released,
        &options,
        &NoProgress,
    );
    (released, result)
}

#[test]
fn envelopes_are_as_described_and_open() {
    let document = document();
    assert_eq!(list(&document, "vectors").len(), 17);
    for vector in list(&document, "vectors") {
        let name = text(vector, "name");
        let file = file(vector);
        assert_eq!(file.len(), number(vector, "file_len"), "{name}");
        assert_eq!(sha256(&file), text(vector, "file_sha256"), "{name}");
        assert_eq!(
            sha256(&file[..4096]),
            text(vector, "header_sha256"),
            "{name}"
        );
        assert_eq!(
            hex::encode(&file[4064..4096]),
            text(vector, "commitment_hex"),
            "{name}"
        );
        if let Some(chunks) = vector["chunks_hex"].as_str() {
            assert_eq!(hex::encode(&file[4096..]), chunks, "{name}");
        }
        let (released, result) = open(vector, &file);
        let active = list(vector, "slots")
            .iter()
            .filter(|slot| slot["state"] == "active");
        let newest = active.max_by_key(|slot| number(slot, "version"));
        let expected = newest.or(list(vector, "slots").last()).unwrap();
        assert_eq!(
            result.unwrap().slot.version as usize,
            number(expected, "version"),
            "{name}"
        );
        assert_eq!(
            sha256(&released),
            text(vector, "plaintext_sha256"),
            "{name}"
        );
    }
}

/// Each slot that needs no server opens its envelope alone.
#[test]
fn offline_slots_are_as_described_and_open() {
    let document = document();
    assert_eq!(list(&document, "offline").len(), 2);
    for vector in list(&document, "offline") {
        let name = text(vector, "name");
        let file = file(vector);
        assert_eq!(sha256(&file), text(vector, "file_sha256"), "{name}");
        let header = Header::parse_prefix(&file).unwrap();
        let mut identities: Vec<(u64, Box<dyn Identity>)> = Vec::new();
        for slot in list(vector, "offline_slots") {
            let Sector::Slot(read) = &header.slots.sectors()[number(slot, "sector")] else {
                panic!("{name}");
            };
            let bytes = text(slot, "bytes_hex");
            assert_eq!(hex::encode(read.encode().unwrap()), bytes, "{name}");
            let kind = slot["type"].as_u64().unwrap();
            let identity = match kind {
                4 => {
                    let recipient = &recipients_of(text(slot, "recipient")).unwrap()[0];
                    assert_eq!(recipient.id(), read.kek_id);
                    assert_eq!(recipient.to_string(), text(slot, "recipient"));
                    identities_of(text(slot, "identity")).unwrap().remove(0)
                }
                _ => {
                    let text = Secret::new(text(slot, "passphrase").to_owned());
                    Box::new(Passphrase::new(text).unwrap())
                }
            };
            identities.push((kind, identity));
        }
        if let Some(kek) = vector["kek_text"].as_str() {
            identities.push((1, identities_of(kek).unwrap().remove(0)));
        }
        assert!(identities.len() >= 2);
        for (kind, identity) in identities {
            let (released, result) = open_with(vector, identity.as_ref(), &file);
            assert_eq!(u64::from(result.unwrap().slot.kind), kind, "{name}");
            assert_eq!(sha256(&released), text(vector, "plaintext_sha256"));
        }
    }
}

/// The header by itself, and the payload beside it.
#[test]
fn detached_envelopes_are_as_described_and_open() {
    let document = document();
    assert_eq!(list(&document, "detached").len(), 3);
    for vector in list(&document, "detached") {
        let name = text(vector, "name");
        let file = file(vector);
        let (header, payload) = (&file[..4096], &file[4040..]);
        assert_eq!(sha256(header), text(vector, "header_sha256"), "{name}");
        assert_eq!(payload.len(), number(vector, "payload_len"), "{name}");
        assert_eq!(sha256(payload), text(vector, "payload_sha256"), "{name}");
        let parsed = Header::parse(header.try_into().unwrap()).unwrap();
        assert!(parsed.prelude.is_detached() && parsed.is_of(payload[..56].try_into().unwrap()));
        let keks = Keks::of(vector);
        let (opened, _) = Detached::open(&[&keks], parsed, &context(vector)).unwrap();
        let mut plain = vec![0; payload.len()];
        let batch = open_batch(opened.key(), 0, &payload[56..], true, &mut plain);
        assert!(batch.error.is_none(), "{name}");
        assert_eq!(sha256(batch.plain), text(vector, "plaintext_sha256"));
        // Together they are no attached envelope.
        let (released, refused) = open(vector, &file);
        assert!(released.is_empty() && matches!(refused, Err(Error::Unsupported(_))));
    }
}

/// An envelope opens by the keyring that is published with it.
#[test]
fn an_envelope_under_a_keyring_is_as_described_and_opens() {
    let document = document();
    let vector = &list(&document, "keyring")[0];
    let keyring = &vector["keyring"];
    let file = file(vector);
    assert_eq!(sha256(&file), text(vector, "file_sha256"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyring");
    std::fs::write(&path, keyring["document"].to_string()).unwrap();
    let keks = Keks(HashMap::from([(1, bytes(keyring, "kek_hex"))]));
    let deks = ServiceDeks::open(
        Box::new(FileStore::new(&path)),
        Arc::new(keks),
        Partition::of(&[b"token"]),
        DekCache::new(CacheLimits::default()),
        DekOptions::default(),
    )
    .unwrap();
    let service_dek = deks.decrypting(1).unwrap();
    assert_eq!(
        service_dek.bytes().expose()[..],
        bytes(keyring, "service_dek_hex")[..]
    );
    let (released, result) = open_with(vector, &deks, &file);
    let slot = result.unwrap().slot;
    assert_eq!((slot.kind, slot.version), (TYPE_KEYRING, 1));
    assert_eq!(sha256(&released), text(vector, "plaintext_sha256"));
}

#[test]
fn headers_are_written_as_described() {
    let document = document();
    for vector in list(&document, "vectors") {
        let name = text(vector, "name");
        let label = |name: &str| vector["labels"][name].as_str().map(str::to_owned);
        let labels = Labels {
            service: label("service"),
            tenant: label("tenant"),
            purpose: label("purpose"),
        };
        let id = filler(&format!("id {name}"), 16).try_into().unwrap();
        let prelude = Prelude::new(id, &context(vector), &labels).unwrap();
        assert_eq!(
            hex::encode(prelude.as_bytes()),
            text(vector, "prelude_hex"),
            "{name}"
        );
        if let Some(aad) = vector["aad_hex"].as_str() {
            assert_eq!(hex::encode(prelude.aad()), aad, "{name}");
        }
        let header = Header::parse_prefix(&file(vector)).unwrap();
        assert_eq!(
            sha256(&header.encode()),
            text(vector, "header_sha256"),
            "{name}"
        );
        for expected in list(vector, "slots") {
            let Sector::Slot(slot) = &header.slots.sectors()[number(expected, "sector")] else {
                panic!("{name}");
            };
            assert_eq!(
                hex::encode(slot.encode().unwrap()),
                text(expected, "bytes_hex"),
                "{name}"
            );
            assert_eq!(
                format!("{:?}", slot.state).to_lowercase(),
                text(expected, "state")
            );
            assert_eq!(slot.version as usize, number(expected, "version"), "{name}");
            assert_eq!(
                slot.generation as usize,
                number(expected, "generation"),
                "{name}"
            );
            let locator: Locator = text(vector, "locator").parse().unwrap();
            assert_eq!(
                slot.kek_id,
                kek_id(text(&document, "cluster_id"), &locator),
                "{name}"
            );
            assert_eq!(slot.locator, Some(locator), "{name}");
        }
    }
}

#[test]
fn damaged_envelopes_have_their_outcome() {
    let document = document();
    assert_eq!(list(&document, "damaged").len(), 27);
    for case in list(&document, "damaged") {
        let name = text(case, "name");
        let mut vectors = list(&document, "vectors").iter();
        let base = vectors
            .find(|vector| vector["name"] == case["base"])
            .unwrap();
        let mut file = file(base);
        for write in list(case, "write") {
            let (at, new) = (number(write, "at"), bytes(write, "hex"));
            assert_ne!(file[at..at + new.len()], new[..], "{name} changes nothing");
            file[at..at + new.len()].copy_from_slice(&new);
        }
        if let Some(copy) = case.get("copy") {
            let (from, len) = (number(copy, "from"), number(copy, "len"));
            file.copy_within(from..from + len, number(copy, "to"));
        }
        if case.get("cut").is_some() {
            file.truncate(number(case, "cut"));
        }
        if case.get("append").is_some() {
            file.extend(bytes(case, "append"));
        }

        let (released, result) = open(base, &file);
        let plaintext = filler(text(base, "name"), number(base, "plaintext_len"));
        assert!(plaintext.starts_with(&released), "{name}");
        match (text(case, "outcome"), result) {
            ("opens", result) => {
                assert_eq!(
                    result.unwrap().slot.version as usize,
                    number(case, "version"),
                    "{name}"
                );
                assert_eq!(released, plaintext, "{name}");
            }
            (outcome, result) => {
                let error = format!("{:?}", result.unwrap_err());
                let variant = error.split(['(', ' ']).next().unwrap();
                assert_eq!(variant, outcome, "{name}");
            }
        }
    }
}
