//! The engine through its table, over a real barrier on a store in memory.

mod batches;
mod census;
mod data;
mod imports;
mod keys;
mod life;
mod managed;
mod post_quantum;
mod restored;
mod retirement;
mod shredding;
mod signing;
mod together;
mod vectors;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_core::barrier::{FirstKeys, View};
use keyfold_core::clock::{ManualClock, Time};
use keyfold_core::error::Error;
use keyfold_core::managed::ManagedKeys;
use keyfold_core::ports::engine::{Call, Dispatch, Engine, MountContext};
use keyfold_core::ports::storage::{Batch, Storage};
use keyfold_core::request::{Body, Op};
use keyfold_core::testing::FaultyStorage;
use keyfold_core::tokens::Caller;
use serde_json::{Value, json};

use super::Transit;
use crate::storage::Memory;

/// 2030-01-01, in seconds.
const NOW: u64 = 1_893_456_000;
const HELLO: &str = "aGVsbG8=";

struct Mount {
    transit: Transit,
    store: Arc<FaultyStorage>,
}

/// What a call gave: status, data, warnings.
struct Answer {
    status: Option<u16>,
    data: Value,
    warnings: Vec<String>,
}

/// No managed keys.
fn none(view: &View) -> Arc<ManagedKeys> {
    Arc::new(ManagedKeys::new(view.clone(), Vec::new()))
}

impl Mount {
    async fn new() -> Self {
        let store = Arc::new(FaultyStorage::new(Arc::new(Memory::new())));
        let storage: Arc<dyn Storage> = store.clone();
        let view = FirstKeys::new("2030-01-01T00:00:00Z").view(&storage, "logical/transit/");
        Self {
            transit: Transit::new(view.clone(), none(&view)),
            store,
        }
    }

    /// The same store as another process would see it.
    fn restarted(&self) -> Self {
        let view = self.transit.view.clone();
        Self {
            transit: Transit::new(view.clone(), none(&view)),
            store: self.store.clone(),
        }
    }

    async fn ask(&self, op: Op, path: &str, body: &str) -> Result<Answer, Error> {
        let nobody = Caller::anonymous();
        self.ask_as(&nobody, NOW, (op, path, body)).await
    }

    /// The same by somebody, at a second.
    async fn ask_as(
        &self,
        caller: &Caller,
        now: u64,
        (op, path, body): (Op, &str, &str),
    ) -> Result<Answer, Error> {
        let found = self.transit.find(op, path)?;
        let help = self.transit.help(path);
        let pattern = help.iter().find(|help| help.op == op).unwrap().pattern;
        let row = Transit::routes()
            .iter()
            .find(|row| row.op == op && row.pattern == pattern);
        let row = row.unwrap();
        let body = Body::new(body.as_bytes().to_vec());
        let now = Time(now * 1_000_000_000);
        let mut call = Call::new(op, path, found.params.clone(), &body, now);
        call.caller = caller;
        if let Some(exists) = row.exists {
            let exists = exists(&self.transit, &call).await?;
            call.creates = !exists;
        }
        let reply = call.warned((row.run)(&self.transit, &call).await?);
        let data = reply.data.map_or(Value::Null, |data| {
            serde_json::from_slice(data.bytes()).unwrap()
        });
        Ok(Answer {
            status: reply.status,
            data,
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
            Ok(answer) => panic!("{path} {body} was taken: {}", answer.data),
        }
    }

    async fn encrypt(&self, key: &str, mut body: Value) -> String {
        body.as_object_mut()
            .unwrap()
            .entry("plaintext")
            .or_insert(HELLO.into());
        let answer = self.write(&format!("encrypt/{key}"), body).await;
        answer.data["ciphertext"].as_str().unwrap().to_owned()
    }

    async fn show(&self, key: &str) -> Value {
        self.ask(Op::Read, &format!("keys/{key}"), "")
            .await
            .unwrap()
            .data
    }

    /// A key with so many versions.
    async fn key(&self, name: &str, versions: u32) {
        self.write(&format!("keys/{name}"), json!({})).await;
        for _ in 1..versions {
            self.write(&format!("keys/{name}/rotate"), json!({})).await;
        }
    }
}

#[tokio::test]
async fn opens_as_a_mount() {
    let mount = Mount::new().await;
    let context = MountContext {
        fetch: &keyfold_core::ports::fetch::Offline,
        managed: none(&mount.transit.view),
        view: mount.transit.view.clone(),
        clock: Arc::new(ManualClock::default()),
        options: BTreeMap::new(),
    };
    let before = mount.store.operations();
    assert_eq!(
        (super::KIND.open)(context).unwrap().help("").len(),
        Transit::routes().len()
    );
    assert_eq!(
        mount.store.operations(),
        before,
        "mounting is a commit of core's"
    );
}
