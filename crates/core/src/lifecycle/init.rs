//! The first commit of a store.

use std::sync::Arc;

use keyfold_keys::{RootKey, Share, UnsealKey};
use keyfold_secret::Secret;

use super::seals::{Holds, ShamirSeal, Wraps, shares_key};
use super::unsealed::{Cluster, HeldRoot, PREFIX, ROOT_MADE};
use super::{Core, FORMAT, FORMAT_KEY, Sealed, State};
use crate::audit::Broker;
use crate::barrier::{FirstKeys, json};
use crate::error::Error;
use crate::id;
use crate::identity::Identity;
use crate::initialize;
use crate::mounts::Mounts;
use crate::policies::Policies;
use crate::ports::storage::{Batch, StorageError};
use crate::tokens::{NewToken, Tokens};

/// How the unseal key is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Shares that are handed out, 1 to 255.
    pub shares: u8,
    /// Shares that open, at most as many.
    pub threshold: u8,
}

impl Shares {
    /// Checks the numbers of a request.
    pub fn new(shares: i64, threshold: i64) -> Result<Self, Error> {
        Self::checked("seal", shares, threshold)
    }

    /// The same for shares beside a seal, of which there may be none: 0 of 0.
    pub fn recovery(shares: i64, threshold: i64) -> Result<Option<Self>, Error> {
        match (shares, threshold) {
            (0, 0) => Ok(None),
            _ => Self::checked("recovery", shares, threshold).map(Some),
        }
    }

    pub(super) fn checked(of: &str, shares: i64, threshold: i64) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::bad(format!("invalid {of} configuration: {what}")));
        if shares < 1 {
            return wrong("shares must be at least one");
        }
        let Ok(count) = u8::try_from(shares) else {
            return wrong("shares must be less than 256");
        };
        if threshold < 1 {
            return wrong("threshold must be at least one");
        }
        if shares > 1 && threshold == 1 {
            return wrong("threshold must be greater than one for multiple shares");
        }
        match u8::try_from(threshold) {
            Ok(threshold) if threshold <= count => Ok(Self {
                shares: count,
                threshold,
            }),
            _ => wrong("threshold cannot be larger than shares"),
        }
    }
}

impl Shares {
    /// The shares of a new unseal key, and their record in the batch that stores it.
    fn hand_out(self, holds: Holds<'_>) -> Result<(Vec<Share>, Batch), Error> {
        let unseal = UnsealKey::generate();
        let shares = unseal
            .split(self.shares, self.threshold)
            .map_err(|_| Error::Bug("a checked split was refused"))?;
        let seal = ShamirSeal::new((&unseal, &shares), self.threshold, holds)?;
        let key = shares_key();
        let batch = Batch::new().absent(key.clone()).put(key, json(&seal)?);
        Ok((shares, batch))
    }
}

/// What init tells, once.
pub struct Initialized {
    /// The shares.
    pub shares: Vec<Share>,
    /// The first root token.
    pub root_token: Secret<String>,
}

impl Core {
    /// Starts a store: keys, first records and root token in one commit. Shares are needed where no
    /// seal opens the store; a vault that one opens is opened at once.
    pub async fn init(
        self: &Arc<Self>,
        split: Option<Shares>,
        root_token: Option<Secret<String>>,
    ) -> Result<Initialized, Error> {
        let _changing = self.changing.lock().await;
        if !matches!(*self.state(), State::Uninit) {
            return Err(Error::bad("Vault is already initialized"));
        }
        let now = self.clock.now();
        let root = RootKey::generate();
        let sealed_by_machine = self.seals.first().is_some();
        let opens = self.seals.shares_are_to_open();
        let anew = self.seals.begin(&root, split.is_some() && opens).await?;
        let parts = anew.parts;
        let (shares, record) = match split {
            None if sealed_by_machine => (Vec::new(), Batch::new()),
            None => return Err(Error::bad("without seals a store needs shares")),
            Some(split) => split.hand_out(match anew.people {
                Some((quorum, part)) => {
                    let of = quorum.membership(&part)?;
                    Holds::Part(part, of)
                }
                None if opens => Holds::Root(&root),
                None => Holds::Nothing,
            })?,
        };
        let batch = anew.batch.and(record);

        let first = FirstKeys::new(&now.rfc3339());
        let system = first.view(&self.storage, PREFIX);
        let cluster = Cluster {
            name: self
                .settings
                .cluster_name
                .clone()
                .unwrap_or_else(cluster_name),
            id: id::uuid(),
        };
        let records = Broker::first(Mounts::first(cluster.store(Batch::new())?, now)?);
        let records = Identity::first(Policies::first(records, now)?);
        let (tokens, records) = Tokens::first(system.clone(), self.clock.clone(), records);
        let (_, root_token, records) = tokens.prepare(NewToken::root(root_token), records)?;
        let records = initialize::note(&self.initialize, records)?;
        let records = records.put(ROOT_MADE, now.rfc3339());
        let batch = batch.and(first.store(&root, system.sealed(records)?)?);
        let batch = batch.absent(FORMAT_KEY).put(FORMAT_KEY, FORMAT.to_string());
        match self.storage.commit(batch).await {
            Ok(_) => {}
            // Another node on the same store was first.
            Err(StorageError::Conflict(_)) => {
                return Err(Error::bad("Vault is already initialized"));
            }
            Err(error) => {
                if matches!(error, StorageError::Unknown(_)) {
                    // It is tried again, and told, when the next request comes.
                    let _unsure = self.look_again().await;
                }
                return Err(error.into());
            }
        }
        self.state
            .store(Arc::new(State::Sealed(Arc::<Sealed>::default())));
        let begun = Initialized { shares, root_token };
        // From here on the shares have to be told, whatever comes.
        let root = HeldRoot {
            key: Arc::new(root),
            parts,
        };
        if let Err(error) = self.opened_at_once(root, sealed_by_machine).await {
            tracing::warn!(%error, "the store has begun, and could not be opened at once");
        }
        self.seals.wake.notify_one();
        Ok(begun)
    }

    async fn opened_at_once(self: &Arc<Self>, root: HeldRoot, open: bool) -> Result<(), Error> {
        self.seals.note(Wraps::load(&*self.storage).await?);
        if !open {
            return Ok(());
        }
        // Where it takes several ways, people may be one of them: the root key stays until it is
        // known that the seals are enough.
        let required = self.seals.wraps().required() > 1;
        self.enter(root, required).await
    }
}

fn cluster_name() -> String {
    format!(
        "vault-cluster-{}",
        hex::encode(keyfold_keys::rng::bytes::<4>())
    )
}
