//! TLS, client certificates, reloading, and sockets in the file system.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[allow(dead_code, reason = "each test file uses its part")]
mod site;

use std::path::Path;

use rcgen::{CertifiedKey, KeyPair};
use reqwest::{Certificate, Client, Version};
use site::Site;

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Puts a fresh certificate in place.
    fn renew(&self) -> CertifiedKey<KeyPair> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, more: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n address = \"127.0.0.1:0\"\n \
             tls_cert_file = \"{folder}/cert.pem\"\n tls_key_file = \"{folder}/key.pem\"\n {more}\n}}"
        )
    }
}

fn trusting(made: &CertifiedKey<KeyPair>) -> reqwest::ClientBuilder {
    let certificate = Certificate::from_der(made.cert.der()).unwrap();
    Client::builder().no_proxy().tls_certs_only([certificate])
}

#[tokio::test]
async fn tls_speaks_both_versions_of_http_and_takes_up_a_new_certificate() {
    let files = Files::new();
    let first = files.renew();
    let mut site = Site::start_with(&files.config(""), trusting(&first)).await;
    site.open().await;
    let url = format!("{}/v1/sys/health", site.base);
    let answer = site.client.get(&url).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, Version::HTTP_2)
    );
    let old = trusting(&first).http1_only().build().unwrap();
    assert_eq!(
        old.get(&url).send().await.unwrap().version(),
        Version::HTTP_11
    );

    // A half-written file changes nothing.
    std::fs::write(files.path("cert.pem"), "-----BEGIN").unwrap();
    site.server.reload();
    let fresh = |made| trusting(made).build().unwrap();
    assert_eq!(fresh(&first).get(&url).send().await.unwrap().status(), 200);

    let second = files.renew();
    site.server.reload();
    assert_eq!(fresh(&second).get(&url).send().await.unwrap().status(), 200);
    assert!(fresh(&first).get(&url).send().await.is_err());
    // The connection from before is still good.
    assert_eq!(site.client.get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn plain_http_and_old_tls_get_no_answer_from_tls() {
    let files = Files::new();
    let made = files.renew();
    let config = files.config("tls_min_version = \"tls13\"");
    let site = Site::start_with(&config, trusting(&made)).await;
    let url = format!("{}/v1/sys/health", site.base);
    assert_eq!(site.client.get(&url).send().await.unwrap().status(), 501);
    let old = trusting(&made)
        .tls_version_max(reqwest::tls::Version::TLS_1_2)
        .build()
        .unwrap();
    assert!(old.get(&url).send().await.is_err());
    let plain = Client::builder().no_proxy().build().unwrap();
    assert!(
        plain
            .get(url.replace("https", "http"))
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_client_certificate_may_be_demanded() {
    let files = Files::new();
    let made = files.renew();
    let more = format!(
        "tls_client_ca_file = \"{}\"\n tls_require_and_verify_client_cert = true",
        files.path("cert.pem").display()
    );
    let identity = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
    let identity = reqwest::Identity::from_pem(identity.as_bytes()).unwrap();
    let site = Site::start_with(&files.config(&more), trusting(&made).identity(identity)).await;
    let url = format!("{}/v1/sys/health", site.base);
    assert_eq!(site.client.get(&url).send().await.unwrap().status(), 501);
    let nobody = trusting(&made).build().unwrap();
    assert!(nobody.get(&url).send().await.is_err());
}

#[tokio::test]
async fn unreadable_tls_files_stop_the_start() {
    let files = Files::new();
    let config = keyfold_server::Config::parse(&files.config(""), Path::new("test.hcl")).unwrap();
    let error = keyfold_server::Server::start(config)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("certificate ") && error.contains("cert.pem"),
        "{error}"
    );
}

#[tokio::test]
async fn a_unix_socket_serves_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.sock");
    let config = format!(
        "storage \"inmem\" {{}}\n\
         listener \"unix\" {{ address = \"{}\" socket_mode = \"0600\" }}",
        path.display()
    );
    let client = Client::builder().no_proxy().unix_socket(path.clone());
    let mut site = Site::start_with(&config, client).await;
    site.open().await;
    assert_eq!(site.get("sys/health").await.0, 200);
    let Site { server, client, .. } = site;
    drop(client);
    server.shutdown().await.unwrap();
    assert!(!path.exists());
}
