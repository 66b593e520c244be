//! The method through its table.

use std::sync::Arc;

use keyfold_core::barrier::FirstKeys;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::{Call, Dispatch as _, Engine as _};
use keyfold_core::ports::storage::Storage;
use keyfold_core::reply::Reply;
use keyfold_core::request::{Body, Op};
use serde_json::{Value, json};

use super::{Userpass, costs};
use crate::storage::Memory;

/// Of "a", at cost 6.
const HASH: &str = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";

struct Site(Userpass);

impl Site {
    fn new() -> Self {
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        let view = FirstKeys::new("2030-01-01T00:00:00Z").view(&storage, "logical/people/");
        Self(Userpass { view })
    }

    async fn ask(&self, op: Op, pattern: &str, path: &str, body: Value) -> Result<Reply, Error> {
        let found = self.0.find(op, path)?;
        let mut rows = Userpass::routes().iter();
        let row = rows.find(|row| row.op == op && row.pattern == pattern);
        let body = Body::new(body.to_string().into_bytes());
        let call = Call::new(op, path, found.params.clone(), &body, Time(1));
        (row.unwrap().run)(&self.0, &call).await
    }

    async fn write(&self, user: &str, body: Value) {
        let path = format!("users/{user}");
        let done = self.ask(Op::Write, "users/{username}", &path, body).await;
        done.unwrap();
    }

    async fn login(&self, user: &str, password: &str) -> bool {
        let path = format!("login/{user}");
        let body = json!({ "password": password });
        let done = self.ask(Op::Write, "login/{username}", &path, body).await;
        done.is_ok()
    }

    async fn dearest(&self) -> Option<u32> {
        costs::dearest(&self.0.view).await.unwrap()
    }
}

#[tokio::test]
async fn the_dearest_hash_of_a_mount_is_known_as_long_as_it_is_there() {
    let site = Site::new();
    let dear = bcrypt::hash_with_salt("a", 8, [7; 16]).unwrap().to_string();
    site.write("own", json!({"password": "a"})).await;
    assert_eq!(site.dearest().await, None);
    site.write("Cheap", json!({"password_hash": HASH})).await;
    site.write("dear", json!({"password_hash": dear})).await;
    assert_eq!(site.dearest().await, Some(8));
    // Another hash, other members, and a login, which puts a hash of our own in its place.
    site.write("dear", json!({"password_hash": HASH})).await;
    site.write("cheap", json!({"token_ttl": "1h"})).await;
    assert_eq!(site.dearest().await, Some(6));
    assert!(!site.login("cheap", "b").await && !site.login("nobody", "b").await);
    assert!(site.login("cheap", "a").await);
    assert_eq!(site.dearest().await, Some(6));
    let gone = site.ask(Op::Delete, "users/{username}", "users/DEAR", json!({}));
    gone.await.unwrap();
    assert_eq!(site.dearest().await, None);
    assert!(site.login("cheap", "a").await && !site.login("dear", "a").await);
}
