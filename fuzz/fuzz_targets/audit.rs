//! Redaction: of any bytes, no string gets into the audit log, and of JSON all else does.
#![no_main]

use keyfold_keys::kdf::MacKey;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The broker's own file: what it holds is open to its parent alone.
#[allow(dead_code)]
#[path = "."]
mod audit {
    #[path = "../../crates/core/src/audit/redact.rs"]
    mod redact;

    /// What it reads of the broker's other files: a device that shows nothing in clear.
    mod format {
        pub struct Format {
            pub raw: bool,
            pub clear_accessor: bool,
        }
    }

    pub fn redacted(mac: &super::MacKey, json: &[u8], exempt: &[String]) -> String {
        let format = format::Format {
            raw: false,
            clear_accessor: false,
        };
        let veil = redact::Veil {
            mac,
            format: &format,
        };
        veil.object(json, exempt).get().to_owned()
    }

    pub fn hash(mac: &super::MacKey, text: &str) -> String {
        redact::hash(mac, text)
    }
}

fuzz_target!(|json: &[u8]| {
    let mac = MacKey::new(&[7; 32]);
    let exempt = ["data".to_owned()];
    for exempt in [&[][..], &exempt] {
        let text = audit::redacted(&mac, json, exempt);
        match (serde_json::from_slice(json), serde_json::from_str(&text)) {
            (Ok(read), Ok(written)) => assert_eq!(redacted(&mac, read, exempt), written),
            (Ok(_), Err(_)) => panic!("JSON became something else"),
            (Err(_), Ok(written)) => assert!(!exempt.is_empty() || is_hashed(&written)),
            // JSON, but nested deeper than the reader here goes.
            (Err(_), Err(_)) => {}
        }
    }
});

/// Whether each string is a hash: of what is no JSON, too, none may come through.
fn is_hashed(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().all(is_hashed),
        Value::Array(items) => items.iter().all(is_hashed),
        Value::String(text) => text.starts_with("hmac-sha256:"),
        _ => true,
    }
}

/// The same the simple way: over a tree.
fn redacted(mac: &MacKey, read: Value, exempt: &[String]) -> Value {
    match read {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| {
                    let value = if exempt.contains(&name) {
                        value
                    } else {
                        redacted(mac, value, &[])
                    };
                    (name, value)
                })
                .collect(),
        ),
        Value::Array(items) => items
            .into_iter()
            .map(|item| redacted(mac, item, &[]))
            .collect(),
        Value::String(text) => Value::String(audit::hash(mac, &text)),
        other => other,
    }
}
