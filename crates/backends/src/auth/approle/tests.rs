//! The method through its table, over a real barrier on a store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyfold_core::barrier::FirstKeys;
use keyfold_core::clock::{Clock, ManualClock, Time};
use keyfold_core::error::Error;
use keyfold_core::ports::auth::Login;
use keyfold_core::ports::engine::{Call, Dispatch, Engine};
use keyfold_core::ports::storage::Storage;
use keyfold_core::reply::Reply;
use keyfold_core::request::{Body, Op};
use keyfold_core::testing::FaultyStorage;
use serde_json::{Value, json};

use super::*;
use crate::storage::Memory;

/// 2030-01-01, in nanoseconds.
const NOW: Time = Time(1_893_456_000_000_000_000);

struct Mount {
    method: AppRole,
    clock: Arc<ManualClock>,
    store: Arc<FaultyStorage>,
}

impl Mount {
    fn new() -> Self {
        let store = Arc::new(FaultyStorage::new(Arc::new(Memory::new())));
        let storage: Arc<dyn Storage> = store.clone();
        let clock = Arc::new(ManualClock::at(NOW));
        let view = FirstKeys::new("2030-01-01T00:00:00Z").view(&storage, "logical/approle/");
        Self {
            method: AppRole {
                store: Arc::new(Store::new(view, clock.clone())),
                tidying: Arc::default(),
            },
            clock,
            store,
        }
    }

    async fn from(&self, remote: &str, op: Op, path: &str, body: Value) -> Result<Reply, Error> {
        let found = self.method.find(op, path)?;
        let help = self.method.help(path);
        let pattern = help.iter().find(|help| help.op == op).unwrap().pattern;
        let row = AppRole::routes()
            .iter()
            .find(|row| row.op == op && row.pattern == pattern);
        let body = Body::new(body.to_string().into_bytes());
        let call = Call {
            remote: Some(remote.parse().unwrap()),
            ..Call::new(op, path, found.params.clone(), &body, self.clock.now())
        };
        Ok(call.warned((row.unwrap().run)(&self.method, &call).await?))
    }

    async fn ask(&self, op: Op, path: &str, body: Value) -> Result<Reply, Error> {
        self.from("127.0.0.1", op, path, body).await
    }

    async fn write(&self, path: &str, body: Value) -> Value {
        data(self.ask(Op::Write, path, body).await.unwrap())
    }

    async fn read(&self, path: &str) -> Value {
        data(self.ask(Op::Read, path, json!({})).await.unwrap())
    }

    async fn refused(&self, op: Op, path: &str, body: Value) -> String {
        match self.ask(op, path, body).await {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{path} was done"),
        }
    }

    /// A role `r` with the id `r`, and a secret id of it.
    async fn ready(&self, mut role: Value, secret: Value) -> String {
        role["role_id"] = json!("r");
        self.write("role/r", role).await;
        let made = self.write("role/r/secret-id", secret).await;
        made["secret_id"].as_str().unwrap().to_owned()
    }

    async fn login(&self, secret: &str) -> Result<Box<Login>, Error> {
        let body = json!({"role_id": "r", "secret_id": secret});
        let reply = self.ask(Op::Write, "login", body).await?;
        Ok(reply.login.unwrap())
    }

    /// All keys of the mount below a folder.
    async fn names(&self, folder: &str) -> Vec<String> {
        self.method
            .store
            .view
            .list(folder, "", 0)
            .await
            .unwrap()
            .names
    }
}

fn data(reply: Reply) -> Value {
    reply.data.map_or(Value::Null, |data| {
        serde_json::from_slice(data.bytes()).unwrap()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logins_just_as_many_pass_as_there_are_uses() {
    let mount = Arc::new(Mount::new());
    let secret = mount.ready(json!({}), json!({"num_uses": 10})).await;
    let logins: Vec<_> = (0..100)
        .map(|_| {
            let (mount, secret) = (mount.clone(), secret.clone());
            tokio::spawn(async move { mount.login(&secret).await.is_ok() })
        })
        .collect();
    let mut passed = 0;
    for login in logins {
        passed += usize::from(login.await.unwrap());
    }
    assert_eq!(passed, 10);
    // The last use took its records along.
    assert!(mount.names("secret/").await.is_empty());
    assert!(mount.names("accessor/").await.is_empty());
}

#[tokio::test]
async fn what_has_ended_is_refused_at_once_and_goes_with_what_is_made_later() {
    let mount = Mount::new();
    let role = json!({"secret_id_ttl": 60});
    let secret = mount.ready(role, json!({})).await;
    mount.clock.advance(Duration::from_nanos(59_999_999_999));
    assert!(mount.login(&secret).await.is_ok());
    mount.clock.advance(Duration::from_nanos(1));
    assert!(mount.login(&secret).await.is_err());
    assert_eq!(mount.names("expire/").await.len(), 1);
    mount.clock.advance(Duration::from_secs(1));
    mount.write("role/r/secret-id", json!({})).await;
    assert_eq!(mount.names("expire/").await.len(), 1);
    assert_eq!(mount.names("accessor/").await.len(), 1);
}

#[tokio::test]
async fn a_refused_login_does_the_same_work_whether_the_role_exists_or_not() {
    let mount = Mount::new();
    let secret = mount.ready(json!({}), json!({})).await;
    let mut seen = Vec::new();
    for warm in [false, true] {
        if warm {
            mount.login(&secret).await.unwrap();
        }
        for role_id in ["r", "nobody"] {
            mount.method.store.invalidate_all();
            if warm {
                mount.login(&secret).await.unwrap();
            }
            for secret in ["wrong", ""] {
                let before = mount.store.operations();
                let body = json!({"role_id": role_id, "secret_id": secret});
                let text = mount.refused(Op::Write, "login", body).await;
                seen.push((secret, text, mount.store.operations() - before));
            }
        }
    }
    let (wrong, missing): (Vec<_>, Vec<_>) = seen.iter().partition(|(s, ..)| *s == "wrong");
    assert!(wrong.iter().all(|one| one == &wrong[0]), "{wrong:?}");
    assert!(missing.iter().all(|one| one == &missing[0]), "{missing:?}");
    assert_eq!(wrong[0].1, "invalid role or secret ID");
}

#[tokio::test]
async fn networks_of_the_role_and_of_the_secret_id_hold() {
    let mount = Mount::new();
    let role = json!({"secret_id_bound_cidrs": "10.0.0.0/8", "token_bound_cidrs": "10.0.0.0/8"});
    let own = json!({"cidr_list": ["10.1.0.0/16"], "token_bound_cidrs": ["10.1.2.0/24"]});
    let secret = mount.ready(role, own).await;
    let login = async |from: &str| {
        let body = json!({"role_id": "r", "secret_id": secret});
        mount.from(from, Op::Write, "login", body).await
    };
    let params = login("10.1.2.3").await.unwrap().login.unwrap().params;
    assert_eq!(params.bound_cidrs, ["10.1.2.0/24".parse().unwrap()]);
    for from in ["10.2.0.1", "11.0.0.1", "10.1.3.1"] {
        assert!(login(from).await.is_err(), "{from}");
    }
    for outside in [
        json!({"cidr_list": "11.0.0.0/8"}),
        json!({"token_bound_cidrs": "0.0.0.0/0"}),
    ] {
        mount.refused(Op::Write, "role/r/secret-id", outside).await;
    }
}

#[tokio::test]
async fn a_path_of_one_member_changes_no_other() {
    let mount = Mount::new();
    mount.ready(json!({"token_policies": "a"}), json!({})).await;
    let body = json!({"secret_id_ttl": 5, "token_policies": "root"});
    let reply = mount
        .ask(Op::Write, "role/r/secret-id-ttl", body)
        .await
        .unwrap();
    assert!(
        reply.warnings[0].contains("token_policies"),
        "{:?}",
        reply.warnings
    );
    let role = mount.read("role/r").await;
    assert_eq!(role["token_policies"], json!(["a"]));
    assert_eq!(role["secret_id_ttl"], 5);
    for (path, body) in [
        ("period", json!({})),
        ("policies", json!({"token_ttl": 5})),
        ("bind-secret-id", json!({"bind_secret_id": false})),
        ("secret-id-num-uses", json!({"secret_id_num_uses": -1})),
    ] {
        mount
            .refused(Op::Write, &format!("role/r/{path}"), body)
            .await;
    }
    assert_eq!(mount.read("role/r").await, role);
}

#[tokio::test]
async fn a_role_id_belongs_to_one_role() {
    let mount = Mount::new();
    let secret = mount.ready(json!({}), json!({})).await;
    for (path, body) in [
        ("role/other", json!({"role_id": "r"})),
        ("role/other", json!({"role_id": ""})),
        ("role/other", json!({"bind_secret_id": false})),
    ] {
        mount.refused(Op::Write, path, body).await;
        assert!(mount.ask(Op::Read, "role/other", json!({})).await.is_err());
    }
    mount.login(&secret).await.unwrap();
    mount
        .write("role/r/role-id", json!({"role_id": "new"}))
        .await;
    assert!(mount.login(&secret).await.is_err());
    mount.write("role/other", json!({"role_id": "r"})).await;
    // The other role's id, and not its secret id.
    assert!(mount.login(&secret).await.is_err());
}

#[tokio::test]
async fn a_removed_role_takes_its_secret_ids_along_however_many() {
    let mount = Mount::new();
    let secret = mount.ready(json!({}), json!({})).await;
    for _ in 0..20 {
        mount.write("role/r/secret-id", json!({"ttl": "1h"})).await;
    }
    mount.ask(Op::Delete, "role/r", json!({})).await.unwrap();
    assert!(mount.login(&secret).await.is_err());
    mount.write("role/r", json!({"role_id": "r"})).await;
    assert!(mount.login(&secret).await.is_err());
    let reply = mount
        .ask(Op::Write, "tidy/secret-id", json!({}))
        .await
        .unwrap();
    assert_eq!(reply.status, Some(202));
    while !mount.names("gone/").await.is_empty() {
        tokio::task::yield_now().await;
    }
    for folder in ["secret/", "accessor/", "expire/"] {
        assert!(mount.names(folder).await.is_empty(), "{folder}");
    }
}

#[tokio::test]
async fn a_renewal_takes_what_the_role_says_by_now() {
    let mount = Mount::new();
    let secret = mount.ready(json!({"token_ttl": 60}), json!({})).await;
    let login = mount.login(&secret).await.unwrap();
    assert_eq!((login.alias.as_str(), &*login.display_name), ("r", ""));
    assert_eq!(
        login.metadata,
        BTreeMap::from([("role_name".into(), "r".into())])
    );
    assert_eq!(login.params.ttl, 60);
    mount.write("role/r", json!({"token_ttl": 90})).await;
    assert_eq!(mount.login(&secret).await.unwrap().params.ttl, 90);
}
