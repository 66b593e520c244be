//! The records of tokens, and the cache in front of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use keyfold_keys::kdf::MacKey;
use keyfold_keys::xaes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::record::{Hash, Token};
use super::{batch, revoke};
use crate::barrier::{View, json};
use crate::clock::{Clock, Time};
use crate::error::Error;
use crate::metrics::Counter;
use crate::mounts::Table;
use crate::ports::storage::{Batch, Revision};

/// KiB of tokens that are kept in memory at most. One takes 1, unless it has much metadata.
const CACHED: u32 = 100_000;
pub(super) const ID: &str = "token/id/";
pub(super) const ACCESSOR: &str = "token/accessor/";
pub(super) const PARENT: &str = "token/parent/";
pub(super) const REVOKING: &str = "token/revoking/";
pub(super) const EXPIRE: &str = "expire/";
/// Records that are read in one go where all are gone through.
pub(super) const PAGE: usize = 256;
const HMAC_KEY: &str = "token/hmac-key";

#[derive(Clone)]
struct Kib;

impl Weighter<Hash, Arc<Token>> for Kib {
    fn weight(&self, _: &Hash, token: &Arc<Token>) -> u64 {
        token.kib()
    }
}

/// All tokens of a vault.
pub struct Tokens {
    pub(super) view: View,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) mounts: Arc<ArcSwap<Table>>,
    pub(super) batch_key: xaes::Key,
    mac: MacKey,
    cache: Cache<Hash, Arc<Token>, Kib>,
    pub(super) tidy_asked: AtomicBool,
    /// Made since the vault was opened.
    pub(crate) made: Counter,
}

impl Tokens {
    /// With fresh keys, which are added to the batch that begins a store.
    pub fn first(view: View, clock: Arc<dyn Clock>, batch: Batch) -> (Self, Batch) {
        let key = keyfold_keys::rng::bytes::<32>();
        let sealing = keyfold_keys::rng::bytes::<{ xaes::KEY_LEN }>();
        let batch = batch.put(HMAC_KEY, key).put(batch::KEY, sealing);
        let none = Arc::default();
        let sealing = xaes::Key::new(&sealing);
        (Self::new(view, clock, none, &key, sealing), batch)
    }

    /// Reads the keys. The table of mounts says who answers for a token.
    pub(crate) async fn open(
        view: View,
        clock: Arc<dyn Clock>,
        mounts: Arc<ArcSwap<Table>>,
    ) -> Result<Self, Error> {
        let key = view
            .get(HMAC_KEY)
            .await?
            .ok_or_else(|| Error::corrupt("sys/token/hmac-key"))?;
        let sealing = batch::open_key(&view).await?;
        Ok(Self::new(view, clock, mounts, key.value.expose(), sealing))
    }

    fn new(
        view: View,
        clock: Arc<dyn Clock>,
        mounts: Arc<ArcSwap<Table>>,
        key: &[u8],
        batch_key: xaes::Key,
    ) -> Self {
        Self {
            view,
            clock,
            mounts,
            batch_key,
            mac: MacKey::new(key),
            cache: Cache::with_weighter(CACHED as usize, CACHED.into(), Kib),
            tidy_asked: AtomicBool::new(false),
            made: Counter::default(),
        }
    }

    /// The name of a token's text (or of an accessor) in the store.
    pub fn hash(&self, text: &str) -> Hash {
        Hash::of(self.mac.hex(text.as_bytes()).as_str())
    }

    /// The live token of a text.
    pub async fn find(&self, text: &str, now: Time) -> Result<Option<Arc<Token>>, Error> {
        let token = if text.starts_with(batch::PREFIX) && text.len() <= batch::LONGEST {
            self.carried(text)
        } else if looks_like_one(text) {
            self.by_hash(&self.hash(text)).await?
        } else {
            None
        };
        self.living(token, now).await
    }

    /// The name of the token of an accessor, dead or alive.
    pub async fn named_by(&self, accessor: &str) -> Result<Option<Hash>, Error> {
        let key = format!("{ACCESSOR}{}", self.hash(accessor).0);
        Ok(self.view.read::<Hash>(&key).await?.map(|(hash, _)| hash))
    }

    /// The live token of an accessor.
    pub async fn by_accessor(&self, accessor: &str) -> Result<Option<Arc<Token>>, Error> {
        let Some(hash) = self.named_by(accessor).await? else {
            return Ok(None);
        };
        let token = self.by_hash(&hash).await?;
        self.living(token, self.clock.now()).await
    }

    pub(super) async fn living(
        &self,
        token: Option<Arc<Token>>,
        now: Time,
    ) -> Result<Option<Arc<Token>>, Error> {
        match token {
            Some(token) if self.lives(&token, now).await? => Ok(Some(token)),
            _ => Ok(None),
        }
    }

    /// The record of a name, dead or alive.
    pub(super) async fn by_hash(&self, hash: &Hash) -> Result<Option<Arc<Token>>, Error> {
        if let Some(token) = self.cache.get(hash) {
            return Ok(Some(token));
        }
        Box::pin(self.read(hash)).await
    }

    /// One caller reads the store, the others wait for it.
    async fn read(&self, hash: &Hash) -> Result<Option<Arc<Token>>, Error> {
        let place = match self.cache.get_value_or_guard_async(hash).await {
            Ok(token) => return Ok(Some(token)),
            Err(place) => place,
        };
        let Some((token, _)) = self.load(hash).await? else {
            return Ok(None);
        };
        let token = Arc::new(token);
        // A guard that was overtaken by `forget` refuses the stale value; it still answers.
        let _ = place.insert(token.clone());
        Ok(Some(token))
    }

    pub(super) async fn load(&self, hash: &Hash) -> Result<Option<(Token, Revision)>, Error> {
        let stored = self.view.read::<Token>(&format!("{ID}{}", hash.0)).await?;
        Ok(stored.map(|(token, revision)| {
            (
                Token {
                    hash: hash.clone(),
                    ..token
                },
                revision,
            )
        }))
    }

    /// Changes a record: `change` says false where nothing is to be written.
    pub(super) async fn update(
        &self,
        hash: &Hash,
        change: impl Fn(&mut Token) -> Result<bool, Error>,
    ) -> Result<Option<Arc<Token>>, Error> {
        let change = || async {
            let Some((old, revision)) = self.load(hash).await? else {
                return Ok(None);
            };
            let mut new = old.clone();
            if !change(&mut new)? {
                return Ok(Some(new));
            }
            let key = format!("{ID}{}", hash.0);
            let mut batch = Batch::new()
                .unchanged(key.clone(), revision)
                .put(key, json(&new)?);
            // Dead as it is, it and its place in each index have to go.
            if new.spent && !old.spent {
                batch = revoke::note(batch, hash, &new, self.clock.now())?;
            }
            // Two ends in one second share a place in the order.
            if old.expiry_key() != new.expiry_key() {
                if let Some(key) = old.expiry_key() {
                    batch = batch.delete(format!("{EXPIRE}{key}"));
                }
                if let Some(key) = new.expiry_key() {
                    batch = batch.put(format!("{EXPIRE}{key}"), Vec::new());
                }
            }
            self.view.commit(batch).await?;
            Ok(Some(new))
        };
        let result = self.view.change(hash.as_str(), change).await;
        // After the commit, so that no reader can put the old record back.
        self.forget(hash);
        Ok(result?.map(Arc::new))
    }

    /// Takes one use of a limited token; `None` when there is none left.
    pub async fn spend(&self, token: &Token) -> Result<Option<Arc<Token>>, Error> {
        if token.num_uses == 0 {
            return Ok(None);
        }
        let taken = self
            .update(&token.hash, |t| {
                if t.spent || t.num_uses == 0 {
                    return Err(Error::NoToken);
                }
                t.num_uses -= 1;
                t.spent = t.num_uses == 0;
                Ok(true)
            })
            .await?;
        taken.map(Some).ok_or(Error::NoToken)
    }

    /// The accessors of all tokens.
    pub async fn accessors(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.view.list(ID, &after, PAGE).await?;
            for name in &page.names {
                // One that was revoked since the listing is no error.
                if let Some((token, _)) = self.load(&Hash::of(name)).await? {
                    found.push(token.accessor.into());
                }
            }
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => return Ok(found),
            }
        }
    }

    /// Live tokens in the order of the store, after the one of that name, from at most `limit`
    /// records; and the name to go on after, where there are more. For those who go through all of
    /// them bit by bit.
    pub async fn page(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<Token>, Option<String>), Error> {
        let page = self.view.list(ID, after, limit).await?;
        let now = self.clock.now();
        let mut tokens = Vec::new();
        for name in &page.names {
            // One that was revoked since the listing is no error.
            if let Some((token, _)) = self.load(&Hash::of(name)).await?
                && self.lives(&token, now).await?
            {
                tokens.push(token);
            }
        }
        Ok((tokens, page.names.last().filter(|_| page.more).cloned()))
    }

    /// How many tokens there are.
    pub async fn count(&self) -> Result<usize, Error> {
        self.view.count(ID).await
    }

    /// Drops a record from the cache.
    pub fn forget(&self, hash: &Hash) {
        self.cache.remove(hash);
    }

    /// A key of the system view changed.
    pub fn invalidate(&self, key: &str) {
        if let Some(hash) = key.strip_prefix(ID) {
            self.forget(&Hash::of(hash));
        }
    }

    /// Anything may have changed.
    pub fn invalidate_all(&self) {
        self.cache.clear();
    }
}

/// What no token looks like needs no look into the store.
fn looks_like_one(text: &str) -> bool {
    let printable = |b: u8| b.is_ascii_graphic() || b == b' ';
    (1..=1024).contains(&text.len()) && text.bytes().all(printable)
}
