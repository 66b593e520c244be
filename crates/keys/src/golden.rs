//! For tests: reading the golden data, and the vectors in `testdata`.

use serde_json::Value;

/// A file of the golden data as JSON.
pub(crate) fn load(name: &str) -> Value {
    let path = format!(
        "{}/../../../shared/golden/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&text).unwrap()
}

/// A file of the crate's own vectors as JSON.
pub(crate) fn data(name: &str) -> Value {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The bytes of a hex member.
pub(crate) fn bytes(object: &Value, member: &str) -> Vec<u8> {
    let text = object[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {object}"));
    hex::decode(text).unwrap()
}

/// The bytes of a hex member of a known length.
pub(crate) fn array<const N: usize>(object: &Value, member: &str) -> [u8; N] {
    bytes(object, member).try_into().unwrap()
}

/// The items of a list member.
pub(crate) fn list<'a>(object: &'a Value, member: &str) -> &'a [Value] {
    object[member]
        .as_array()
        .unwrap_or_else(|| panic!("no list {member}"))
}
