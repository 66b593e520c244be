//! The peer's conversation about KV version 2, step by step.

use super::*;

const TRANSCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/golden/kv-transcript.json"
);

/// What only the HTTP edge can answer.
const ELSEWHERE: [&str; 7] = [
    "head-",
    "patch-wrong-type",
    "patch-no-type",
    "put-name-tab",
    "get-name-tab",
    "put-name-dotdot",
    "put-name-double-slash",
];

/// Answered otherwise on purpose: nonsense is refused, numbers keep their digits, and names that
/// no call knows are warned of.
const OTHERWISE: [(&str, u16); 4] = [
    ("get-version-negative", 400),
    ("meta-put-negative-max", 400),
    ("get-numbers", 200),
    ("meta-put-unknown-field", 200),
];

/// Refused as by the peer, in words of our own.
const OWN_WORDS: [&str; 3] = [
    "error converting input",
    "validation failed",
    "error parsing",
];

#[tokio::test]
async fn answers_as_the_peer() {
    let text = std::fs::read_to_string(TRANSCRIPT).unwrap();
    let transcript: Value = serde_json::from_str(&text).unwrap();
    let scenarios = transcript["scenarios"].as_array().unwrap();
    let scenario = scenarios.iter().find(|s| s["name"] == "kv2").unwrap();
    let mount = Mount::new();
    let mut compared = 0;
    for step in scenario["steps"].as_array().unwrap() {
        let id = step["id"].as_str().unwrap();
        let Some((path, query)) = below_mount(&step["request"]) else {
            continue;
        };
        let skipped = ELSEWHERE.iter().any(|name| id.starts_with(name));
        let token = step["request"]["headers"].to_string().contains("${");
        if skipped || token || id.starts_with("ro-") {
            continue;
        }
        mount.clock.advance(Duration::from_millis(7));
        let (status, answer) = ask(&mount, &step["request"], &path, &query).await;
        if let Some((_, ours)) = OTHERWISE.iter().find(|(name, _)| *name == id) {
            assert_eq!(status, *ours, "{id}: {answer}");
            continue;
        }
        assert_eq!(json!(status), step["status"], "{id}: {answer}");
        compare(id, step, &answer);
        compared += 1;
    }
    assert!(compared > 180, "{compared} steps compared");
}

/// The path below the mount, decoded, and the query.
fn below_mount(request: &Value) -> Option<(String, String)> {
    let path = request["path"]
        .as_str()?
        .strip_prefix("/v1/secret/")?
        .to_owned();
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let mut decoded = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some((String::from_utf8(decoded).ok()?, query.to_owned()))
}

/// Status and body, as the edge would make them.
async fn ask(mount: &Mount, request: &Value, path: &str, query: &str) -> (u16, Value) {
    let listed = query.contains("list=true");
    let scanned = query.contains("scan=true");
    let op = match request["method"].as_str().unwrap() {
        "GET" if listed => Op::List,
        "GET" if scanned => Op::Scan,
        "SCAN" => Op::Scan,
        "GET" => Op::Read,
        "LIST" => Op::List,
        "DELETE" => Op::Delete,
        "PATCH" => Op::Patch,
        _ => Op::Write,
    };
    let body = match (&request["body"], &request["raw_body"]) {
        (_, Value::String(text)) => text.clone(),
        (Value::Null, _) => {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let pairs = pairs.filter(|(name, _)| !matches!(*name, "list" | "scan"));
            json!(pairs.collect::<BTreeMap<_, _>>()).to_string()
        }
        (body, _) => body.to_string(),
    };
    let texts = |status: u16, texts: &[String]| (status, json!({"errors": texts}));
    match mount.ask(op, path, &body).await {
        Ok(answer) => {
            let warnings = (!answer.warnings.is_empty()).then_some(&answer.warnings);
            let body = json!({"data": answer.data(), "warnings": warnings});
            (answer.status, body)
        }
        Err(Error::NotFound) => texts(404, &[]),
        Err(error @ Error::BadRequest(_)) => texts(400, &[error.to_string()]),
        Err(error @ Error::Unsupported(_)) => texts(405, &[error.to_string()]),
        Err(other) => panic!("{path}: {other}"),
    }
}

fn compare(id: &str, step: &Value, answer: &Value) {
    let peer = match (&step["response"], step["response_raw"].as_str()) {
        (Value::Null, Some(raw)) => serde_json::from_str(raw).unwrap(),
        (response, _) => response.clone(),
    };
    if let Some(errors) = peer["errors"].as_array() {
        let own_words = errors.iter().any(|text| {
            let text = text.as_str().unwrap();
            OWN_WORDS.iter().any(|part| text.contains(part))
        });
        if own_words {
            assert_eq!(answer["errors"].as_array().unwrap().len(), errors.len());
        } else {
            assert_eq!(answer["errors"], peer["errors"], "{id}");
        }
        return;
    }
    let volatile: Vec<_> = step["volatile"].as_array().into_iter().flatten().collect();
    let volatile: Vec<_> = volatile.iter().filter_map(|path| path.as_str()).collect();
    same(id, "$.data", &answer["data"], &peer["data"], &volatile);
    let named = |value: &Value| {
        value
            .to_string()
            .replace("Keyfold CLI", "OpenBao CLI")
            .replace("'keyfold kv", "'bao kv")
    };
    assert_eq!(named(&answer["warnings"]), named(&peer["warnings"]), "{id}");
}

/// Equal, but for moments, which only have to be there or not as the peer's.
fn same(id: &str, at: &str, ours: &Value, peers: &Value, volatile: &[&str]) {
    match (ours, peers) {
        (Value::Object(ours), Value::Object(peers)) => {
            assert_eq!(
                ours.keys().collect::<Vec<_>>(),
                peers.keys().collect::<Vec<_>>(),
                "{id} {at}"
            );
            for (name, value) in ours {
                same(id, &format!("{at}.{name}"), value, &peers[name], volatile);
            }
        }
        (Value::String(ours), Value::String(peers)) if at.ends_with("_time") => {
            assert_eq!(ours.is_empty(), peers.is_empty(), "{id} {at}");
        }
        _ => assert!(
            ours == peers || volatile.contains(&at),
            "{id} {at}: {ours} is not {peers}"
        ),
    }
}
