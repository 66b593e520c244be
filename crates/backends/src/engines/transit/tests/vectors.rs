//! What an existing server made with keys whose backups are known: all of it opens, verifies and is
//! made again here.

use serde_json::value::RawValue;

use super::*;

/// An answer holds at least this.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| holds(found, value))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| holds(found, expected))
        }
        (found, expected) => found == expected,
    }
}

fn golden(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/");
    let text = std::fs::read(format!("{path}{name}")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Sends a recorded request; parameters of its path stand in its body then.
async fn send(mount: &Mount, request: &Value) -> Result<Answer, Error> {
    let path = request["path"]
        .as_str()
        .unwrap()
        .strip_prefix("/v1/transit/")
        .unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut body = request["body"].as_object().cloned().unwrap_or_default();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        body.insert(name.to_owned(), value.into());
    }
    let op = match request["method"].as_str().unwrap_or("GET") {
        "GET" => Op::Read,
        _ => Op::Write,
    };
    mount.ask(op, path, &Value::from(body).to_string()).await
}

async fn restored() -> (Mount, Value) {
    let vectors = golden("transit-vectors.json");
    let mount = Mount::new().await;
    for key in vectors["keys"].as_array().unwrap() {
        let name = key["name"].as_str().unwrap();
        mount
            .write(&format!("restore/{name}"), json!({"backup": key["backup"]}))
            .await;
    }
    (mount, vectors)
}

#[tokio::test]
async fn what_was_made_elsewhere() {
    let (mount, vectors) = restored().await;
    let mut counts = BTreeMap::new();
    for entry in vectors["entries"].as_array().unwrap() {
        let (id, op) = (entry["id"].as_str().unwrap(), entry["op"].as_str().unwrap());
        for then in entry["then"].as_array().unwrap() {
            let answer = send(&mount, then).await;
            let answer = answer.unwrap_or_else(|error| panic!("{id} then: {error}"));
            assert!(
                holds(&answer.data, &then["expect"]),
                "{id}: {} {then}",
                answer.data
            );
        }
        let answer = send(&mount, &entry["request"]).await;
        let answer = answer.unwrap_or_else(|error| panic!("{id}: {error}"));
        // With associated data, nonces of convergent keys follow a rule of their own.
        let bound =
            id.contains("convergent") && entry["request"].to_string().contains("associated");
        if entry["deterministic"] == true && !bound {
            assert!(
                holds(&answer.data, &entry["response"]),
                "{id}: {}",
                answer.data
            );
        }
        if op == "sign" {
            let mut verify = entry["request"].clone();
            let path = verify["path"]
                .as_str()
                .unwrap()
                .replace("/sign/", "/verify/");
            verify["path"] = path.into();
            verify["body"]["signature"] = answer.data["signature"].clone();
            verify["body"]
                .as_object_mut()
                .unwrap()
                .remove("key_version");
            let verified = send(&mount, &verify).await.unwrap();
            assert_eq!(verified.data["valid"], true, "{id}, made here");
        }
        *counts.entry(op.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(counts["sign"], 603);
    assert_eq!(counts["encrypt"], 397);
    assert_eq!(counts["export"], 241);
}

#[tokio::test]
async fn what_was_refused_elsewhere() {
    let (mount, vectors) = restored().await;
    let refused = vectors["refused_exports"].as_array().unwrap().iter();
    let failing = vectors["keys"].as_array().unwrap().iter();
    let failing = failing
        .filter_map(|key| key["must_fail"].as_array())
        .flatten();
    let mut count = 0;
    for request in refused.chain(failing) {
        match send(&mount, request).await {
            Err(Error::BadRequest(_)) => {}
            Err(other) => panic!("{request}: {other}"),
            Ok(_) => panic!("{request} was taken"),
        }
        count += 1;
    }
    assert!(count > 60, "{count}");
}

#[tokio::test]
async fn keys_from_elsewhere_are_shown_as_there() {
    let (mount, vectors) = restored().await;
    for key in vectors["keys"].as_array().unwrap() {
        let mut shown = mount.show(key["name"].as_str().unwrap()).await;
        let mut expected = key["read"].clone();
        // What is not restored.
        let versions = expected.get_mut("keys").and_then(Value::as_object_mut);
        for version in versions.into_iter().flatten() {
            if let Some(version) = version.1.as_object_mut() {
                version.remove("creation_time");
            }
        }
        assert!(holds(&shown, &expected), "{shown} {expected}");
        assert!(shown["restore_info"]["version"].is_u64());
        let members = shown.as_object_mut().unwrap();
        members.remove("restore_info");
        members.remove("backup_info");
        assert_eq!(
            members.len(),
            expected.as_object().unwrap().len(),
            "{shown}"
        );
    }
}

/// The members of a version in a backup, digit for digit: the numbers are too long for JSON values.
type Entry = BTreeMap<String, Box<RawValue>>;

fn entries(backup: &Value) -> Vec<Entry> {
    #[derive(serde::Deserialize)]
    struct Whole {
        archived_keys: Archive,
    }
    #[derive(serde::Deserialize)]
    struct Archive {
        keys: Vec<Entry>,
    }
    let text = keyfold_api::base64::decode(backup.as_str().unwrap()).unwrap();
    let whole: Whole = serde_json::from_slice(&text).unwrap();
    whole.archived_keys.keys
}

#[tokio::test]
async fn backups_lead_back() {
    let (mount, vectors) = restored().await;
    for key in vectors["keys"].as_array().unwrap() {
        let name = key["name"].as_str().unwrap();
        let backup = mount
            .ask(Op::Read, &format!("backup/{name}"), "")
            .await
            .unwrap()
            .data;
        mount
            .write(
                "restore/copy",
                json!({"backup": backup["backup"], "force": true}),
            )
            .await;
        for part in ["encryption-key", "signing-key", "hmac-key"] {
            let export = async |name: &str| {
                let answer = mount
                    .ask(Op::Read, &format!("export/{part}/{name}"), "")
                    .await;
                answer.map(|answer| answer.data["keys"].clone()).ok()
            };
            assert_eq!(export("copy").await, export(name).await, "{name} {part}");
        }
        let (ours, theirs) = (entries(&backup["backup"]), entries(&key["backup"]));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            for member in [
                "key",
                "hmac_key",
                "ec_d",
                "ec_x",
                "rsa_key",
                "convergent_version",
            ] {
                let of = |entry: &Entry| entry.get(member).map(|value| value.get().to_owned());
                assert_eq!(of(ours), of(theirs), "{name} {member}");
            }
        }
    }
}

#[tokio::test]
async fn backups_that_are_none() {
    let mount = Mount::new().await;
    mount
        .write(
            "keys/k",
            json!({"exportable": true, "allow_plaintext_backup": true}),
        )
        .await;
    let backup = mount.ask(Op::Read, "backup/k", "").await.unwrap().data["backup"].clone();
    let text = keyfold_api::base64::decode(backup.as_str().unwrap()).unwrap();
    let whole: Value = serde_json::from_slice(&text).unwrap();
    let changed = |at: &str, value: Value| {
        let mut changed = whole.clone();
        *changed.pointer_mut(at).unwrap() = value;
        keyfold_api::base64::encode(changed.to_string().as_bytes())
    };
    let table = [
        changed("/policy/type", json!(99)),
        changed("/policy/type", json!(10)),
        changed("/policy/type", json!(1)),
        changed("/policy/latest_version", json!(0)),
        changed("/policy/latest_version", json!(4_294_967_295_u32)),
        changed("/policy/min_decryption_version", json!(2)),
        changed("/policy/min_available_version", json!(7)),
        changed("/policy/convergent_encryption", json!(true)),
        changed("/policy/name", json!("../x")),
        changed("/archived_keys/keys", json!([])),
        changed("/archived_keys/keys/1/key", json!("AAAA")),
        changed("/archived_keys/keys/1/key", Value::Null),
        "e30=".to_owned(),
        "!!".to_owned(),
        "bm9uc2Vuc2U=".to_owned(),
    ];
    for (index, backup) in table.iter().enumerate() {
        let path = if index == 8 { "restore" } else { "restore/new" };
        let error = mount.refused(path, json!({"backup": backup})).await;
        assert!(!error.is_empty(), "{index}");
        assert!(matches!(
            mount.ask(Op::Read, "keys/new", "").await,
            Err(Error::NotFound)
        ));
    }
    let error = mount.refused("restore/k", json!({"backup": backup})).await;
    assert_eq!(error, "key \"k\" already exists");
    assert_eq!(
        mount.refused("restore", json!({})).await,
        "'backup' must be supplied"
    );
    mount
        .write("restore/k", json!({"backup": backup, "force": true}))
        .await;
    mount.key("plain", 1).await;
    let error = mount
        .ask(Op::Read, "backup/plain", "")
        .await
        .err()
        .unwrap()
        .to_string();
    assert_eq!(error, "exporting is disallowed on the policy");
}
