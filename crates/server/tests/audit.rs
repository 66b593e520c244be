//! Audit devices that fail: hung, behind, absent, and back again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod site;

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use site::{PLAIN, Site};

/// Far more requests than a socket that nobody reads takes.
const MANY: usize = 100_000;

fn audit(kind: &str, name: &str, options: &str) -> String {
    format!("audit \"{kind}\" \"{name}\" {{ options {{ {options} }} }}\n")
}

fn unix(path: &Path) -> String {
    let path = path.display();
    let options = format!("address = \"{path}\" socket_type = \"unix\" write_timeout = \"1s\"");
    audit("socket", "hung", &options)
}

async fn is_failing(site: &Site, name: &str) -> bool {
    let (_, devices) = site.get("sys/audit").await;
    devices["data"][format!("{name}/")]["failing"] == json!(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_socket_does_not_stop_a_server_that_has_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("audit.log"), folder.path().join("s"));
    // It is connected and never reads.
    let _hung = UnixListener::bind(&socket).unwrap();
    let path = format!("file_path = \"{}\"", file.display());
    let config = format!("{PLAIN}\n{}{}", unix(&socket), audit("file", "good", &path));
    let mut site = Site::start(&config).await;
    site.open().await;
    let mut refused = 0;
    let mut sent = 0;
    while !is_failing(&site, "hung").await {
        assert!(sent < MANY, "the socket takes everything");
        let (status, _) = site.get("sys/mounts").await;
        refused += usize::from(status != 200);
        sent += 1;
    }
    assert_eq!(refused, 0);
    assert_eq!(site.get("sys/mounts").await.0, 200);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mounts = lines.filter(|line| line["request"]["path"] == "sys/mounts");
    assert_eq!(
        mounts.count(),
        2 * (sent + 1),
        "no line of the file is lost"
    );
    let (status, health) = site.get("sys/health").await;
    assert_eq!(
        (status.as_u16(), &health["audit_blocked"]),
        (200, &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_hung_socket_alone_requests_are_refused_until_it_reads_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let hung = UnixListener::bind(&socket).unwrap();
    let mut site = Site::start(&format!("{PLAIN}\n{}", unix(&socket))).await;
    let share = site.open().await;
    let mut sent = 0;
    while site.get("sys/mounts").await.0 == 200 {
        sent += 1;
        assert!(sent < MANY, "the socket takes everything");
    }
    let (status, _) = site.put("sys/policies/acl/p", json!({"policy": ""})).await;
    assert_eq!(status, 500);
    let (status, health) = site.get("sys/health").await;
    assert_eq!(
        (status.as_u16(), &health["audit_blocked"]),
        (200, &json!(true))
    );
    // Opening the vault asks no device.
    site.server.core().seal().await.unwrap();
    site.unseal(&share).await;

    std::thread::spawn(move || {
        for stream in hung.incoming() {
            let _to_its_end = std::io::copy(&mut stream.unwrap(), &mut std::io::sink());
        }
    });
    while site.get("sys/mounts").await.0 != 200 {
        tokio::task::yield_now().await;
    }
    let (_, policies) = site.get("sys/policy").await;
    assert_eq!(policies["data"]["policies"], json!(["default", "root"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_behind_has_every_line_when_the_server_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("audit.log"), folder.path().join("s"));
    let listener = UnixListener::bind(&socket).unwrap();
    let options = format!("address = \"{}\" socket_type = \"unix\"", socket.display());
    let slow = audit(
        "socket",
        "slow",
        &format!("{options} write_timeout = \"60s\""),
    );
    let path = format!("file_path = \"{}\"", file.display());
    let config = format!("{PLAIN}\n{slow}{}", audit("file", "good", &path));
    let mut site = Site::start(&config).await;
    site.open().await;
    // More than a socket takes that nobody reads, less than the server keeps for it.
    let members = (0..1000).map(|n| (format!("member-{n}"), json!("value")));
    let body = Value::Object(members.collect());
    for _ in 0..20 {
        assert_eq!(site.put("cubbyhole/x", body.clone()).await.0, 204);
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let stopped = stopped.clone();
        move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let (mut text, mut buffer) = (Vec::new(), [0; 64 * 1024]);
            loop {
                let over = stopped.load(Ordering::SeqCst);
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => text.extend_from_slice(&buffer[..length]),
                    Err(_) if over => break,
                    Err(_) => std::thread::yield_now(),
                }
            }
            String::from_utf8(text).unwrap()
        }
    });
    site.server.shutdown().await.unwrap();
    stopped.store(true, Ordering::SeqCst);
    let sent = reader.join().unwrap();
    assert!(
        sent == std::fs::read_to_string(&file).unwrap(),
        "lines are missing"
    );
}

#[tokio::test]
async fn a_stored_device_that_does_not_open_keeps_no_vault_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, store) = (folder.path().join("audit"), folder.path().join("store"));
    let config = format!(
        "storage \"redb\" {{ path = \"{}\" }}\n\
         listener \"tcp\" {{ address = \"127.0.0.1:0\" tls_disable = true }}\n\
         audit_file_dir = \"{}\"\n",
        store.display(),
        dir.display()
    );
    let mut site = Site::start(&config).await;
    let share = site.open().await;
    for (name, file) in [("good", "a/good.log"), ("bad", "b/bad.log")] {
        let body = json!({"type": "file", "options": {"file_path": file}});
        assert_eq!(site.put(&format!("sys/audit/{name}"), body).await.0, 204);
    }
    site.server.core().seal().await.unwrap();
    // A file where the device's folder was.
    std::fs::remove_dir_all(dir.join("b")).unwrap();
    std::fs::write(dir.join("b"), "").unwrap();
    site.unseal(&share).await;
    while !is_failing(&site, "bad").await {
        tokio::task::yield_now().await;
    }
    assert!(!is_failing(&site, "good").await);
    std::fs::remove_file(dir.join("b")).unwrap();
    while is_failing(&site, "bad").await {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.get("sys/mounts").await.0, 200);
    let text = std::fs::read_to_string(dir.join("a/good.log")).unwrap();
    assert!(text.contains("\"path\":\"sys/mounts\""));
    assert!(dir.join("b/bad.log").exists());
}
