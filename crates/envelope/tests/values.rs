//! The published values: each opens at its place, and nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::sync::Arc;

use keyfold_envelope::value::{from_text, to_text};
use keyfold_envelope::{Place, ValueError, ValueKey, open_value};
use keyfold_secret::Protected;
use serde_json::Value;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).unwrap()
}

fn number(value: &Value, name: &str) -> u32 {
    value[name].as_u64().unwrap().try_into().unwrap()
}

fn key(vector: &Value) -> Arc<ValueKey> {
    let dek: [u8; 32] = bytes(vector, "dek_hex").try_into().unwrap();
    let dek = Protected::init_with(|key| key.copy_from_slice(&dek));
    Arc::new(ValueKey::new(number(vector, "dek_no"), &dek))
}

fn document() -> Value {
    serde_json::from_str(include_str!("../testdata/values.json")).unwrap()
}

#[test]
fn values_open_at_their_place() {
    let document = document();
    let vectors = document["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let name = text(vector, "name");
        let row = bytes(vector, "key_hex");
        let place = Place {
            table: text(vector, "table"),
            column: text(vector, "column"),
            key: &row,
        };
        let value = bytes(vector, "value_hex");
        let opened = open_value(&key(vector), &place, &value).unwrap();
        assert!(opened.ct_eq(&bytes(vector, "plaintext_hex")), "{name}");
        assert_eq!(to_text(&value), text(vector, "text"), "{name}");
        assert_eq!(from_text(text(vector, "text")).unwrap(), value, "{name}");
    }
}

#[test]
fn damaged_values_have_their_outcome() {
    let document = document();
    let damaged = document["damaged"].as_array().unwrap();
    assert_eq!(damaged.len(), 10);
    for case in damaged {
        let name = text(case, "name");
        let row = bytes(case, "key_hex");
        let place = Place {
            table: text(case, "table"),
            column: text(case, "column"),
            key: &row,
        };
        let opened = open_value(&key(case), &place, &bytes(case, "value_hex"));
        let outcome = match opened.err().unwrap() {
            ValueError::NotAValue => "NotAValue",
            ValueError::WrongKeyOrPlace => "WrongKeyOrPlace",
            ValueError::UnknownDek(_) => "UnknownDek",
            other => panic!("{name}: {other}"),
        };
        assert_eq!(outcome, text(case, "outcome"), "{name}");
    }
}
