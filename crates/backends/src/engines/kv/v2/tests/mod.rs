//! The engine through its table, over a real barrier on a store in memory.

mod data;
mod golden;
mod lists;
mod metadata;
mod patch;
mod paths;
mod subkeys;
mod takeover;
mod together;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyfold_core::barrier::{FirstKeys, View};
use keyfold_core::clock::{Clock, ManualClock, Time};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::{Call, Dispatch, Engine, MountContext};
use keyfold_core::ports::storage::Storage;
use keyfold_core::request::{Body, Op};
use keyfold_core::testing::FaultyStorage;
use keyfold_core::tokens::Caller;
use serde_json::{Value, json};

use super::super::{KIND, v1};
use super::Kv;
use crate::storage::Memory;

/// 2030-01-01, in nanoseconds.
const NOW: Time = Time(1_893_456_000_000_000_000);
const PREFIX: &str = "logical/kv/";

struct Mount {
    kv: Kv,
    view: View,
    clock: Arc<ManualClock>,
    store: Arc<FaultyStorage>,
}

/// What a call gave: status (204 where there is nothing to say), data as text, warnings.
struct Answer {
    status: u16,
    text: String,
    warnings: Vec<String>,
}

impl Answer {
    fn data(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

impl Mount {
    fn new() -> Self {
        Self::on(Arc::new(Memory::new()))
    }

    fn on(store: Arc<dyn Storage>) -> Self {
        let store = Arc::new(FaultyStorage::new(store));
        let storage: Arc<dyn Storage> = store.clone();
        let clock = Arc::new(ManualClock::at(NOW));
        let view = FirstKeys::new("2030-01-01T00:00:00Z").view(&storage, PREFIX);
        Self {
            kv: Kv::new(view.clone(), clock.clone()),
            view,
            clock,
            store,
        }
    }

    /// The same store as another process would see it.
    fn restarted(&self) -> Self {
        Self {
            kv: Kv::new(self.view.clone(), self.clock.clone()),
            view: self.view.clone(),
            clock: self.clock.clone(),
            store: self.store.clone(),
        }
    }

    async fn ask(&self, op: Op, path: &str, body: &str) -> Result<Answer, Error> {
        self.ask_as(Caller::anonymous(), op, path, body).await
    }

    async fn ask_as(
        &self,
        caller: Caller,
        op: Op,
        path: &str,
        body: &str,
    ) -> Result<Answer, Error> {
        let found = self.kv.find(op, path)?;
        // Help for "" is about every path.
        let help = self
            .kv
            .help(if path.is_empty() { "elsewhere" } else { path });
        let pattern = help.iter().find(|help| help.op == op).unwrap().pattern;
        let row = Kv::routes()
            .iter()
            .find(|row| row.op == op && row.pattern == pattern);
        let body = Body::new(body.as_bytes().to_vec());
        let call = Call {
            caller: &caller,
            ..Call::new(op, path, found.params.clone(), &body, self.clock.now())
        };
        let reply = call.warned((row.unwrap().run)(&self.kv, &call).await?);
        let text = reply
            .data
            .map(|data| String::from_utf8(data.bytes().to_vec()).unwrap());
        let status = if text.is_some() || !reply.warnings.is_empty() {
            200
        } else {
            204
        };
        Ok(Answer {
            status: reply.status.unwrap_or(status),
            text: text.unwrap_or_default(),
            warnings: reply.warnings,
        })
    }

    /// A write that has to succeed.
    async fn write(&self, path: &str, body: Value) -> Answer {
        let answer = self.ask(Op::Write, path, &body.to_string()).await;
        answer.unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    /// A write that has to be refused as the caller's mistake: its text.
    async fn refused(&self, path: &str, body: Value) -> String {
        match self.ask(Op::Write, path, &body.to_string()).await {
            Err(Error::BadRequest(text)) => text,
            Err(other) => panic!("{path} {body}: {other}"),
            Ok(answer) => panic!("{path} {body} was taken: {}", answer.text),
        }
    }

    /// A read that has to find something.
    async fn read(&self, path: &str, body: Value) -> Answer {
        let answer = self.ask(Op::Read, path, &body.to_string()).await;
        answer.unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    /// A read that has to find nothing at all.
    async fn missing(&self, path: &str, body: Value) {
        match self.ask(Op::Read, path, &body.to_string()).await {
            Err(Error::NotFound) => {}
            Err(other) => panic!("{path} {body}: {other}"),
            Ok(answer) => panic!("{path} {body} is there: {}", answer.text),
        }
    }

    async fn delete(&self, path: &str) {
        assert_eq!(self.ask(Op::Delete, path, "").await.unwrap().status, 204);
    }

    async fn list(&self, path: &str, body: Value) -> Result<Vec<String>, Error> {
        let answer = self.ask(Op::List, path, &body.to_string()).await?;
        Ok(serde_json::from_value(answer.data()["keys"].clone()).unwrap())
    }

    /// Writes so many versions: `{"n": 1}`, `{"n": 2}`, …
    async fn secret(&self, path: &str, versions: u64) {
        for n in 1..=versions {
            self.write(&format!("data/{path}"), json!({"data": {"n": n}}))
                .await;
        }
    }

    /// What a read of each version gives: `n`, or null where it is deleted or destroyed.
    async fn versions(&self, path: &str, versions: u64) -> Vec<Value> {
        let mut seen = Vec::new();
        for n in 1..=versions {
            let answer = self
                .read(&format!("data/{path}"), json!({"version": n}))
                .await;
            assert_eq!(answer.status == 404, answer.data()["data"].is_null());
            seen.push(answer.data()["data"]["n"].clone());
        }
        seen
    }

    /// The names of all records, relative to the mount.
    async fn records(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in self.view.list(&folder, "", 0).await.unwrap().names {
                let key = format!("{folder}{name}");
                match name.ends_with('/') {
                    true => folders.push(key),
                    false => found.push(key),
                }
            }
        }
        found.sort();
        found
    }
}

#[test]
fn opens_without_touching_the_store() {
    let mount = Mount::new();
    let open = |version: Option<&str>| {
        let version = version.map(|v| ("version".to_owned(), v.to_owned()));
        (KIND.open)(MountContext {
            view: mount.view.clone(),
            fetch: &keyfold_core::ports::fetch::Offline,
            managed: Arc::new(keyfold_core::managed::ManagedKeys::new(
                mount.view.clone(),
                Vec::new(),
            )),
            clock: mount.clock.clone(),
            options: version.into_iter().collect::<BTreeMap<_, _>>(),
        })
    };
    for version in [None, Some("1"), Some("2")] {
        assert!(open(version).is_ok());
    }
    for version in [Some("3"), Some("x")] {
        assert!(matches!(open(version), Err(Error::BadRequest(_))));
    }
    assert_eq!(
        mount.store.operations(),
        0,
        "mounting is a commit of core's"
    );
}
