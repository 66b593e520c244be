//! The payload's cipher against recorded and published vectors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::io::Read;

use aws_lc_rs::digest::{self, SHA256, SHA512};
use keyfold_envelope::cobblestone::{
    CHUNK_LEN, HEAD_LEN, MessageError, PayloadKey, SALT_LEN, SEALED_CHUNK_LEN, open, plaintext_len,
    seal, sealed_len,
};
use keyfold_secret::Protected;
use serde_json::Value;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/");

fn golden(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(format!("{GOLDEN}{name}")).unwrap()).unwrap()
}

fn list<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    file[name].as_array().unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn number(value: &Value, name: &str) -> usize {
    value[name].as_u64().unwrap().try_into().unwrap()
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).unwrap()
}

/// A key of any other length than 32 bytes cannot be made.
fn key(bytes: &[u8]) -> Option<Protected<32>> {
    let bytes: &[u8; 32] = bytes.try_into().ok()?;
    Some(Protected::init_with(|key| key.copy_from_slice(bytes)))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&SHA256, bytes))
}

fn filler(seed: &str, len: usize) -> Vec<u8> {
    let block = |n: u64| {
        let input = [seed.as_bytes(), &n.to_be_bytes()].concat();
        digest::digest(&SHA256, &input).as_ref().to_vec()
    };
    (0u64..).flat_map(block).take(len).collect()
}

fn context(message: &Value) -> Vec<u8> {
    match message.get("context_hex") {
        Some(context) => hex::decode(context.as_str().unwrap()).unwrap(),
        None => filler(
            text(message, "context_seed"),
            number(message, "context_len"),
        ),
    }
}

fn plaintext(message: &Value) -> Vec<u8> {
    filler(
        text(message, "plaintext_seed"),
        number(message, "plaintext_len"),
    )
}

fn message(golden: &Value) -> Vec<u8> {
    let salt: [u8; SALT_LEN] = bytes(golden, "salt_hex").try_into().unwrap();
    let key = key(&bytes(golden, "key_hex")).unwrap();
    seal(&key, &salt, &context(golden), &plaintext(golden)).unwrap()
}

/// What a streaming reader hands out, and how it ends.
fn read(key: &[u8], context: &[u8], message: &[u8]) -> (Vec<u8>, Option<MessageError>) {
    let mut released = Vec::new();
    let key = self::key(key).unwrap();
    let end = open(&key, context, message, |chunk| {
        released.extend_from_slice(chunk)
    });
    (released, end.err())
}

#[test]
fn messages_are_made_and_opened() {
    let golden = golden("cobblestone.json");
    assert_eq!(list(&golden, "messages").len(), 33);
    for case in list(&golden, "messages") {
        let name = text(case, "name");
        let sealed = message(case);
        assert_eq!(sealed.len(), number(case, "ciphertext_len"), "{name}");
        assert_eq!(sha256(&sealed), text(case, "ciphertext_sha256"), "{name}");
        let (opened, error) = read(&bytes(case, "key_hex"), &context(case), &sealed);
        assert_eq!(error, None, "{name}");
        assert_eq!(sha256(&opened), text(case, "plaintext_sha256"), "{name}");
    }
    for case in list(&golden, "made_elsewhere") {
        let sealed = message(case);
        assert_eq!(
            sha256(&sealed),
            text(case, "ciphertext_sha256"),
            "{}",
            text(case, "name")
        );
        let (opened, error) = read(&bytes(case, "key_hex"), &context(case), &sealed);
        assert_eq!(
            (error, opened),
            (None, plaintext(case)),
            "{}",
            text(case, "name")
        );
    }
}

#[test]
fn damaged_messages_release_their_authentic_beginning_only() {
    let golden = golden("cobblestone.json");
    assert_eq!(list(&golden, "damaged").len(), 69);
    for case in list(&golden, "damaged") {
        let name = text(case, "name");
        let base = list(&golden, "messages")
            .iter()
            .find(|m| m["name"] == case["base"])
            .unwrap();
        let own_context = ["context_hex", "context_seed"]
            .iter()
            .any(|n| case.get(*n).is_some());
        let context = context(if own_context { case } else { base });
        let key = bytes(
            if case.get("key_hex").is_some() {
                case
            } else {
                base
            },
            "key_hex",
        );
        let mut sealed = message(base);
        list(case, "edits")
            .iter()
            .for_each(|step| edit(&mut sealed, step));
        assert_eq!(
            sha256(&sealed),
            text(case, "ciphertext_sha256"),
            "{name}: edits"
        );
        if text(case, "error") == "key-size" {
            assert!(self::key(&key).is_none(), "{name}");
            continue;
        }

        let (released, error) = read(&key, &context, &sealed);
        let chunk = || case["chunk"].as_u64().unwrap();
        let expected = match text(case, "error") {
            "header-too-short" => MessageError::NoHead,
            "commitment" => MessageError::Commitment,
            "truncated" | "invalid-length" => MessageError::Truncated(chunk()),
            "chunk" => MessageError::Chunk(chunk()),
            other => panic!("{other}"),
        };
        assert_eq!(error, Some(expected), "{name}");
        assert_eq!(
            released.len(),
            number(case, "authentic_prefix_len"),
            "{name}"
        );
        assert!(plaintext(base).starts_with(&released), "{name}");
    }
}

fn edit(sealed: &mut Vec<u8>, step: &Value) {
    let at = |name: &str| number(step, name);
    match text(step, "op") {
        "truncate" => sealed.truncate(at("len")),
        "xor" => sealed[at("offset")] ^= at("mask") as u8,
        "append" => sealed.extend(bytes(step, "hex")),
        "append_range" => sealed.extend_from_within(at("offset")..at("offset") + at("len")),
        "delete" => drop(sealed.drain(at("offset")..at("offset") + at("len"))),
        "swap" => (0..at("len")).for_each(|i| sealed.swap(at("a") + i, at("b") + i)),
        "copy" => sealed.copy_within(at("from")..at("from") + at("len"), at("to")),
        "replace" => {
            let new = bytes(step, "hex");
            sealed.resize(sealed.len().max(at("offset") + new.len()), 0);
            sealed[at("offset")..at("offset") + new.len()].copy_from_slice(&new);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn lengths() {
    let golden = golden("cobblestone.json");
    assert_eq!(list(&golden, "lengths").len(), 19);
    for case in list(&golden, "lengths") {
        let message = case["ciphertext_len"].as_u64().unwrap();
        let found = message.checked_sub(HEAD_LEN as u64).and_then(plaintext_len);
        assert_eq!(found, case["plaintext_len"].as_u64(), "{message}");
        if let Some(plain) = found {
            assert_eq!(sealed_len(plain), Some(message - HEAD_LEN as u64));
        }
    }
    assert_eq!(sealed_len(1 << 52), None);
    assert_eq!(
        (sealed_len(u64::MAX), plaintext_len(u64::MAX)),
        (None, None)
    );
}

/// The chunks that a part lies in, and where they are in the message.
#[test]
fn parts() {
    let golden = golden("cobblestone.json");
    assert_eq!(list(&golden, "ranges").len(), 10);
    for case in list(&golden, "ranges") {
        let base = list(&golden, "messages")
            .iter()
            .find(|message| text(message, "name") == text(case, "base"));
        let base = base.unwrap();
        let sealed = message(base);
        let salt: [u8; SALT_LEN] = bytes(base, "salt_hex").try_into().unwrap();
        let dek = key(&bytes(base, "key_hex")).unwrap();
        let payload = PayloadKey::derive(&dek, &salt, &context(base));
        let at = number(case, "ciphertext_offset");
        let chunks = &sealed[at..at + number(case, "ciphertext_len")];
        let first = number(case, "first_chunk");
        assert_eq!(at, HEAD_LEN + first * SEALED_CHUNK_LEN);
        let mut opened = Vec::new();
        for (index, chunk) in chunks.chunks(SEALED_CHUNK_LEN).enumerate() {
            let mut plain = vec![0; CHUNK_LEN];
            let index = (first + index) as u64;
            let len = payload.open_chunk(index, chunk, &mut plain).unwrap();
            opened.extend_from_slice(&plain[..len]);
        }
        let last = number(case, "last_chunk");
        assert_eq!(opened.len().div_ceil(CHUNK_LEN), last - first + 1);
        let from = number(case, "offset") - first * CHUNK_LEN;
        let part = &opened[from..from + number(case, "len")];
        assert_eq!(sha256(part), text(case, "plaintext_sha256"), "{case}");
    }
}

#[test]
fn wycheproof() {
    let file = golden("wycheproof/c2sp_chunked_encryption_aes_256_gcm_test.json");
    let mut run = 0;
    for case in list(&file, "testGroups")
        .iter()
        .flat_map(|group| list(group, "tests"))
    {
        let id = &case["tcId"];
        run += 1;
        let mut sealed = Vec::new();
        let packed = bytes(case, "ct");
        flate2::read::ZlibDecoder::new(&packed[..])
            .read_to_end(&mut sealed)
            .unwrap();
        let is_valid = text(case, "result") == "valid";
        let raw_key = bytes(case, "key");
        if key(&raw_key).is_none() {
            assert!(!is_valid, "{id}");
            continue;
        }
        let (released, error) = read(&raw_key, &bytes(case, "ctx"), &sealed);
        assert_eq!(error.is_none(), is_valid, "{id}: {error:?}");
        let authentic = case
            .get("msgLength")
            .map_or(0, |_| number(case, "msgLength"));
        assert_eq!(released.len(), authentic, "{id}");
        if case.get("msgSha512").is_some() {
            let hash = hex::encode(digest::digest(&SHA512, &released));
            assert_eq!(hash, text(case, "msgSha512"), "{id}");
        }
    }
    assert_eq!(run, 35);
}
