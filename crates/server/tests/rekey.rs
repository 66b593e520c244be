//! The old shares go once the answer with the new ones was written out, over each protocol.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod site;

use std::fs;
use std::time::Duration;

use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use site::{PLAIN, Site};

/// Looks for a second set of shares until it is gone. Writing it away is no part of the answer.
async fn settled(site: &Site) -> bool {
    for _ in 0..500 {
        if site.get("sys/seal-status").await.1["shares_next"].is_null() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

async fn rekeyed(site: &mut Site) -> (String, Value) {
    let old = site.open().await;
    let terms = json!({"secret_shares": 1, "secret_threshold": 1});
    let (_, begun) = site.put("sys/rekey/init", terms).await;
    let body = json!({"key": old, "nonce": begun["nonce"]});
    let (status, made) = site.put("sys/rekey/update", body).await;
    assert_eq!(status, 200, "{made}");
    (old, made)
}

async fn only_the_new_one_opens(site: &mut Site) {
    assert_eq!(site.server.addresses().len(), 1);
    let (old, made) = rekeyed(site).await;
    assert!(settled(site).await);
    site.put("sys/seal", json!({})).await;
    let refused = site.put("sys/unseal", json!({"key": old})).await;
    assert_eq!(refused.0, 400);
    site.unseal(made["keys"][0].as_str().unwrap()).await;
}

#[tokio::test]
async fn over_http_1() {
    let mut site = Site::start(PLAIN).await;
    only_the_new_one_opens(&mut site).await;
}

#[tokio::test]
async fn over_http_2() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = format!(
        "storage \"inmem\" {{}}\nlistener \"tcp\" {{ address = \"127.0.0.1:0\" tls_cert_file = \
         \"{}\" tls_key_file = \"{}\" }}",
        cert.display(),
        key.display()
    );
    let certificate = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([certificate]);
    let mut site = Site::start_with(&config, client).await;
    only_the_new_one_opens(&mut site).await;
}
