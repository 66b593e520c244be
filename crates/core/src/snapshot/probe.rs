//! Opens records of every mount: what a rehearsal shows for.

use serde::Serialize;

use crate::barrier::View;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::mounts::Target;

/// How the records of one mount opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The mount; `sys/` for core's own records.
    pub path: String,
    /// `kv`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Records that opened.
    pub opened: usize,
    /// There are more, which were not tried.
    pub more: bool,
    /// Why one did not: the first, after which no other was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Unsealed {
    /// Opens records of every mount, so many of each at most.
    pub async fn probe(&self, most: usize) -> Vec<Probe> {
        let mut probes = vec![probe("sys/", "system", &self.system, most).await];
        for mount in self.mounts.table().sorted() {
            let record = &mount.record;
            if let Target::Engine { view, .. } = &mount.target {
                probes.push(probe(&record.path, &record.kind, view, most).await);
            }
        }
        probes
    }
}

async fn probe(path: &str, kind: &str, view: &View, most: usize) -> Probe {
    let mut probe = Probe {
        path: path.to_owned(),
        kind: kind.to_owned(),
        opened: 0,
        more: false,
        failure: None,
    };
    if let Err(error) = walk(view, most, &mut probe).await {
        probe.failure = Some(error.to_string());
    }
    probe
}

async fn walk(view: &View, most: usize, probe: &mut Probe) -> Result<(), Error> {
    let mut names = view.walk("");
    while let Some(key) = names.next(view.storage()).await? {
        if probe.opened >= most {
            probe.more = true;
            return Ok(());
        }
        if view.get(&key).await?.is_some() {
            probe.opened += 1;
        }
    }
    Ok(())
}
