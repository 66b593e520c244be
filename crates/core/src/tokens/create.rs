//! Making a token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use keyfold_secret::Secret;

use super::chain;
use super::pairs::Pairs;
use super::record::{Hash, Kind, Token};
use super::store::{ACCESSOR, EXPIRE, ID, PARENT, REVOKING, Tokens};
use crate::barrier::json;
use crate::error::Error;
use crate::id;
use crate::ports::storage::Batch;

/// What is decided of a token before it is made.
pub struct NewToken {
    /// Its text; a fresh one where absent.
    pub text: Option<Secret<String>>,
    /// Sorted names.
    pub policies: Vec<String>,
    /// The path that makes it.
    pub path: String,
    /// For people.
    pub display_name: String,
    /// Its creator's remarks.
    pub meta: Option<BTreeMap<String, String>>,
    /// Zero: no limit.
    pub num_uses: u64,
    /// Seconds; zero: for ever.
    pub ttl: u64,
    /// Seconds; zero: none.
    pub explicit_max_ttl: u64,
    /// Seconds; zero: not periodic.
    pub period: u64,
    /// Can be renewed.
    pub renewable: bool,
    /// Whose tree it joins.
    pub parent: Option<Hash>,
    /// Generations above it: [`Tokens::create`] counts them.
    pub depth: u32,
    /// How it is kept.
    pub kind: Kind,
    /// See [`Token::bound_cidrs`].
    pub bound_cidrs: Vec<IpNet>,
    /// See [`Token::entity`].
    pub entity: Option<String>,
    /// See [`Token::role`].
    pub role: Option<String>,
    /// See [`Token::mount`].
    pub mount: Option<String>,
    /// See [`Token::internal`].
    pub internal: BTreeMap<String, String>,
}

impl Default for NewToken {
    /// An orphan that may do nothing.
    fn default() -> Self {
        Self {
            text: None,
            policies: Vec::new(),
            path: String::new(),
            display_name: "token".to_owned(),
            meta: None,
            num_uses: 0,
            ttl: 0,
            explicit_max_ttl: 0,
            period: 0,
            renewable: false,
            parent: None,
            depth: 0,
            kind: Kind::Service,
            bound_cidrs: Vec::new(),
            entity: None,
            role: None,
            mount: None,
            internal: BTreeMap::new(),
        }
    }
}

impl NewToken {
    /// A root token: all rights, for ever, nobody's child.
    pub fn root(text: Option<Secret<String>>) -> Self {
        Self {
            text,
            policies: vec!["root".to_owned()],
            path: "auth/token/root".to_owned(),
            display_name: "root".to_owned(),
            ..Self::default()
        }
    }
}

/// `token`, or `token-` and what of the wished name is fit to print.
pub(super) fn display_name(wished: Option<String>) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.@".contains(c) {
            c
        } else {
            '-'
        }
    };
    match wished.filter(|name| !name.is_empty()) {
        Some(name) => format!("token-{}", name.chars().map(fit).collect::<String>()),
        None => "token".to_owned(),
    }
}

/// The text of a fresh token: a prefix that scanners of leaked secrets know, and 142 bits.
pub(crate) fn fresh() -> String {
    format!("hvs.{}", id::base62(24))
}

impl Tokens {
    /// Makes a token; its text is told here and never again. A parent must be alive when the
    /// child appears, so that its revocation can't miss the child.
    pub async fn create(&self, new: NewToken) -> Result<(Arc<Token>, Secret<String>), Error> {
        match new.kind {
            Kind::Batch => self.carry(new),
            Kind::Service => Box::pin(self.store(new)).await,
        }
    }

    async fn store(&self, mut new: NewToken) -> Result<(Arc<Token>, Secret<String>), Error> {
        new.depth = self.depth(&new).await?;
        let chosen = new.text.is_some();
        let (token, text, batch) = self.prepare(new, Batch::new())?;
        let key = format!("{ID}{}", token.hash.0);
        let change = || async {
            let mut batch = batch.clone();
            if let Some(parent) = &token.parent {
                let (record, revision) = self.load(parent).await?.ok_or(Error::NoToken)?;
                // One that is being revoked, or whose last use this is, gets no children.
                if !self.lives(&record, self.clock.now()).await? {
                    return Err(Error::NoToken);
                }
                batch = batch.unchanged(format!("{ID}{}", parent.0), revision);
            }
            if chosen {
                self.check_free(&token.hash).await?;
            }
            self.view.commit(batch).await
        };
        self.view.change(&key, change).await?;
        Ok((Arc::new(token), text))
    }

    /// Refuses what [`Tokens::create`] would, whoever it is for: before an entity is made for it.
    pub(super) async fn check(&self, new: &NewToken) -> Result<(), Error> {
        if new.kind == Kind::Batch {
            return self.check_carriable(new);
        }
        self.depth(new).await?;
        match &new.text {
            Some(text) => self.check_free(&self.hash(text.expose())).await,
            None => Ok(()),
        }
    }

    /// How many generations a new token stands below an orphan.
    async fn depth(&self, new: &NewToken) -> Result<u32, Error> {
        let Some(parent) = &new.parent else {
            return Ok(0);
        };
        let parent = self.by_hash(parent).await?.ok_or(Error::NoToken)?;
        match parent.depth + 1 {
            depth @ ..=chain::DEEPEST => Ok(depth),
            _ => Err(Error::bad(format!(
                "a token may have at most {} ancestors: make an orphan",
                chain::DEEPEST
            ))),
        }
    }

    /// A text of the caller's choice is refused where there is such a token, and where what hung
    /// from one is not all cleared away and would come alive again.
    async fn check_free(&self, hash: &Hash) -> Result<(), Error> {
        for folder in [ID, REVOKING] {
            let key = format!("{folder}{}", hash.0);
            if self.view.get(&key).await?.is_some() {
                return Err(Error::bad("cannot create a token with a duplicate ID"));
            }
        }
        Ok(())
    }

    /// The token and the batch that makes it: part of the commit that starts a vault.
    pub fn prepare(
        &self,
        new: NewToken,
        batch: Batch,
    ) -> Result<(Token, Secret<String>, Batch), Error> {
        let now = self.clock.now();
        let text = new.text.unwrap_or_else(|| Secret::new(fresh()));
        let hash = self.hash(text.expose());
        let token = Token {
            hash: hash.clone(),
            accessor: id::base62(24).into(),
            policies: new.policies.into(),
            path: new.path.into(),
            display_name: new.display_name.into(),
            meta: new.meta.map(Pairs::from),
            num_uses: new.num_uses,
            spent: false,
            released: false,
            created: now,
            creation_ttl: new.ttl,
            granted_ttl: new.ttl,
            explicit_max_ttl: new.explicit_max_ttl,
            period: new.period,
            renewable: new.renewable,
            expires: (new.ttl > 0).then(|| now.plus(Duration::from_secs(new.ttl))),
            renewed: None,
            parent: new.parent,
            depth: new.depth,
            kind: new.kind,
            bound_cidrs: new.bound_cidrs.into(),
            entity: new.entity.map(Box::from),
            role: new.role.map(Box::from),
            mount: new.mount.map(Box::from),
            internal: new.internal.into(),
        };
        let id_key = format!("{ID}{}", hash.0);
        let mut batch = batch.absent(id_key.clone()).put(id_key, json(&token)?).put(
            format!("{ACCESSOR}{}", self.hash(&token.accessor).0),
            json(&hash)?,
        );
        if let Some(parent) = &token.parent {
            batch = batch.put(format!("{PARENT}{}/{}", parent.0, hash.0), Vec::new());
        }
        if let Some(key) = token.expiry_key() {
            batch = batch.put(format!("{EXPIRE}{key}"), Vec::new());
        }
        if let Some(key) = token.lease_key() {
            batch = batch.put(key, Vec::new());
        }
        self.made.add_one();
        Ok((token, text, batch))
    }
}
