//! Logging in with a JWT whose issuer speaks TLS, under an authority that only the configuration
//! names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[allow(dead_code, reason = "each test file uses its part")]
mod site;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ED25519, SigningKey as _};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use site::{PLAIN, Site};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Publishes a key, and signs with it.
struct Issuer {
    url: String,
    /// Its authority.
    ca: String,
    key: Arc<KeyPair>,
}

impl Issuer {
    /// Serves at a free port; its certificate names `localhost`, and nothing else.
    async fn start() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap().pem();
        let authority = rcgen::Issuer::new(params, ca_key);
        let tls_key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&tls_key, &authority).unwrap();
        let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(tls_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], secret)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("https://localhost:{port}");
        let key = Arc::new(KeyPair::generate_for(&PKCS_ED25519).unwrap());
        let documents = Documents {
            discovery: json!({"issuer": url, "jwks_uri": format!("{url}/keys")}),
            keys: json!({"keys": [{
                "kty": "OKP", "crv": "Ed25519", "kid": "k", "alg": "EdDSA", "use": "sig",
                "x": URL_SAFE_NO_PAD.encode(key.public_key_raw()),
            }]}),
        };
        tokio::spawn(documents.serve(listener, TlsAcceptor::from(Arc::new(config))));
        Self { url, ca, key }
    }

    /// Good until 2100.
    fn token(&self) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "EdDSA", "kid": "k"}));
        let (made, end) = (1_700_000_000_u64, 4_102_444_800_u64);
        let claims = json!({"iss": self.url, "sub": "ann", "aud": "us", "iat": made, "nbf": made, "exp": end});
        let claims = part(claims);
        let signed = format!("{header}.{claims}");
        let signature = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

struct Documents {
    discovery: Value,
    keys: Value,
}

impl Documents {
    async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust us breaks off.
            let _ = self.answer(stream, &tls).await;
        }
    }

    async fn answer(&self, stream: TcpStream, tls: &TlsAcceptor) -> std::io::Result<()> {
        let mut stream = tls.accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        let body = match head.split(' ').nth(1) {
            Some("/.well-known/openid-configuration") => self.discovery.to_string(),
            Some("/keys") => self.keys.to_string(),
            other => panic!("asked for {other:?}"),
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }
}

#[tokio::test]
async fn an_issuers_keys_come_over_tls_by_the_authority_that_the_configuration_names() {
    let issuer = Issuer::start().await;
    let stranger = Issuer::start().await;
    let mut site = Site::start(PLAIN).await;
    site.open().await;
    for (mount, url_member, ca_member, path) in [
        ("keys", "jwks_url", "jwks_ca_pem", "/keys"),
        ("found", "oidc_discovery_url", "oidc_discovery_ca_pem", ""),
    ] {
        let [place, config, role, login] = [
            format!("sys/auth/{mount}"),
            format!("auth/{mount}/config"),
            format!("auth/{mount}/role/r"),
            format!("auth/{mount}/login"),
        ];
        let made = site.put(&place, json!({"type": "jwt"}));
        assert_eq!(made.await.0, 204);
        let url = format!("{}{path}", issuer.url);
        // Neither the system's authorities nor a stranger's vouch for it, nor ours for another name.
        let by_address = url.replace("localhost", "127.0.0.1");
        for wrong in [
            json!({url_member: url}),
            json!({url_member: url, ca_member: stranger.ca}),
            json!({url_member: by_address, ca_member: issuer.ca}),
            json!({url_member: url, ca_member: "no certificate"}),
        ] {
            let (status, answer) = site.put(&config, wrong).await;
            assert_eq!(status, 400, "{mount}: {answer}");
        }
        assert_eq!(site.get(&config).await.0, 404, "{mount}");

        let right = json!({url_member: url, ca_member: issuer.ca, "bound_issuer": issuer.url});
        let (status, answer) = site.put(&config, right).await;
        assert_eq!(status, 204, "{mount}: {answer}");
        let members = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": "us"});
        assert_eq!(site.put(&role, members).await.0, 204);
        let brought = |token: String| json!({"role": "r", "jwt": token});
        let (status, answer) = site.put(&login, brought(issuer.token())).await;
        assert_eq!(status, 200, "{mount}: {answer}");
        assert_eq!(answer["auth"]["metadata"]["role"], "r");
        let (status, _) = site.put(&login, brought(stranger.token())).await;
        assert_eq!(status, 400, "{mount}");
    }
}
