//! Servers that open by seals: a static key, and the transit engine of another server.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
#![allow(dead_code, reason = "each test binary uses its part of the site")]

mod site;

use std::path::Path;
use std::time::Duration;

use keyfold_server::{Config, Server};
use serde_json::{Value, json};
use site::Site;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn config(folder: &Path, more: &str) -> String {
    format!(
        "storage \"redb\" {{ path = \"{}\" }}\n\
         listener \"tcp\" {{ address = \"127.0.0.1:0\" tls_disable = true }}\n{more}",
        folder.join("store").display()
    )
}

fn fixed(name: &str) -> String {
    format!(
        "seal \"static\" \"{name}\" {{ current_key = \"{KEY}\" current_key_id = \"{name}\" }}\n"
    )
}

impl Site {
    /// Begins a store that a seal opens, with one share beside it; gives the share.
    async fn begin(&mut self) -> String {
        let split = json!({"recovery_shares": 1, "recovery_threshold": 1});
        let (status, keys) = self.put("sys/init", split).await;
        assert_eq!(status, 200, "{keys}");
        self.token = keys["root_token"].as_str().unwrap().to_owned();
        keys["recovery_keys"][0].as_str().unwrap().to_owned()
    }

    /// Asks until it is so, for a while.
    async fn until(&self, path: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..300 {
            last = self.get(path).await.1;
            if so(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path}: {last}")
    }

    async fn opens(&self) {
        self.until("sys/seal-status", |status| status["sealed"] == json!(false))
            .await;
    }

    async fn again(self, config: &str) -> Self {
        self.server.shutdown().await.unwrap();
        // Who tends the seals may be at it still, in this same process.
        for _ in 0..400 {
            let config = Config::parse(config, Path::new("test.hcl")).unwrap();
            let Ok(server) = Server::start(config).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let base = format!(
                "http://{}",
                server.addresses()[0]
                    .to_string()
                    .trim_start_matches("http://")
            );
            return Self {
                server,
                base,
                client: self.client,
                token: self.token,
            };
        }
        panic!("the store stays in use")
    }
}

#[tokio::test]
async fn a_static_key_opens_at_each_start_and_seals_come_and_go_by_reload() {
    let folder = tempfile::tempdir().unwrap();
    let first = config(folder.path(), &fixed("one"));
    let mut site = Site::start(&first).await;
    let share = site.begin().await;
    site.opens().await;
    let (_, status) = site.get("sys/seal-status").await;
    assert_eq!(
        (&status["type"], &status["recovery_seal"]),
        (&json!("static"), &json!(true))
    );
    let mut site = site.again(&first).await;
    site.opens().await;

    // A second seal, and the first one gone: a reload each.
    for (seals, wanted) in [
        (fixed("one") + &fixed("two"), json!(["one", "two"])),
        (fixed("two"), json!(["two"])),
    ] {
        let next = Config::parse(&config(folder.path(), &seals), Path::new("k.hcl")).unwrap();
        site.server.reseal(&next).await.unwrap();
        let settled = |report: &Value| {
            let all = report["data"]["backends"].as_array().unwrap();
            let ready = all.iter().filter(|seal| seal["wrapped"] == json!(true));
            let names: Vec<_> = ready.map(|seal| seal["name"].clone()).collect();
            Value::from(names) == wanted
        };
        site.until("sys/seal-backend-status", settled).await;
        let migration = site
            .until("sys/seal-status", |s| s["migration"] == json!(false))
            .await;
        assert_eq!(migration["sealed"], false);
    }
    site = site.again(&config(folder.path(), &fixed("two"))).await;
    site.opens().await;

    // The key is lost: the server starts, says so, and the share opens it.
    let other = config(folder.path(), &fixed("two").replace("000102", "ffffff"));
    let site = site.again(&other).await;
    let health = site
        .until("sys/health", |health| !health["seals_failing"].is_null())
        .await;
    assert_eq!(health["seals_failing"][0]["condition"], "foreign");
    site.unseal(&share).await;
    assert_eq!(site.get("sys/mounts").await.0, 200);
    site.server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_key_whose_file_is_away_is_a_seal_that_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let stick = format!(
        "seal \"static\" \"stick\" {{ current_key = \"file://{}\" current_key_id = \"a\" }}\n",
        key.display()
    );
    std::fs::write(&key, KEY).unwrap();
    let alone = config(folder.path(), &stick);
    let mut site = Site::start(&alone).await;
    let share = site.begin().await;
    site.opens().await;

    std::fs::remove_file(&key).unwrap();
    let site = site.again(&alone).await;
    let health = site
        .until("sys/health", |health| !health["seals_failing"].is_null())
        .await;
    assert_eq!(health["seals_failing"][0]["condition"], "down");
    site.unseal(&share).await;
    assert_eq!(site.get("sys/mounts").await.0, 200);
    // What is read again has to be whole.
    let more = config(folder.path(), &(stick.clone() + &fixed("two")));
    let more = Config::parse(&more, Path::new("k.hcl")).unwrap();
    let refused = site.server.reseal(&more).await.unwrap_err().to_string();
    assert!(
        refused.contains("\"current_key\" names a file"),
        "{refused}"
    );

    // It opens without another start.
    let site = site.again(&alone).await;
    assert_eq!(site.get("sys/seal-status").await.1["sealed"], json!(true));
    std::fs::write(&key, KEY).unwrap();
    site.opens().await;
    site.server.shutdown().await.unwrap();
}

/// A server with a transit key, and a token that may use it and nothing else.
async fn outer(listener: &str, client: reqwest::ClientBuilder) -> (Site, String, String) {
    let config = format!("storage \"inmem\" {{}}\n{listener}");
    let mut outer = Site::start_with(&config, client).await;
    let share = outer.open().await;
    outer
        .put("sys/mounts/transit", json!({"type": "transit"}))
        .await;
    outer.put("transit/keys/unseal", json!({})).await;
    let policy = r#"path "transit/encrypt/unseal" { capabilities = ["update"] }
                    path "transit/decrypt/unseal" { capabilities = ["update"] }"#;
    outer
        .put("sys/policies/acl/unseal", json!({"policy": policy}))
        .await;
    let token = json!({"policies": ["unseal"], "ttl": "1h", "no_parent": true});
    let (_, made) = outer.put("auth/token/create", token).await;
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    (outer, share, token)
}

#[tokio::test]
async fn another_server_opens_and_neither_its_absence_nor_a_dead_token_ends_this_one() {
    let listener = "listener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }";
    let (outer, outer_share, token) = outer(listener, reqwest::Client::builder().no_proxy()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, &token).unwrap();
    let seal = format!(
        "seal \"transit\" \"outer\" {{ address = \"{}\" token = \"file://{}\" key_name = \"unseal\" }}",
        outer.base,
        file.display()
    );
    let inner_config = config(folder.path(), &seal);
    let mut inner = Site::start(&inner_config).await;
    let share = inner.begin().await;
    let inner = inner.again(&inner_config).await;
    inner.opens().await;

    // A new version of the key: the wrap follows.
    outer.put("transit/keys/unseal/rotate", json!({})).await;
    let next = Config::parse(&inner_config, Path::new("k.hcl")).unwrap();
    inner.server.reseal(&next).await.unwrap();
    inner
        .until("sys/seal-backend-status", |r| {
            r["data"]["backends"][0]["key_id"] == json!("v2")
        })
        .await;

    // The other server is sealed: an open one goes on, a started one waits and opens by itself.
    outer.put("sys/seal", json!({})).await;
    assert_eq!(inner.get("sys/mounts").await.0, 200);
    let (status, refused) = inner.put("sys/rotate", json!({})).await;
    assert_eq!(status, 503, "{refused}");
    let inner = inner.again(&inner_config).await;
    let health = inner
        .until("sys/health", |health| !health["seals_failing"].is_null())
        .await;
    let failing = &health["seals_failing"][0];
    assert_eq!(
        (&failing["name"], &failing["condition"]),
        (&json!("outer"), &json!("down"))
    );
    outer.unseal(&outer_share).await;
    inner.opens().await;

    // The token dies: refused, said, and mended by another token in the file.
    outer
        .put("auth/token/revoke", json!({"token": token}))
        .await;
    let inner = inner.again(&inner_config).await;
    let refused = |health: &Value| health["seals_failing"][0]["condition"] == json!("refused");
    let health = inner.until("sys/health", refused).await;
    let reason = health["seals_failing"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("403") && !reason.contains(&token),
        "{reason}"
    );
    inner.unseal(&share).await;
    assert_eq!(inner.get("sys/mounts").await.0, 200);
    let (_, made) = outer
        .put("auth/token/create", json!({"policies": ["unseal"]}))
        .await;
    std::fs::write(&file, made["auth"]["client_token"].as_str().unwrap()).unwrap();
    let inner = inner.again(&inner_config).await;
    inner.opens().await;
    inner.server.shutdown().await.unwrap();
    outer.server.shutdown().await.unwrap();
}

#[tokio::test]
async fn over_tls_with_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["keys.internal".to_owned()]).unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let listener = format!(
        "listener \"tcp\" {{ address = \"127.0.0.1:0\" tls_cert_file = \"{}\" tls_key_file = \"{}\" }}",
        cert.display(),
        key.display()
    );
    let careless = reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true);
    let (outer, _, token) = outer(&listener, careless).await;
    let address = outer.base.replace("localhost", "127.0.0.1");
    let seal = |more: &str| {
        format!(
            "seal \"transit\" {{ address = \"{address}\" token = \"{token}\" key_name = \"unseal\" {more} }}"
        )
    };
    let trusted = format!("tls_ca_cert = \"{}\"", cert.display());
    let named = format!("{trusted}\n tls_server_name = \"keys.internal\"");
    for (more, works) in [
        ("", false),
        (&trusted, false),
        (&named, true),
        ("tls_skip_verify = true", true),
    ] {
        let config = format!("{}{}", site::PLAIN, seal(more));
        let inner = Site::start(&config).await;
        let split = json!({"recovery_shares": 0, "recovery_threshold": 0});
        let (status, answer) = inner.put("sys/init", split).await;
        assert_eq!(status == 200, works, "{more}: {answer}");
        inner.server.shutdown().await.unwrap();
    }
    outer.server.shutdown().await.unwrap();
}
