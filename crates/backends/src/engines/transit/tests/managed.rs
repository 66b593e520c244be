//! Keys in a device that can be told to go wrong. With a token of SoftHSM2 see `tests/managed`.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use keyfold_core::ports::engine::Params;
use keyfold_core::ports::managed::{
    Done, Job, ManagedError, ManagedKey, ManagedKind, Settled, Use,
};
use keyfold_keys::transit::{KeyType, ServiceKey};
use keyfold_secret::Secret;
use serde_json::Map;

use super::*;

/// What a device has, and how it is.
#[derive(Default)]
struct Device {
    /// By label.
    keys: Mutex<BTreeMap<String, Arc<ServiceKey>>>,
    /// Labels of keys that do not encrypt.
    stubborn: Mutex<BTreeSet<String>>,
    away: Mutex<bool>,
    /// Jobs that were done.
    jobs: Mutex<usize>,
}

impl Device {
    /// Puts another key under a label.
    fn replace(&self, label: &str) {
        let key = Arc::new(ServiceKey::generate(KeyType::Aes256Gcm96, 0).unwrap());
        self.keys.lock().unwrap().insert(label.to_owned(), key);
    }

    /// Jobs since it was asked last.
    fn jobs(&self) -> usize {
        std::mem::take(&mut *self.jobs.lock().unwrap())
    }
}

struct Kind(Arc<Device>);

impl ManagedKind for Kind {
    fn name(&self) -> &'static str {
        "device"
    }

    /// The record is the label alone.
    fn settle(&self, body: &Body, _: Option<&[u8]>) -> Result<Settled, Error> {
        let label: Value = serde_json::from_slice(body.bytes()).unwrap();
        Ok(Settled {
            record: Secret::new(label["label"].as_str().unwrap().as_bytes().to_vec()),
            unknown: Vec::new(),
        })
    }

    fn show(&self, _: &[u8]) -> Result<Map<String, Value>, Error> {
        Ok(Map::new())
    }

    fn open(&self, stored: &[u8]) -> Result<Arc<dyn ManagedKey>, ManagedError> {
        Ok(Arc::new(Key {
            device: self.0.clone(),
            label: String::from_utf8(stored.to_vec()).unwrap(),
        }))
    }
}

struct Key {
    device: Arc<Device>,
    label: String,
}

impl Key {
    fn one(&self, job: Job) -> Done {
        *self.device.jobs.lock().unwrap() += 1;
        let stubborn = self.device.stubborn.lock().unwrap().contains(&self.label);
        let mut cipher = self.device.keys.lock().unwrap()[&self.label]
            .cipher()
            .unwrap();
        match job {
            Job::Encrypt { .. } if stubborn => Err(ManagedError::Refused("not today".to_owned())),
            Job::Encrypt { plaintext, aad } => Ok(Secret::new(
                cipher.encrypt(&aad, plaintext.expose()).unwrap(),
            )),
            Job::Decrypt { sealed, aad } => {
                let opened = cipher.decrypt(&aad, sealed);
                opened.map_err(|_| ManagedError::Foreign)
            }
            Job::Sign(_) => panic!("it signs nothing"),
        }
    }
}

#[async_trait]
impl ManagedKey for Key {
    fn allows(&self, what: Use) -> bool {
        matches!(what, Use::Encrypt | Use::Decrypt)
    }

    async fn describe(&self, _: bool) -> Result<ServiceKey, ManagedError> {
        Ok(ServiceKey::elsewhere(KeyType::Aes256Gcm96).unwrap())
    }

    async fn run(&self, jobs: Vec<Job>) -> Result<Vec<Done>, ManagedError> {
        match *self.device.away.lock().unwrap() {
            true => Err(ManagedError::Away("it is away".to_owned())),
            false => Ok(jobs.into_iter().map(|job| self.one(job)).collect()),
        }
    }
}

impl Mount {
    /// A mount whose managed keys lie in a device.
    async fn with(device: &Arc<Device>) -> Self {
        let mount = Self::new().await;
        mount.reopened(device)
    }

    /// The same store after the vault was opened again.
    fn reopened(&self, device: &Arc<Device>) -> Self {
        let view = self.transit.view.clone();
        let managed = ManagedKeys::new(view.clone(), vec![Arc::new(Kind(device.clone()))]);
        Self {
            transit: Transit::new(view, Arc::new(managed)),
            store: self.store.clone(),
        }
    }

    /// Points a managed key to a label.
    async fn point(&self, name: &str, label: &str) {
        let body = json!({"label": label, "any_mount": true});
        let body = Body::new(body.to_string().into_bytes());
        let call = Call::new(Op::Write, "", Params::default(), &body, Time::default());
        let written = self.transit.managed.write("device", name, &call);
        written.await.unwrap();
    }

    async fn device_key(&self, name: &str) {
        self.point(name, name).await;
        let body = json!({"type": "managed_key", "managed_key_name": name});
        self.write(&format!("keys/{name}"), body).await;
    }
}

const OTHER: &str =
    "managed key k: the key that it leads to is not the one that this version was made with";

#[tokio::test]
async fn another_key_is_noticed_before_it_is_used() {
    let device = Arc::new(Device::default());
    for label in ["k", "other"] {
        device.replace(label);
    }
    let mount = Mount::with(&device).await;
    mount.device_key("k").await;
    assert_eq!(device.jobs(), 2, "it seals its proof, and opens it");
    let sealed = mount.encrypt("k", json!({})).await;
    assert_eq!(device.jobs(), 2, "it opens it once more");
    mount.encrypt("k", json!({})).await;
    assert_eq!(device.jobs(), 1);
    let shown = mount.show("k").await;
    assert_eq!(shown["managed_keys"]["1"].as_object().unwrap().len(), 2);

    // The record leads to another key.
    mount.point("k", "other").await;
    let plain = json!({"plaintext": HELLO});
    for _ in 0..2 {
        assert_eq!(mount.refused("encrypt/k", plain.clone()).await, OTHER);
    }
    let body = json!({"ciphertext": sealed});
    assert_eq!(mount.refused("decrypt/k", body.clone()).await, OTHER);
    mount.point("k", "k").await;
    mount.write("decrypt/k", body.clone()).await;

    // The device has another key under the name: seen when the vault is opened again, and when the device was away.
    let right = device.keys.lock().unwrap()["k"].clone();
    device.replace("k");
    let again = mount.reopened(&device);
    assert_eq!(again.refused("encrypt/k", plain.clone()).await, OTHER);
    *device.away.lock().unwrap() = true;
    let away = mount.ask(Op::Write, "encrypt/k", &plain.to_string()).await;
    assert!(matches!(away, Err(Error::Away(_))), "{:?}", away.err());
    *device.away.lock().unwrap() = false;
    assert_eq!(mount.refused("encrypt/k", plain).await, OTHER);
    device.keys.lock().unwrap().insert("k".to_owned(), right);
    for mount in [mount, again] {
        let opened = mount.write("decrypt/k", body.clone()).await;
        assert_eq!(opened.data["plaintext"], HELLO);
    }
}

#[tokio::test]
async fn what_a_device_refuses_is_not_counted() {
    let device = Arc::new(Device::default());
    for label in ["k", "next"] {
        device.replace(label);
    }
    let mount = Mount::with(&device).await;
    mount.device_key("k").await;
    mount.point("next", "next").await;
    let sealed = mount.encrypt("k", json!({})).await;
    let next = json!({"managed_key_name": "next"});
    mount.write("keys/k/rotate", next).await;
    let rewrap = json!({"ciphertext": sealed});
    device.stubborn.lock().unwrap().insert("next".to_owned());
    let error = mount.refused("rewrap/k", rewrap.clone()).await;
    assert_eq!(error, "managed key next: not today");
    let census = async || mount.ask(Op::Read, "keys/k/census", "").await.unwrap().data;
    let before = census().await;
    assert_eq!(before["type"], "managed_key");
    assert_eq!(before["versions"][0]["operations"]["rewrap"], 0);
    assert_eq!(before["versions"][1]["total"], 0);
    device.stubborn.lock().unwrap().clear();
    let moved = mount.write("rewrap/k", rewrap).await.data;
    let same = json!({"ciphertext": moved["ciphertext"]});
    mount.write("rewrap/k", same).await;
    let after = census().await;
    assert_eq!(after["versions"][0]["operations"]["rewrap"], 1);
    let second = &after["versions"][1]["operations"];
    assert_eq!(
        (&second["rewrap_into"], &second["rewrap_same"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_key_that_is_there_is_of_the_managed_key_that_is_named() {
    let device = Arc::new(Device::default());
    device.replace("k");
    let mount = Mount::with(&device).await;
    mount.device_key("k").await;
    let again = |name: &str| json!({"type": "managed_key", "managed_key_name": name});
    assert!(mount.write("keys/k", again("k")).await.warnings.is_empty());
    let other = mount.write("keys/k", again("other")).await;
    assert!(other.warnings[0].contains("other settings"));
}
