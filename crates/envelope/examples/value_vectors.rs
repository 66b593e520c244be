//! Writes `testdata/values.json`, the vectors of the section about values in `docs/envelope-format.md`, to standard output:
//!
//! ```text
//! cargo run -p keyfold-envelope --example value_vectors > crates/envelope/testdata/values.json
//! ```
//!
//! Deterministic, and put together step by step as the page says, not by the code that is tested with it.

use std::error::Error;
use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use keyfold_envelope::value::to_text;
use keyfold_keys::{kdf, xaes};
use serde_json::{Map, Value, json};

/// A value before it is sealed.
#[derive(Clone, Copy)]
struct Plan {
    name: &'static str,
    dek_no: u32,
    table: &'static str,
    column: &'static str,
    key: &'static [u8],
    len: usize,
}

const PLAIN: Plan = Plan {
    name: "plain",
    dek_no: 1,
    table: "customers",
    column: "iban",
    key: b"4711",
    len: 22,
};

fn main() -> Result<(), Box<dyn Error>> {
    let plans = [
        PLAIN,
        Plan {
            name: "empty",
            len: 0,
            ..PLAIN
        },
        Plan {
            name: "one-byte",
            len: 1,
            ..PLAIN
        },
        Plan {
            name: "long",
            len: 5000,
            ..PLAIN
        },
        Plan {
            name: "highest-number",
            dek_no: u32::MAX,
            ..PLAIN
        },
        Plan {
            name: "number-0",
            dek_no: 0,
            ..PLAIN
        },
        Plan {
            name: "no-names",
            table: "",
            column: "",
            key: b"",
            ..PLAIN
        },
        Plan {
            name: "not-ascii",
            table: "öffentlich.kunden",
            key: b"\x00\xff\x80",
            ..PLAIN
        },
    ];
    let vectors = plans.iter().map(vector).collect::<Result<Vec<_>, _>>()?;
    let document = json!({
        "about": "Values of the Keyfold envelope format 1. Throwaway keys made for tests; never use them.",
        "filler": "bytes of a name: SHA-256(name as UTF-8 || 8-byte big-endian counter from 0), blocks joined \
                   and cut to length. DEK: 'dek NAME'; nonce: 'nonce NAME'; plaintext: NAME",
        "vectors": vectors,
        "damaged": damaged()?,
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    Ok(out.write_all(b"\n")?)
}

fn vector(plan: &Plan) -> Result<Value, Box<dyn Error>> {
    let value = seal(plan)?;
    let plaintext = filler(plan.name, plan.len);
    Ok(document(
        plan,
        [
            ("name", plan.name.to_owned()),
            ("plaintext_hex", hex::encode(plaintext)),
            ("value_hex", hex::encode(&value)),
            ("text", to_text(&value)),
        ],
    ))
}

/// What a reader says of the value of [`PLAIN`], changed or at another place.
fn damaged() -> Result<Value, Box<dyn Error>> {
    let good = seal(&PLAIN)?;
    let case = |name: &str, plan: Plan, value: &[u8], outcome: &str| {
        document(
            &plan,
            [
                ("name", name.to_owned()),
                ("value_hex", hex::encode(value)),
                ("outcome", outcome.to_owned()),
            ],
        )
    };
    let flipped = |at: usize| {
        let bytes = good.iter().enumerate();
        bytes
            .map(|(place, byte)| byte ^ u8::from(place == at))
            .collect::<Vec<_>>()
    };
    let wrong = "WrongKeyOrPlace";
    let moved = |plan: Plan, name: &str| case(name, plan, &good, wrong);
    Ok(json!([
        moved(
            Plan {
                table: "customer",
                column: "siban",
                ..PLAIN
            },
            "borders-of-the-names"
        ),
        moved(
            Plan {
                column: "bic",
                ..PLAIN
            },
            "another-column"
        ),
        moved(
            Plan {
                key: b"4712",
                ..PLAIN
            },
            "another-row"
        ),
        moved(
            Plan {
                name: "other",
                ..PLAIN
            },
            "another-key"
        ),
        case("nonce", PLAIN, &flipped(5), wrong),
        case("tag", PLAIN, &flipped(good.len().saturating_sub(1)), wrong),
        case("unknown-number", PLAIN, &flipped(4), "UnknownDek"),
        case("format", PLAIN, &flipped(0), "NotAValue"),
        case(
            "cut",
            PLAIN,
            good.get(..44).unwrap_or_default(),
            "NotAValue"
        ),
        case("nothing", PLAIN, b"", "NotAValue"),
    ]))
}

/// Key and place of a plan, and what more there is to say.
fn document<const N: usize>(plan: &Plan, more: [(&str, String); N]) -> Value {
    let mut members = Map::new();
    let dek = filler(&format!("dek {}", plan.name), 32);
    let own = [
        ("dek_hex", hex::encode(dek)),
        ("table", plan.table.to_owned()),
        ("column", plan.column.to_owned()),
        ("key_hex", hex::encode(plan.key)),
    ];
    for (name, text) in own.into_iter().chain(more) {
        members.insert(name.to_owned(), Value::String(text));
    }
    members.insert("dek_no".to_owned(), json!(plan.dek_no));
    Value::Object(members)
}

fn seal(plan: &Plan) -> Result<Vec<u8>, Box<dyn Error>> {
    let dek: [u8; 32] = filler(&format!("dek {}", plan.name), 32)
        .as_slice()
        .try_into()?;
    let nonce: [u8; 24] = filler(&format!("nonce {}", plan.name), 24)
        .as_slice()
        .try_into()?;
    let mut key = [0; 32];
    kdf::expand_sha512(&dek, &[b"keyfold/1 values"], &mut key)?;
    let header = [&[1][..], &plan.dek_no.to_be_bytes()].concat();
    let mut aad = header.clone();
    for part in [plan.table.as_bytes(), plan.column.as_bytes(), plan.key] {
        aad.extend((part.len() as u64).to_be_bytes());
        aad.extend(part);
    }
    let mut body = filler(plan.name, plan.len);
    let tag = xaes::Key::new(&key).seal(&nonce, &aad, &mut body)?;
    Ok([&header[..], &nonce, &body, &tag].concat())
}

fn filler(name: &str, len: usize) -> Vec<u8> {
    let block = |n: u64| {
        let input = [name.as_bytes(), &n.to_be_bytes()].concat();
        digest(&SHA256, &input).as_ref().to_vec()
    };
    (0u64..).flat_map(block).take(len).collect()
}
