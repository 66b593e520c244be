//! The server over loopback: the main job, limits, rules of the wire, its end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod site;

use serde_json::{Value, json};
use site::{PLAIN, Site};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn the_main_job_over_http() {
    let mut site = Site::start(PLAIN).await;
    assert_eq!(site.get("sys/health").await.0, 501);
    assert_eq!(site.get("secret/data/a").await.0, 503);
    site.open().await;
    assert_eq!(site.get("sys/health").await.0, 200);

    assert_eq!(
        site.put("sys/mounts/transit", json!({"type": "transit"}))
            .await
            .0,
        204
    );
    assert_eq!(site.put("transit/keys/a", json!({})).await.0, 200);
    let plain = json!({"plaintext": "aGVsbG8="});
    let (status, sealed) = site.put("transit/encrypt/a", plain).await;
    assert_eq!(status, 200, "{sealed}");
    let ciphertext = json!({"ciphertext": sealed["data"]["ciphertext"]});
    let (_, opened) = site.put("transit/decrypt/a", ciphertext).await;
    assert_eq!(opened["data"]["plaintext"], "aGVsbG8=");
    for member in [
        "request_id",
        "lease_id",
        "renewable",
        "lease_duration",
        "wrap_info",
        "auth",
    ] {
        assert!(opened.get(member).is_some(), "{member} in {opened}");
    }
    assert_eq!(
        site.send("LIST", "transit/keys", None).await.1["data"]["keys"],
        json!(["a"])
    );
    assert_eq!(
        site.get("transit/keys?list=true").await.1["data"]["keys"],
        json!(["a"])
    );

    let kv = json!({"type": "kv", "options": {"version": "2"}});
    assert_eq!(site.put("sys/mounts/secret", kv).await.0, 204);
    let write = json!({"data": {"name": "wert", "n": 12345678901234567890_u64}});
    let (status, written) = site
        .send("POST", "secret/data/app/db", Some(write.to_string()))
        .await;
    assert_eq!(
        (status.as_u16(), &written["data"]["version"]),
        (200, &json!(1)),
        "{written}"
    );
    let (_, read) = site.get("secret/data/app/db?version=1").await;
    assert_eq!(read["data"]["data"], write["data"]);
    assert_eq!(
        site.get("secret/data/nothing").await,
        (404.try_into().unwrap(), json!({"errors": []}))
    );

    // Old clients read the members of some system answers at the top level.
    let (_, mounts) = site.get("sys/mounts").await;
    assert_eq!(mounts["transit/"], mounts["data"]["transit/"]);
    assert_eq!(mounts["transit/"]["type"], "transit");

    site.token = "hvs.nobody".to_owned();
    let denied = json!({"errors": ["permission denied"]});
    assert_eq!(
        site.get("secret/data/app/db").await,
        (403.try_into().unwrap(), denied)
    );
    site.server.shutdown().await.unwrap();
}

#[tokio::test]
async fn headers_of_answers() {
    let config = r#"
        storage "inmem" {}
        listener "tcp" {
          address = "127.0.0.1:0"
          tls_disable = true
          custom_response_headers { "5xx" = { "X-Odd" = ["a", "b"] } }
        }"#;
    let site = Site::start(config).await;
    let url = format!("{}/v1/sys/health", site.base);
    let answer = site
        .client
        .head(&url)
        .header("X-Vault-Namespace", "root")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 501);
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-vault-namespace"), "root");
    assert_eq!(header("x-odd"), "a; b");
    let good = site
        .client
        .get(format!("{}/v1/sys/seal-status", site.base))
        .send()
        .await
        .unwrap();
    assert_eq!(good.status(), 200);
    assert!(!good.headers().contains_key("x-odd"));
}

#[tokio::test]
async fn too_much_is_refused_and_changes_nothing() {
    let config = r#"
        storage "inmem" {}
        listener "tcp" { address = "127.0.0.1:0" tls_disable = true max_request_size = 1024 }"#;
    let mut site = Site::start(config).await;
    site.open().await;
    let long = json!({"type": "transit", "description": "x".repeat(1024)}).to_string();
    let refusal = json!({"errors": ["http: request body too large"]});
    for method in ["PUT", "GET", "DELETE"] {
        let answer = site.send(method, "sys/mounts/t", Some(long.clone())).await;
        assert_eq!(
            answer,
            (413.try_into().unwrap(), refusal.clone()),
            "{method}"
        );
    }
    let stream = chunked(&site, "/v1/sys/mounts/t", &long).await;
    assert!(stream.starts_with("HTTP/1.1 413 "), "{stream}");
    let (_, mounts) = site.get("sys/mounts").await;
    assert!(mounts["data"].get("t/").is_none(), "{mounts}");

    let strings: Vec<&str> = vec!["a"; 200];
    let fits = json!({"type": "transit", "x": strings}).to_string();
    // Taken, with a warning about the unknown member.
    assert_eq!(site.send("PUT", "sys/mounts/t", Some(fits)).await.0, 200);
}

#[tokio::test]
async fn rules_of_the_wire() {
    let mut site = Site::start(PLAIN).await;
    site.open().await;
    for (request, status) in [
        ("GET /v1/../v1/sys/health", 400),
        ("GET /v1/secret/a%00b", 400),
        ("GET /", 404),
        ("GET /ui/", 404),
        ("GET //v1/sys/health", 404),
        ("GET /v1//sys//health", 200),
        ("FOO /v1/sys/health", 405),
        ("HEAD /v1/sys/mounts", 405),
        ("POST /v1/sys/mounts/", 400),
    ] {
        let answer = raw(&site, &format!("{request} HTTP/1.1")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
        assert!(!answer.contains("\r\nlocation:"), "{request}: {answer}");
    }
    let head = raw(&site, "HEAD /v1/sys/health HTTP/1.1").await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );

    let (status, answer) = site
        .send("PUT", "sys/mounts/t", Some("{\"type\"".to_owned()))
        .await;
    let text = answer["errors"][0].as_str().unwrap();
    assert!(
        status == 400 && text.starts_with("failed to decode JSON input"),
        "{answer}"
    );
    let (status, answer) = site.send("GET", "nothing/here", None).await;
    let unknown = "no handler for route \"nothing/here\". route entry not found.";
    assert_eq!(
        (status.as_u16(), answer),
        (404, json!({"errors": [unknown]}))
    );
}

#[tokio::test]
async fn two_requests_in_one_packet_get_two_answers() {
    let site = Site::start(PLAIN).await;
    let one = "GET /v1/sys/seal-status HTTP/1.1\r\nHost: k\r\n";
    let text = exchange(&site, &format!("{one}\r\n{one}Connection: close\r\n\r\n")).await;
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
}

#[tokio::test]
async fn a_store_outlives_its_server_and_has_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let config = format!(
        "storage \"redb\" {{ path = \"{}\" }}\n\
         listener \"tcp\" {{ address = \"127.0.0.1:0\" tls_disable = true }}",
        path.display()
    );
    let mut site = Site::start(&config).await;
    let share = site.open().await;
    assert_eq!(
        site.put("sys/mounts/transit", json!({"type": "transit"}))
            .await
            .0,
        204
    );

    let parsed = keyfold_server::Config::parse(&config, "test.hcl".as_ref()).unwrap();
    let second = keyfold_server::Server::start(parsed)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        second.starts_with("test.hcl:1: ") && second.contains("in use by another"),
        "{second}"
    );

    let token = std::mem::take(&mut site.token);
    let Site { server, client, .. } = site;
    drop(client);
    server.shutdown().await.unwrap();
    let mut site = Site::start(&config).await;
    site.token = token;
    assert_eq!(site.get("sys/seal-status").await.1["sealed"], true);
    site.unseal(&share).await;
    assert_eq!(
        site.get("sys/mounts").await.1["data"]["transit/"]["type"],
        "transit"
    );
}

#[tokio::test]
async fn a_stopped_server_hangs_up_and_takes_no_more() {
    let site = Site::start(PLAIN).await;
    let address = site.base.strip_prefix("http://").unwrap().to_owned();
    let mut used = TcpStream::connect(&address).await.unwrap();
    used.write_all(b"GET /v1/sys/seal-status HTTP/1.1\r\nHost: k\r\n\r\n")
        .await
        .unwrap();
    assert!(used.read(&mut [0; 4096]).await.unwrap() > 0);
    let mut silent = TcpStream::connect(&address).await.unwrap();
    site.server.shutdown().await.unwrap();
    for stream in [&mut used, &mut silent] {
        // The end of the stream, or a reset: nothing more comes.
        assert_eq!(stream.read(&mut [0; 4096]).await.unwrap_or(0), 0);
    }
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn a_server_that_leaves_says_so_and_serves_on() {
    let mut site = Site::start(PLAIN).await;
    site.open().await;
    let address = site.base.strip_prefix("http://").unwrap().to_owned();
    let request = b"GET /v1/sys/seal-status HTTP/1.1\r\nHost: k\r\n\r\n";
    let mut kept = TcpStream::connect(&address).await.unwrap();
    kept.write_all(request).await.unwrap();
    let mut piece = [0; 4096];
    let read = kept.read(&mut piece).await.unwrap();
    let first = String::from_utf8(piece[..read].to_vec()).unwrap();
    assert!(!first.contains("connection: close"), "{first}");
    assert_eq!(site.get("sys/health").await.0, 200);

    site.server.leave();
    kept.write_all(request).await.unwrap();
    let mut last = String::new();
    kept.read_to_string(&mut last).await.unwrap();
    assert!(last.starts_with("HTTP/1.1 200 "), "{last}");
    assert!(last.contains("connection: close"), "{last}");
    // Those who come now are served too, and told to go elsewhere.
    let (status, health) = site.get("sys/health?activecode=200").await;
    assert_eq!((status.as_u16(), &health["sealed"]), (503, &json!(false)));
    assert_eq!(site.get("sys/mounts").await.0, 200);
    site.server.shutdown().await.unwrap();
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn clients_that_keep_it_waiting_are_let_go() {
    let config = r#"
        storage "inmem" {}
        listener "tcp" {
          address = "127.0.0.1:0"
          tls_disable = true
          http_idle_timeout = 1
          http_read_timeout = 1
        }"#;
    let site = Site::start(config).await;
    let body = "PUT /v1/sys/init HTTP/1.1\r\nHost: k\r\nContent-Length: 9\r\n\r\n{";
    for (begun, answer) in [("", ""), ("GET /v1/sys/he", ""), (body, "HTTP/1.1 408 ")] {
        let text = exchange(&site, begun).await;
        assert!(
            text.starts_with(answer) && answer.is_empty() == text.is_empty(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let site = Site::start(PLAIN).await;
    let address = site.base.strip_prefix("http://").unwrap();
    let config = PLAIN.replace("127.0.0.1:0", address);
    let config = keyfold_server::Config::parse(&config, "test.hcl".as_ref()).unwrap();
    let error = keyfold_server::Server::start(config)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with(&format!("can't listen on {address}: ")),
        "{error}"
    );
}

#[tokio::test]
async fn an_audit_file_is_written_and_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let config = format!(
        "{PLAIN}\naudit \"file\" \"main\" {{ options {{ file_path = \"{}\" }} }}",
        file.display()
    );
    let mut site = Site::start(&config).await;
    site.open().await;
    site.get("sys/mounts").await;
    let moved = folder.path().join("audit.1");
    std::fs::rename(&file, &moved).unwrap();
    site.server.reload();
    site.get("sys/policies/acl/default").await;
    let paths = |file: &std::path::Path| -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| line["request"]["path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(paths(&moved).contains(&"sys/mounts".to_owned()));
    assert_eq!(paths(&file), ["sys/policies/acl/default"; 2]);
}

/// One request without a body, as it is.
async fn raw(site: &Site, line: &str) -> String {
    let token = &site.token;
    let request = format!(
        "{line}\r\nHost: k\r\nX-Vault-Token: {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    exchange(site, &request).await
}

/// A body whose length is not told before.
async fn chunked(site: &Site, path: &str, body: &str) -> String {
    let token = &site.token;
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: k\r\nX-Vault-Token: {token}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    exchange(site, &request).await
}

async fn exchange(site: &Site, request: &str) -> String {
    let address = site.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}
