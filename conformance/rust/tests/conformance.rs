//! The server that `VAULT_ADDR` names, driven with vaultrs.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vaultrs::api::ResponseWrapper as _;
use vaultrs::api::auth::approle::requests::SetAppRoleRequest;
use vaultrs::api::kv2::requests::SetSecretRequestOptions;
use vaultrs::api::sys::requests::ListMountsRequest;
use vaultrs::api::token::requests::CreateTokenRequest;
use vaultrs::api::transit::KeyType;
use vaultrs::api::transit::requests::{CreateKeyRequest, DataKeyType, VerifySignedDataRequest};
use vaultrs::auth::{approle, userpass};
use vaultrs::client::{Client as _, VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::{kv2, sys, token, transit};

type Secret = HashMap<String, String>;

fn client(token: &str) -> VaultClient {
    let address = std::env::var("VAULT_ADDR").expect("VAULT_ADDR names the server");
    let settings = VaultClientSettingsBuilder::default()
        .address(address)
        .token(token)
        .build()
        .unwrap();
    VaultClient::new(settings).unwrap()
}

fn root() -> VaultClient {
    client(&std::env::var("VAULT_TOKEN").expect("VAULT_TOKEN is a root token"))
}

fn status<T>(refused: Result<T, ClientError>) -> u16 {
    match refused {
        Err(ClientError::APIError { code, .. }) => code,
        Err(error) => panic!("not an answer of the server: {error}"),
        Ok(_) => 200,
    }
}

fn secret(value: &str) -> Secret {
    HashMap::from([("password".to_owned(), value.to_owned())])
}

#[tokio::test]
async fn health_and_seal_status_parse() {
    let health = sys::health(&root()).await.unwrap();
    assert!(health.initialized && !health.sealed);
    assert!(matches!(root().status().await, Ok(sys::ServerStatus::OK)));
}

#[tokio::test]
async fn approle_logs_in_and_renews() {
    let root = root();
    let policy = r#"path "secret/data/rust/*" { capabilities = ["read"] }"#;
    sys::policy::set(&root, "rust", policy).await.unwrap();
    sys::auth::enable(&root, "rust-approle", "approle", None)
        .await
        .unwrap();
    let mut role = SetAppRoleRequest::builder();
    role.token_policies(vec!["rust".to_owned()]).token_ttl("20m");
    approle::role::set(&root, "rust-approle", "job", Some(&mut role))
        .await
        .unwrap();
    let role_id = approle::role::read_id(&root, "rust-approle", "job")
        .await
        .unwrap()
        .role_id;
    let secret_id = approle::role::secret::generate(&root, "rust-approle", "job", None)
        .await
        .unwrap()
        .secret_id;
    let login = approle::login(&client(""), "rust-approle", &role_id, &secret_id)
        .await
        .unwrap();
    assert_eq!(login.lease_duration, 1200);
    let job = client(&login.client_token);
    assert_eq!(token::renew_self(&job, Some("10m")).await.unwrap().lease_duration, 600);
    kv2::set(&root, "secret", "rust/a", &secret("hunter2")).await.unwrap();
    let read: Secret = kv2::read(&job, "secret", "rust/a").await.unwrap();
    assert_eq!(read, secret("hunter2"));
    assert_eq!(status(kv2::set(&job, "secret", "rust/a", &secret("x")).await), 403);
    let wrong = approle::login(&client(""), "rust-approle", &role_id, "wrong").await;
    assert_eq!(status(wrong), 400);
}

#[tokio::test]
async fn userpass_logs_in() {
    let root = root();
    sys::auth::enable(&root, "rust-userpass", "userpass", None)
        .await
        .unwrap();
    userpass::user::set(&root, "rust-userpass", "ann", "correct horse", None)
        .await
        .unwrap();
    let login = userpass::login(&client(""), "rust-userpass", "ann", "correct horse")
        .await
        .unwrap();
    assert_eq!(login.policies, ["default"]);
    let wrong = userpass::login(&client(""), "rust-userpass", "ann", "wrong").await;
    assert_eq!(status(wrong), 400);
}

#[tokio::test]
async fn kv_keeps_versions() {
    let root = root();
    kv2::set(&root, "secret", "rust/k", &secret("1")).await.unwrap();
    let cas = |cas| SetSecretRequestOptions { cas };
    let second = kv2::set_with_options(&root, "secret", "rust/k", &secret("2"), cas(1))
        .await
        .unwrap();
    assert_eq!(second.version, 2);
    let stale = kv2::set_with_options(&root, "secret", "rust/k", &secret("3"), cas(1)).await;
    assert_eq!(status(stale), 400);
    let first: Secret = kv2::read_version(&root, "secret", "rust/k", 1).await.unwrap();
    assert_eq!(first, secret("1"));
    assert!(kv2::list(&root, "secret", "rust").await.unwrap().contains(&"k".to_owned()));
    kv2::delete_latest(&root, "secret", "rust/k").await.unwrap();
    // The client does not parse the body that comes with this 404.
    assert!(kv2::read::<Secret>(&root, "secret", "rust/k").await.is_err());
    kv2::undelete_versions(&root, "secret", "rust/k", vec![2]).await.unwrap();
    let metadata = kv2::read_metadata(&root, "secret", "rust/k").await.unwrap();
    assert_eq!(metadata.current_version, 2);
}

#[tokio::test]
async fn transit_encrypts_rewraps_and_decrypts() {
    let root = root();
    sys::mount::enable(&root, "rust-transit", "transit", None).await.unwrap();
    transit::key::create(&root, "rust-transit", "orders", None).await.unwrap();
    let text = STANDARD.encode("hello");
    let sealed = transit::data::encrypt(&root, "rust-transit", "orders", &text, None)
        .await
        .unwrap();
    transit::key::rotate(&root, "rust-transit", "orders").await.unwrap();
    let rewrapped = transit::data::rewrap(&root, "rust-transit", "orders", &sealed.ciphertext, None)
        .await
        .unwrap();
    assert!(rewrapped.ciphertext.starts_with("vault:v2:"));
    let opened = transit::data::decrypt(&root, "rust-transit", "orders", &rewrapped.ciphertext, None)
        .await
        .unwrap();
    assert_eq!(opened.plaintext, text);
    let key = transit::key::read(&root, "rust-transit", "orders").await.unwrap();
    assert_eq!(key.name, "orders");
    let dek = transit::generate::data_key(&root, "rust-transit", "orders", DataKeyType::Plaintext, None)
        .await
        .unwrap();
    let opened = transit::data::decrypt(&root, "rust-transit", "orders", &dek.ciphertext, None)
        .await
        .unwrap();
    assert_eq!(Some(opened.plaintext), dek.plaintext);
}

#[tokio::test]
async fn transit_signs_and_verifies() {
    let root = root();
    sys::mount::enable(&root, "rust-signs", "transit", None).await.unwrap();
    let text = STANDARD.encode("hello");
    for (name, kind) in [("ed", KeyType::Ed25519), ("ec", KeyType::EcdsaP384), ("rsa", KeyType::Rsa2048)] {
        let mut wanted = CreateKeyRequest::builder();
        transit::key::create(&root, "rust-signs", name, Some(wanted.key_type(kind))).await.unwrap();
        let signed = transit::data::sign(&root, "rust-signs", name, &text, None).await.unwrap();
        for (said, valid) in [(text.clone(), true), (STANDARD.encode("hallo"), false)] {
            let mut asked = VerifySignedDataRequest::builder();
            let asked = asked.signature(&*signed.signature);
            let verified = transit::data::verify(&root, "rust-signs", name, &said, Some(asked)).await.unwrap();
            assert_eq!(verified.valid, valid, "{name}");
        }
    }
}

#[tokio::test]
async fn a_wrapped_answer_is_unwrapped_once() {
    let root = root();
    let wrapped = ListMountsRequest::builder().build().unwrap().wrap(&root).await.unwrap();
    assert!(wrapped.lookup(&root).await.is_ok());
    assert!(wrapped.unwrap(&root).await.is_ok());
    assert!(wrapped.unwrap(&root).await.is_err());
}

#[tokio::test]
async fn a_token_lives_and_is_revoked() {
    let root = root();
    let mut wanted = CreateTokenRequest::builder();
    wanted.policies(vec!["default".to_owned()]).ttl("10m");
    let made = token::new(&root, Some(&mut wanted)).await.unwrap();
    let own = client(&made.client_token);
    assert_eq!(token::lookup_self(&own).await.unwrap().policies, ["default"]);
    token::revoke(&root, &made.client_token).await.unwrap();
    assert_eq!(status(token::lookup_self(&own).await), 403);
}
