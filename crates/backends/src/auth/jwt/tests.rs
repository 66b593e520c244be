//! The method through its table, with an issuer that changes its keys.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyfold_core::barrier::FirstKeys;
use keyfold_core::clock::{Clock, ManualClock, Time};
use keyfold_core::error::Error;
use keyfold_core::ports::auth::Login;
use keyfold_core::ports::engine::{Call, Dispatch as _, Engine as _, Future_};
use keyfold_core::ports::fetch::{Fetch, FetchError};
use keyfold_core::ports::storage::Storage;
use keyfold_core::reply::Reply;
use keyfold_core::request::{Body, Op};
use serde_json::{Value, json};

use super::Jwt;
use super::keys::Keys;
use crate::storage::Memory;

const NOW: u64 = 1_893_456_000;
const ISSUER: &str = "https://issuer.test";

/// An issuer: what it publishes, and how often it was asked.
#[derive(Default)]
struct Issuer {
    documents: Mutex<BTreeMap<String, Vec<u8>>>,
    asked: AtomicUsize,
}

impl Fetch for Issuer {
    fn fetch<'a>(
        &'a self,
        url: &'a str,
        _: Option<&'a str>,
    ) -> Future_<'a, Result<Vec<u8>, FetchError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.documents.lock().unwrap().get(url).cloned();
        Box::pin(async move { found.ok_or_else(|| FetchError::Unreachable("gone".to_owned())) })
    }
}

impl Issuer {
    fn publish(&self, path: &str, document: &Value) {
        let url = format!("{ISSUER}{path}");
        let document = document.to_string().into_bytes();
        self.documents.lock().unwrap().insert(url, document);
    }

    fn publish_keys(&self, keys: &[(&str, &Ed25519KeyPair)]) {
        let jwk = |(kid, pair): &(&str, &Ed25519KeyPair)| {
            let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
            json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
        };
        let keys: Vec<Value> = keys.iter().map(jwk).collect();
        self.publish("/keys", &json!({ "keys": keys }));
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

struct Site {
    jwt: Jwt,
    issuer: &'static Issuer,
    clock: Arc<ManualClock>,
}

impl Site {
    fn new() -> Self {
        // For the time of the test, as the server's is for that of the process.
        let issuer: &'static Issuer = Box::leak(Box::default());
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        let view = FirstKeys::new("2030-01-01T00:00:00Z").view(&storage, "logical/jwt/");
        let clock = Arc::new(ManualClock::at(Time(NOW * 1_000_000_000)));
        Self {
            jwt: Jwt {
                keys: Keys::new(view.clone(), issuer, clock.clone()),
                view,
            },
            issuer,
            clock,
        }
    }

    async fn write(&self, path: &str, body: Value) -> Result<Reply, Error> {
        let found = self.jwt.find(Op::Write, path)?;
        let pattern = match path.split_once('/') {
            Some(("role", _)) => "role/{name}",
            _ => path,
        };
        let mut rows = Jwt::routes().iter();
        let row = rows.find(|row| row.op == Op::Write && row.pattern == pattern);
        let body = Body::new(body.to_string().into_bytes());
        let now = self.clock.now();
        let call = Call::new(Op::Write, path, found.params.clone(), &body, now);
        (row.unwrap().run)(&self.jwt, &call).await
    }

    async fn login(&self, token: &str) -> Result<Login, Error> {
        self.login_as("r", token).await
    }

    async fn login_as(&self, role: &str, token: &str) -> Result<Login, Error> {
        let reply = self
            .write("login", json!({"role": role, "jwt": token}))
            .await?;
        Ok(*reply.login.unwrap())
    }

    /// Why a login is refused.
    async fn refused(&self, role: &str, token: &str) -> String {
        self.login_as(role, token).await.err().unwrap().to_string()
    }

    fn token(&self, pair: &Ed25519KeyPair, kid: &str) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let now = self.clock.now().secs();
        let header = part(json!({"alg": "EdDSA", "kid": kid}));
        let claims = part(json!({"sub": "ann", "aud": "us", "iat": now, "exp": now + 60}));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    async fn role(&self) {
        let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": "us"});
        self.write("role/r", role).await.unwrap();
    }
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().unwrap()
}

#[tokio::test]
async fn new_keys_of_an_issuer_are_found_and_it_is_not_asked_too_often() {
    let (site, old, new, stranger) = (Site::new(), pair(), pair(), pair());
    let config = json!({"jwks_url": format!("{ISSUER}/keys")});
    assert!(site.write("config", config.clone()).await.is_err());
    site.issuer.publish_keys(&[("old", &old)]);
    site.write("config", config).await.unwrap();
    site.role().await;
    site.issuer.asked();

    assert_eq!(
        site.login(&site.token(&old, "old")).await.unwrap().alias,
        "ann"
    );
    site.login(&site.token(&old, "old")).await.unwrap();
    assert_eq!(site.issuer.asked(), 1);

    // Changed a while after: found by the first token that no known key has signed.
    site.issuer.publish_keys(&[("new", &new)]);
    site.clock.advance(Duration::from_secs(11));
    site.login(&site.token(&new, "new")).await.unwrap();
    assert_eq!(site.issuer.asked(), 1);
    assert!(site.login(&site.token(&old, "old")).await.is_err());

    // Tokens of strangers make no more than one question in ten seconds.
    site.issuer.asked();
    for _ in 0..20 {
        assert!(site.login(&site.token(&stranger, "x")).await.is_err());
    }
    assert_eq!(site.issuer.asked(), 0);
    site.clock.advance(Duration::from_secs(11));
    for _ in 0..20 {
        assert!(site.login(&site.token(&stranger, "new")).await.is_err());
    }
    assert_eq!(site.issuer.asked(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_forgiven_for_a_while() {
    let (site, key) = (Site::new(), pair());
    site.issuer.publish_keys(&[("k", &key)]);
    let config = json!({"jwks_url": format!("{ISSUER}/keys")});
    site.write("config", config).await.unwrap();
    site.role().await;
    site.login(&site.token(&key, "k")).await.unwrap();
    site.issuer.documents.lock().unwrap().clear();
    site.clock.advance(Duration::from_secs(30 * 60));
    site.login(&site.token(&key, "k")).await.unwrap();
    assert!(site.jwt.keys.are_failing());
    site.clock.advance(Duration::from_secs(31 * 60));
    let refused = site.login(&site.token(&key, "k")).await;
    assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains("can't be fetched")));
}

#[tokio::test]
async fn discovery_leads_to_the_keys_of_that_issuer_alone() {
    let (site, key) = (Site::new(), pair());
    site.issuer.publish_keys(&[("k", &key)]);
    let document = |issuer: &str| json!({"issuer": issuer, "jwks_uri": format!("{ISSUER}/keys")});
    let place = "/.well-known/openid-configuration";
    let config = json!({"oidc_discovery_url": format!("{ISSUER}/")});
    site.issuer.publish(place, &document("https://other.test"));
    assert!(site.write("config", config.clone()).await.is_err());
    site.issuer.publish(place, &document(ISSUER));
    site.write("config", config).await.unwrap();
    site.role().await;
    site.login(&site.token(&key, "k")).await.unwrap();
}

#[tokio::test]
async fn a_changed_configuration_counts_at_once() {
    let (site, key) = (Site::new(), pair());
    site.issuer.publish_keys(&[("k", &key)]);
    let mut config = json!({"jwks_url": format!("{ISSUER}/keys")});
    site.write("config", config.clone()).await.unwrap();
    site.role().await;
    site.login(&site.token(&key, "k")).await.unwrap();
    config["bound_issuer"] = "https://issuer.test".into();
    site.write("config", config).await.unwrap();
    assert!(site.login(&site.token(&key, "k")).await.is_err());
}

#[tokio::test]
async fn only_a_token_of_the_issuer_that_holds_is_told_which_roles_there_are() {
    let (site, key, stranger) = (Site::new(), pair(), pair());
    site.issuer.publish_keys(&[("k", &key)]);
    let config = json!({"jwks_url": format!("{ISSUER}/keys")});
    site.write("config", config).await.unwrap();
    site.role().await;
    let browser = json!({
        "role_type": "oidc", "user_claim": "sub", "allowed_redirect_uris": "https://us.test/",
    });
    site.write("role/browser", browser).await.unwrap();
    let good = site.token(&key, "k");
    let unsigned = good.rsplit_once('.').unwrap().0;
    let parts = good.split_once('.').unwrap();
    for bad in [
        site.token(&stranger, "k"),
        "nonsense".to_owned(),
        unsigned.to_owned(),
        format!("eyJhbGciOiJub25lIn0.{}", parts.1),
    ] {
        let known = site.refused("r", &bad).await;
        assert!(!known.contains("role"), "{known}");
        for other in ["nobody", "browser", "R", "a b"] {
            assert_eq!(site.refused(other, &bad).await, known, "{other}");
        }
    }
    assert!(site.login(&good).await.is_ok());
    let told = site.refused("nobody", &good).await;
    assert!(told.contains("could not be found"), "{told}");
    site.clock.advance(Duration::from_secs(3600));
    let late = site.refused("r", &good).await;
    assert!(late.contains("expired"), "{late}");
    for other in ["nobody", "browser"] {
        assert_eq!(site.refused(other, &good).await, late, "{other}");
    }
}

#[tokio::test]
async fn what_a_login_lacks_is_told_though_the_issuer_is_away() {
    let (site, key) = (Site::new(), pair());
    let refused = async |body: Value| site.write("login", body).await.err().unwrap().to_string();
    assert_eq!(refused(json!({})).await, "could not load configuration");
    site.issuer.publish_keys(&[("k", &key)]);
    let config = json!({"jwks_url": format!("{ISSUER}/keys")});
    site.write("config", config).await.unwrap();
    site.issuer.documents.lock().unwrap().clear();
    site.issuer.asked();
    assert_eq!(refused(json!({})).await, "missing token");
    assert_eq!(refused(json!({"role": "r"})).await, "missing token");
    assert_eq!(refused(json!({"jwt": "a.b.c"})).await, "missing role");
    assert_eq!(site.issuer.asked(), 0);
}
