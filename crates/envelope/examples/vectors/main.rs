//! Writes `testdata/vectors.json`, the vectors of `docs/envelope-format.md`, to standard output:
//!
//! ```text
//! cargo run -p keyfold-envelope --example vectors > crates/envelope/testdata/vectors.json
//! ```
//!
//! Deterministic: all keys, salts and ids are drawn from names, and what is random is kept as it is.
//! They are for tests only.

mod apart;
mod offline;

use std::error::Error;
use std::io::Write;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use keyfold_envelope::cobblestone::{COMMITMENT_LEN, SALT_LEN, seal};
use keyfold_envelope::header::{HEADER_LEN, Header, PRELUDE_LEN, Prelude};
use keyfold_envelope::slot::{
    FLAG_AAD_BOUND, SLOT_COUNT, SLOT_LEN, Slot, SlotState, SlotTable, TYPE_TRANSIT, kek_id,
};
use keyfold_envelope::{Context, Labels, Locator};
use keyfold_secret::Protected;
use serde_json::{Map, Value, json};

type Anything<T> = Result<T, Box<dyn Error>>;

/// When all wraps were made.
const TIME: u64 = 1_767_225_600;
const CLUSTER: &str = "7a3c1f52-0b6d-4c1e-9a52-3f0d5c1b8e77";

fn main() -> Anything<()> {
    let small = [
        Plan::new("empty", 0),
        Plan::new("one-byte", 1),
        Plan {
            context: &[("tenant", "acme")],
            ..Plan::new("context", 100)
        },
        Plan {
            context: &[("b", ""), ("a", "x=y"), ("ä", "ö")],
            ..Plan::new("context-of-three", 100)
        },
        Plan {
            labels: ["payments", "acme", "backup"],
            ..Plan::new("labels", 100)
        },
        Plan {
            is_bound: false,
            ..Plan::new("wrap-without-aad", 100)
        },
        Plan {
            versions: &[(0, 4_294_967_295, Active)],
            ..Plan::new("highest-version", 100)
        },
        Plan {
            locator: "team/a/transit/key.name_1-x",
            ..Plan::new("mount-of-three-parts", 100)
        },
        Plan {
            versions: &[(0, 1, Retired), (1, 2, Active)],
            ..Plan::new("rotated-once", 100)
        },
        Plan {
            versions: &[
                (0, 7, Active),
                (1, 2, Retired),
                (2, 3, Retired),
                (3, 4, Retired),
                (4, 5, Retired),
                (5, 6, Retired),
            ],
            ..Plan::new("rotated-six-times", 100)
        },
        Plan {
            versions: &[(0, 1, Active), (1, 2, Active)],
            ..Plan::new("interrupted", 100)
        },
        Plan {
            versions: &[(0, 1, Retired), (1, 2, Pending)],
            ..Plan::new("pending", 100)
        },
    ];
    let large = [
        Plan::new("one-chunk-less-a-byte", 16_383),
        Plan::new("one-chunk", 16_384),
        Plan::new("one-chunk-and-a-byte", 16_385),
        Plan::new("one-batch", 1_048_576),
        Plan::new("257-chunks", 4_194_313),
    ];
    let offline = [
        Plan {
            has_offline: true,
            ..Plan::new("three-recipients", 100)
        },
        Plan {
            has_offline: true,
            versions: &[],
            context: &[("tenant", "acme")],
            ..Plan::new("offline-only", 20_000)
        },
    ];
    let detached = [0, 100, 40_000].map(|len| Plan {
        is_detached: true,
        context: &[("tenant", "acme")],
        ..Plan::new(
            match len {
                0 => "detached-empty",
                100 => "detached",
                _ => "detached-three-chunks",
            },
            len,
        )
    });
    let keyring = [Plan {
        has_keyring: true,
        versions: &[],
        ..Plan::new("keyring", 100)
    }];
    let vectors = small
        .iter()
        .chain(&large)
        .map(vector)
        .collect::<Anything<Vec<_>>>()?;
    let document = json!({
        "about": "Keyfold envelope format 1. Throwaway keys made for tests; never use them.",
        "filler": "bytes of a name: SHA-256(name as UTF-8 || 8-byte big-endian counter from 0), \
                   blocks joined and cut to length. DEK: 'dek NAME'; KEK version v: 'kek v'; salt: \
                   'salt NAME'; object id: 'id NAME'; nonce of a wrap: 'nonce NAME v'; plaintext: NAME",
        "wrap": "AES-256-GCM(KEK, nonce 12, DEK), blob = nonce || ciphertext 32 || tag 16",
        "file": "prelude || six sectors (zero where not listed) || 456 zero bytes || salt || \
                 commitment || chunks",
        "cluster_id": CLUSTER,
        "vectors": vectors,
        "offline_about": "as vectors, with slots that need no server. Seed of an offline key: 'seed \
                          NAME'; its encapsulation is random and was made once. Salt of argon2id: \
                          'argon2 salt NAME'; nonce below it: 'nonce NAME passphrase'. A text that \
                          opens version 1: kek_text",
        "offline": offline.iter().map(vector).collect::<Anything<Vec<_>>>()?,
        "detached_about": "as vectors, with the header by itself and the payload beside it: salt || commitment || \
                           chunks",
        "detached": detached.iter().map(vector).collect::<Anything<Vec<_>>>()?,
        "keyring_about": "as vectors, with a slot of type 2. Service DEK: 'service dek NAME', its id 'dek id NAME', \
                          wrapped by version 1 of the KEK with the nonce 'nonce NAME row'; nonce of the slot: \
                          'nonce NAME keyring'",
        "keyring": keyring.iter().map(vector).collect::<Anything<Vec<_>>>()?,
        "damaged": damaged(),
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    Ok(out.write_all(b"\n")?)
}

use SlotState::{Active, Pending, Retired};

/// What an envelope of the vectors is made of.
struct Plan {
    name: &'static str,
    len: usize,
    locator: &'static str,
    context: &'static [(&'static str, &'static str)],
    labels: [&'static str; 3],
    is_bound: bool,
    /// Sector, version and state of each slot.
    versions: &'static [(usize, u32, SlotState)],
    /// Has slots for an offline key and a passphrase too.
    has_offline: bool,
    /// Has a slot for a DEK of a keyring.
    has_keyring: bool,
    /// The header stands by itself.
    is_detached: bool,
}

impl Plan {
    const fn new(name: &'static str, len: usize) -> Self {
        Self {
            name,
            len,
            locator: "transit/payments",
            context: &[],
            labels: [""; 3],
            is_bound: true,
            versions: &[(0, 1, Active)],
            has_offline: false,
            has_keyring: false,
            is_detached: false,
        }
    }
}

fn vector(plan: &Plan) -> Anything<Value> {
    let name = plan.name;
    let mut context = Context::new();
    let mut pairs = Map::new();
    for (key, value) in plan.context {
        context.insert(key, value)?;
        pairs.insert((*key).to_owned(), json!(value));
    }
    let label = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let [service, tenant, purpose] = plan.labels.map(label);
    let labels = Labels {
        service,
        tenant,
        purpose,
    };
    let prelude = Prelude::new(filler(&format!("id {name}")), &context, &labels)?;
    let prelude = match plan.is_detached {
        true => prelude.detached(),
        false => prelude,
    };
    let dek: [u8; 32] = filler(&format!("dek {name}"));
    let protected = Protected::<32>::init_with(|key| key.copy_from_slice(&dek));
    let salt: [u8; SALT_LEN] = filler(&format!("salt {name}"));

    let plaintext = filler_vec(name, plan.len);
    let message = seal(&protected, &salt, &prelude.payload_context(), &plaintext)?;
    let commitment = message
        .get(SALT_LEN..)
        .and_then(|rest| rest.first_chunk::<COMMITMENT_LEN>());
    let slots = plan
        .versions
        .iter()
        .map(|place| slot(plan, &prelude, &dek, *place));
    let slots = slots.collect::<Anything<Vec<_>>>()?;
    let offline = match plan.has_offline {
        true => offline::slots(name, &prelude, &dek)?,
        false => Vec::new(),
    };
    let keyring = match plan.has_keyring {
        true => Some(apart::keyring(name, plan.locator, &prelude, &dek)?),
        false => None,
    };
    let mut table = vec![0; SLOT_COUNT * SLOT_LEN];
    let places = slots.iter().map(|(sector, slot)| (*sector, slot));
    let places = places.chain(offline.iter().map(|place| (place.sector, &place.slot)));
    let places = places.chain(keyring.iter().map(|keyring| (0, &keyring.slot)));
    for (sector, slot) in places {
        let bytes = slot.encode()?;
        let place = sector * SLOT_LEN..sector * SLOT_LEN + bytes.len();
        let place = table.get_mut(place).ok_or("no such sector")?;
        place.copy_from_slice(&bytes);
    }
    let header = Header {
        prelude: prelude.clone(),
        slots: SlotTable::parse(&table),
        salt,
        commitment: *commitment.ok_or("the message has no head")?,
    };
    let head_len = SALT_LEN + COMMITMENT_LEN;
    let chunks = message.get(head_len..).unwrap_or_default();
    let file = [&header.encode()[..], chunks].concat();

    let sectors = slots.iter().map(|(sector, slot)| {
        Ok(json!({
            "sector": sector,
            "state": format!("{:?}", slot.state).to_lowercase(),
            "version": slot.version,
            "generation": slot.generation,
            "kek_hex": hex::encode(filler::<32>(&format!("kek {}", slot.version))),
            "bytes_hex": hex::encode(slot.encode()?),
        }))
    });
    let offline = offline.iter().map(|place| {
        let mut told = place.told.clone();
        set(&mut told, "sector", place.sector);
        set(&mut told, "type", place.slot.kind);
        set(&mut told, "bytes_hex", hex::encode(place.slot.encode()?));
        Ok(told)
    });
    let offline = offline.collect::<Anything<Vec<_>>>()?;
    let mut document = json!({
        "name": name,
        "locator": plan.locator,
        "context": pairs,
        "labels": { "service": labels.service, "tenant": labels.tenant, "purpose": labels.purpose },
        "aad_hex": plan.is_bound.then(|| hex::encode(prelude.aad())),
        "dek_hex": hex::encode(dek),
        "prelude_hex": hex::encode(prelude.as_bytes()),
        "slots": sectors.collect::<Anything<Vec<_>>>()?,
        "salt_hex": hex::encode(salt),
        "commitment_hex": hex::encode(header.commitment),
        "header_sha256": sha256(&header.encode()),
        "plaintext_len": plan.len,
        "plaintext_sha256": sha256(&plaintext),
        "chunks_hex": (chunks.len() <= 256).then(|| hex::encode(chunks)),
        "file_len": file.len(),
        "file_sha256": sha256(&file),
    });
    if plan.has_offline {
        set(&mut document, "offline_slots", offline);
    }
    if let Some(keyring) = keyring {
        set(&mut document, "keyring", keyring.told);
    }
    if plan.is_detached {
        apart::tell_payload(&mut document, &message);
    }
    if plan.has_offline && !plan.versions.is_empty() {
        set(&mut document, "kek_text", kek_text(plan.locator));
    }
    Ok(document)
}

fn set(document: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

/// Version 1 of the KEK, as it is exported.
fn kek_text(locator: &str) -> String {
    let bytes = [&1u32.to_be_bytes()[..], &filler::<32>("kek 1")].concat();
    let crc = crc32c::crc32c(&[&bytes, locator.as_bytes()].concat());
    let bytes = [&bytes[..], &crc.to_be_bytes()].concat();
    format!("KEYFOLD-KEK-{} {locator}", hex::encode_upper(bytes))
}

fn slot(
    plan: &Plan,
    prelude: &Prelude,
    dek: &[u8; 32],
    (sector, version, state): (usize, u32, SlotState),
) -> Anything<(usize, Slot)> {
    let locator: Locator = plan.locator.parse()?;
    let nonce: [u8; 12] = filler(&format!("nonce {} {version}", plan.name));
    let kek: [u8; 32] = filler(&format!("kek {version}"));
    let aad = prelude.aad();
    let aad = if plan.is_bound { &aad[..] } else { &[] };
    let slot = Slot {
        state,
        kind: TYPE_TRANSIT,
        span: 1,
        flags: if plan.is_bound { FLAG_AAD_BOUND } else { 0 },
        version,
        wrapped_at: TIME,
        kek_id: kek_id(CLUSTER, &locator),
        locator: Some(locator),
        blob: seal_dek(&kek, nonce, aad, dek)?,
        generation: version,
    };
    Ok((sector, slot))
}

/// A wrap under AES-256-GCM: nonce, ciphertext, tag.
fn seal_dek(kek: &[u8; 32], nonce: [u8; 12], aad: &[u8], dek: &[u8; 32]) -> Anything<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, kek)?);
    let mut wrap = dek.to_vec();
    let nonce_value = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce_value, Aad::from(aad), &mut wrap)?;
    Ok([&nonce[..], &wrap].concat())
}

/// Changed files and what a reader says. `write` puts bytes at an offset, `copy` takes `len` bytes
/// from `from` to `to`, after that `cut` keeps the first bytes and `append` adds some.
fn damaged() -> Value {
    let sector = |n: usize| PRELUDE_LEN + n * SLOT_LEN;
    let write = |at: usize, len: usize, byte: &str| json!({ "at": at, "hex": byte.repeat(len) });
    json!([
        { "name": "torn-only-slot", "base": "one-byte",
          "write": [write(sector(0) + 256, 256, "00")], "outcome": "TornSlot" },
        { "name": "torn-only-slot-start", "base": "one-byte",
          "write": [write(sector(0), 256, "00")], "outcome": "TornSlot" },
        { "name": "torn-new-slot", "base": "rotated-once",
          "write": [write(sector(1) + 256, 256, "00")], "outcome": "opens", "version": 1 },
        { "name": "torn-retired-mark", "base": "rotated-once",
          "write": [write(sector(0), 1, "01")], "outcome": "opens", "version": 2 },
        { "name": "torn-both", "base": "rotated-once",
          "write": [write(sector(0) + 9, 1, "77"), write(sector(1) + 9, 1, "77")],
          "outcome": "TornSlot" },
        { "name": "torn-checksum", "base": "interrupted",
          "write": [write(sector(1) + 508, 4, "00")], "outcome": "opens", "version": 1 },
        { "name": "no-slot", "base": "one-byte",
          "write": [write(sector(0), 512, "00")], "outcome": "NoUsableSlot" },
        { "name": "object-id", "base": "wrap-without-aad",
          "write": [write(16, 1, "00")], "outcome": "WrongKey" },
        { "name": "label", "base": "labels", "write": [write(66, 1, "50")], "outcome": "Service" },
        { "name": "salt", "base": "one-byte",
          "write": [write(4040, 1, "00")], "outcome": "WrongKey" },
        { "name": "commitment", "base": "one-byte",
          "write": [write(4095, 1, "00")], "outcome": "WrongKey" },
        { "name": "context-hash", "base": "one-byte",
          "write": [write(32, 1, "01")], "outcome": "WrongContext" },
        { "name": "reserved", "base": "one-byte",
          "write": [write(4000, 1, "01")], "outcome": "HeaderDamaged" },
        { "name": "text-mode", "base": "one-byte",
          "write": [write(6, 1, "0d")], "outcome": "HeaderDamaged" },
        { "name": "no-magic", "base": "one-byte",
          "write": [write(0, 8, "20")], "outcome": "NotAnEnvelope" },
        { "name": "version-2", "base": "one-byte",
          "write": [write(8, 1, "02")], "outcome": "UnsupportedVersion" },
        { "name": "suite-9", "base": "one-byte",
          "write": [write(9, 1, "09")], "outcome": "Unsupported" },
        { "name": "detached", "base": "one-byte",
          "write": [write(12, 1, "01")], "outcome": "Unsupported" },
        { "name": "chunk-0", "base": "257-chunks",
          "write": [write(HEADER_LEN + 7, 2, "00")], "outcome": "CorruptChunk" },
        { "name": "chunk-1-in-place-of-0", "base": "257-chunks",
          "copy": { "from": HEADER_LEN + 16_400, "to": HEADER_LEN, "len": 16_400 },
          "outcome": "MisplacedChunk" },
        { "name": "last-chunk", "base": "257-chunks",
          "write": [write(HEADER_LEN + 256 * 16_400, 2, "00")], "outcome": "EndDamaged" },
        { "name": "cut-in-a-chunk", "base": "257-chunks",
          "cut": HEADER_LEN + 16_400 + 500, "outcome": "EndDamaged" },
        { "name": "cut-between-chunks", "base": "257-chunks",
          "cut": HEADER_LEN + 16_400, "outcome": "Truncated" },
        { "name": "cut-empty-last-chunk", "base": "one-chunk",
          "cut": HEADER_LEN + 16_400, "outcome": "Truncated" },
        { "name": "cut-in-the-header", "base": "one-byte", "cut": 4095, "outcome": "Truncated" },
        { "name": "trailing-byte", "base": "one-chunk-less-a-byte",
          "append": "00", "outcome": "TrailingBytes" },
        { "name": "trailing-chunk", "base": "one-byte",
          "append": "00".repeat(16_400), "outcome": "TrailingBytes" },
    ])
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

fn filler<const N: usize>(name: &str) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&filler_vec(name, N));
    out
}

fn filler_vec(name: &str, len: usize) -> Vec<u8> {
    let block = |n: u64| {
        let input = [name.as_bytes(), &n.to_be_bytes()].concat();
        digest(&SHA256, &input).as_ref().to_vec()
    };
    (0u64..).flat_map(block).take(len).collect()
}
