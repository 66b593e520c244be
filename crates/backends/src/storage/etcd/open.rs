//! Finding the cluster, and checking that what stands below the prefix is one's own store.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyfold_core::id;
use keyfold_keys::rng;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::super::standing::Standing;
use super::feed::{Feed, Found};
use super::keys::Keys;
use super::link::{Fault, Link};
use super::links::Links;
use super::locks::LetGo;
use super::member::Identity;
use super::options::Options;
use super::record::Record;
use super::root::Root;
use super::session::Sessions;
use super::wire::{Compare, Condition, KeyValue, Op, Range, Status, Txn};
use super::{Etcd, Shared, follow, stage};

/// The format of what is below the prefix.
const FORMAT: u32 = 1;
/// The oldest version that is tried.
const OLDEST: (u32, u32) = (3, 4);
const PAUSE: Duration = Duration::from_millis(250);

/// Why a store did not open. No variant holds a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The cluster can't be reached, lets nobody in, or is not one to keep a store on.
    #[error("etcd at {endpoints}: {reason}")]
    Cluster {
        /// Its members.
        endpoints: String,
        /// What is wrong.
        reason: String,
    },
    /// What stands below the prefix is no store for this server.
    #[error("the prefix {prefix} at {endpoints}: {reason}")]
    Prefix {
        /// What all keys begin with.
        prefix: String,
        /// The members.
        endpoints: String,
        /// What is wrong.
        reason: String,
    },
}

/// What a store says about itself.
#[derive(Serialize, Deserialize)]
struct Meta {
    format: u32,
    /// Made by chance, with the store.
    mark: String,
    #[serde(default)]
    cluster: Option<String>,
}

/// Why a store is not opened.
enum Unfit {
    Refused(String),
    Failed(Fault),
}

impl From<Fault> for Unfit {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// Opens a store, on the current runtime.
pub(super) async fn open(mut options: Options) -> Result<Etcd, OpenError> {
    let endpoints = options.name();
    let refused = |reason| OpenError::Cluster {
        endpoints: endpoints.clone(),
        reason,
    };
    let links = options.endpoints.iter();
    let links = links.map(|(name, endpoint)| Link::new(endpoint, name.clone()));
    let links = Links::new(links.collect(), options.user.take());
    let condition = connect(&links, options.endpoints.len()).await;
    check(&condition.map_err(|fault| refused(fault.text))?).map_err(refused)?;
    let keys = Keys::new(&options.prefix);
    let opened = find(&links, &keys, options.cluster.as_deref()).await;
    let (root, found) = opened.map_err(|unfit| OpenError::Prefix {
        prefix: keys.prefix().to_owned(),
        endpoints: endpoints.clone(),
        reason: match unfit {
            Unfit::Refused(reason) => reason,
            Unfit::Failed(fault) => fault.text,
        },
    })?;
    let etcd = start(options, links, keys, root, found);
    let compared = etcd.shared.compare_clocks().await;
    let compared = compared.unwrap_or_else(|error| Err(error.to_string()));
    compared.map_err(|reason| OpenError::Cluster { endpoints, reason })?;
    Ok(etcd)
}

fn start(options: Options, links: Links, keys: Keys, root: Root, found: Found) -> Etcd {
    let (least, most) = Options::FRESHNESS;
    let bound = options.freshness.clamp(least, most);
    let standing = Arc::new(Standing::new(bound, found.committed));
    let shared = Arc::new_cyclic(|own| Shared {
        own: own.clone(),
        keys,
        links,
        feed: Feed::new(found, standing.clone()),
        standing,
        root: Mutex::new(root),
        sessions: Sessions::new(bound),
        let_go: LetGo::default(),
        identity: Identity {
            id: id::uuid(),
            host: options.host,
            address: options.address,
            version: options.version,
        },
        joined: AtomicBool::new(false),
        rewatch: Notify::new(),
    });
    let (_open, open) = watch::channel(());
    tokio::spawn(follow::follow(shared.clone(), open.clone()));
    tokio::spawn(follow::beat(shared.clone(), open));
    shared.spawn_sweep();
    Etcd { shared, _open }
}

/// Each member is asked, and once more.
async fn connect(links: &Links, members: usize) -> Result<Condition, Fault> {
    let mut left = members.saturating_mul(2);
    loop {
        left = left.saturating_sub(1);
        match links.once(&Status {}).await {
            Err(fault) if fault.is_passing() && left > 0 => {
                tracing::warn!(reason = &*fault.text, "etcd can't be reached yet");
                tokio::time::sleep(PAUSE).await;
            }
            connected => return connected,
        }
    }
}

fn check(condition: &Condition) -> Result<(), String> {
    let version = &condition.version;
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let found: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        return Err(format!(
            "it is version {version}, and 3.4 is the oldest that will do"
        ));
    }
    for alarm in &condition.errors {
        tracing::warn!(alarm, "etcd has raised an alarm");
    }
    Ok(())
}

/// What stands below the prefix; makes a store where that is nothing.
async fn find(links: &Links, keys: &Keys, cluster: Option<&str>) -> Result<(Root, Found), Unfit> {
    let root = loop {
        let (all, end) = keys.all();
        let meta = Meta {
            format: FORMAT,
            mark: id::uuid(),
            cluster: cluster.map(str::to_owned),
        };
        let generation = stage::generation();
        let record = Record::touching(&rng::bytes(), Vec::new(), false);
        let make = Txn {
            compare: vec![Compare::empty(all, end)],
            success: vec![
                Op::put(keys.meta(), meta.to_bytes()),
                Op::put(keys.root(), generation.clone().into_bytes()),
                Op::put(keys.commit(), record.to_bytes()),
            ],
            failure: vec![
                Op::range(Range::one(keys.meta())),
                Op::range(Range::one(keys.root())),
            ],
        };
        let done = links.once(&make).await?;
        if done.succeeded {
            break Root {
                generation: generation.into(),
                revision: done.revision(),
            };
        }
        let meta = done.one(0).ok_or_else(|| {
            Unfit::Refused("there are keys below it that are not this program's".to_owned())
        })?;
        let root = read_meta(meta, done.one(1), cluster)?;
        let Some(named) = root.1 else { break root.0 };
        // The first server that has a name gives it to the store.
        let name = Txn {
            compare: vec![Compare::modified(keys.meta(), meta.mod_revision)],
            success: vec![Op::put(keys.meta(), named.to_bytes())],
            failure: Vec::new(),
        };
        links.once(&name).await?;
    };
    let (key, range_end) = keys.feed();
    let followed = Range {
        range_end,
        ..Range::one(key)
    };
    let ranged = links.once(&followed).await?;
    let revision = ranged.header.as_ref().map_or(0, |header| header.revision);
    Ok((root, Found::read(keys, revision, &ranged.kvs)))
}

/// The root, and what the store is to say about itself from now on, where that is something else.
fn read_meta(
    meta: &KeyValue,
    root: Option<&KeyValue>,
    cluster: Option<&str>,
) -> Result<(Root, Option<Meta>), Unfit> {
    let refused = |why: &str| Unfit::Refused(why.to_owned());
    let meta: Meta = serde_json::from_slice(&meta.value)
        .map_err(|_| refused("there is a key below it that is not this program's"))?;
    if meta.format != FORMAT {
        return Err(Unfit::Refused(format!(
            "the store has format {}, and this program knows {FORMAT}",
            meta.format
        )));
    }
    let root = root.and_then(Root::read);
    let root = root.ok_or_else(|| refused("the store has no root: it is not whole"))?;
    match (cluster, &meta.cluster) {
        (Some(own), Some(theirs)) if own != theirs => Err(Unfit::Refused(format!(
            "the store is of the cluster \"{theirs}\", and this server of \"{own}\" (cluster_name)"
        ))),
        (Some(own), None) => {
            let cluster = Some(own.to_owned());
            Ok((root, Some(Meta { cluster, ..meta })))
        }
        _ => Ok((root, None)),
    }
}

impl Meta {
    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_store_of_ours_is_refused() {
        let kv = |value: &str| KeyValue {
            value: value.into(),
            mod_revision: 3,
            ..KeyValue::default()
        };
        let root = kv("7a");
        for (meta, root, cluster, word) in [
            ("x", Some(&root), None, "not this program's"),
            (
                r#"{"format":2,"mark":"m"}"#,
                Some(&root),
                None,
                "has format 2",
            ),
            (r#"{"format":1,"mark":"m"}"#, None, None, "no root"),
            (
                r#"{"format":1,"mark":"m","cluster":"a"}"#,
                Some(&root),
                Some("b"),
                "cluster \"a\"",
            ),
        ] {
            let Err(Unfit::Refused(why)) = read_meta(&kv(meta), root, cluster) else {
                panic!("{meta}")
            };
            assert!(why.contains(word), "{why}");
        }
        let unnamed = kv(r#"{"format":1,"mark":"m"}"#);
        let Ok((_, Some(named))) = read_meta(&unnamed, Some(&root), Some("a")) else {
            panic!("it gets a name")
        };
        assert_eq!((named.cluster.as_deref(), &*named.mark), (Some("a"), "m"));
        let named = kv(r#"{"format":1,"mark":"m","cluster":"a"}"#);
        for cluster in [None, Some("a")] {
            let read = read_meta(&named, Some(&root), cluster);
            assert!(matches!(read, Ok((_, None))));
        }
    }

    #[test]
    fn old_versions_are_refused() {
        for (version, fits) in [
            ("3.4.23", true),
            ("3.6.0-rc.1", true),
            ("4.0.0", true),
            ("3.3.27", false),
            ("", false),
        ] {
            let condition = Condition {
                version: version.to_owned(),
                ..Condition::default()
            };
            assert_eq!(check(&condition).is_ok(), fits, "{version}");
        }
    }
}
