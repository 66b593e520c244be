//! Wrapping tokens: an answer that waits in the cubbyhole of a token of its own, for whoever
//! presents it first.
//!
//! ```text
//!   answer ──wrap──► token + sys/cubbyhole/<h>/response ──unwrap──► answer, and both are gone
//!            (one commit)                            (one commit)
//! ```

use keyfold_api::{Seconds, WrapInfo};
use keyfold_secret::Secret;

use super::create::NewToken;
use super::cubbyhole::place;
use super::record::{Hash, Token};
use super::store::{ID, Tokens};
use crate::error::Error;
use crate::policy::builtin;
use crate::ports::storage::{Batch, Revision};

/// The name of the answer in the cubbyhole.
pub const RESPONSE: &str = "response";
/// Where the token remembers the accessor of the token inside.
const INSIDE: &str = "wrapped_accessor";

/// An answer that is to be kept.
pub struct NewWrapping {
    /// The path of the request that it answers.
    pub path: String,
    /// Seconds, more than zero.
    pub ttl: u64,
    /// The answer, as it would have gone out.
    pub answer: Secret<Vec<u8>>,
    /// The accessor of the token inside, when there is one.
    pub accessor: Option<String>,
}

impl Token {
    /// It is there to be unwrapped and for nothing else. Nobody can be given its policy.
    pub fn is_wrapping(&self) -> bool {
        *self.policies == [builtin::WRAPPING]
    }
}

impl Tokens {
    /// Keeps an answer under a fresh wrapping token.
    pub async fn wrap(&self, new: NewWrapping) -> Result<WrapInfo, Error> {
        let (info, batch) = self.wrapping(new, Batch::new())?;
        self.view.commit(batch).await?;
        Ok(info)
    }

    /// Takes the answer out: it goes together with its token, so that of many who ask one gets it.
    /// `None` when the token is none, is over, or was unwrapped before.
    pub async fn unwrap(&self, hash: &Hash) -> Result<Option<Secret<Vec<u8>>>, Error> {
        let taken = || async {
            let Some((_, answer, batch)) = self.taking(hash).await? else {
                return Ok(None);
            };
            self.view.commit(batch).await?;
            Ok(Some(answer))
        };
        let taken = self.view.change(hash.as_str(), taken).await;
        self.forget(hash);
        taken
    }

    /// Moves the answer to a fresh wrapping token of the same time to live; the old one is gone.
    /// `None` as for [`Tokens::unwrap`].
    pub async fn rewrap(&self, hash: &Hash) -> Result<Option<WrapInfo>, Error> {
        let moved = || async {
            let Some((token, answer, batch)) = self.taking(hash).await? else {
                return Ok(None);
            };
            let new = NewWrapping {
                path: token.path.into(),
                ttl: token.creation_ttl,
                answer,
                accessor: token.internal.get(INSIDE).map(str::to_owned),
            };
            let (info, batch) = self.wrapping(new, batch)?;
            self.view.commit(batch).await?;
            Ok(Some(info))
        };
        let moved = self.view.change(hash.as_str(), moved).await;
        self.forget(hash);
        moved
    }

    /// A live wrapping token, its answer, and the batch that removes both.
    async fn taking(&self, hash: &Hash) -> Result<Option<(Token, Secret<Vec<u8>>, Batch)>, Error> {
        let found: Option<(Token, Revision)> = self.load(hash).await?;
        let now = self.clock.now();
        let Some((token, revision)) = found.filter(|(t, _)| t.is_wrapping() && t.alive(now)) else {
            return Ok(None);
        };
        // Both go in one commit: a token without an answer is one that was just unwrapped.
        let Some(answer) = self.kept(hash, RESPONSE).await? else {
            return Ok(None);
        };
        let batch = Batch::new().unchanged(format!("{ID}{}", hash.0), revision);
        let batch = self.removal(&token, batch).delete(place(hash, RESPONSE));
        Ok(Some((token, answer, batch)))
    }

    fn wrapping(&self, new: NewWrapping, batch: Batch) -> Result<(WrapInfo, Batch), Error> {
        let inside = new.accessor.iter();
        let token = NewToken {
            policies: vec![builtin::WRAPPING.to_owned()],
            path: new.path,
            display_name: String::new(),
            num_uses: 1,
            ttl: new.ttl,
            explicit_max_ttl: new.ttl,
            internal: inside.map(|a| (INSIDE.to_owned(), a.clone())).collect(),
            ..NewToken::default()
        };
        let (token, text, batch) = self.prepare(token, batch)?;
        let batch = batch.put(place(&token.hash, RESPONSE), new.answer.into_inner());
        let info = WrapInfo {
            token: text,
            accessor: token.accessor.into(),
            ttl: Seconds(i64::try_from(new.ttl).unwrap_or(i64::MAX)),
            creation_time: token.created.rfc3339(),
            creation_path: token.path.into(),
            wrapped_accessor: new.accessor,
        };
        Ok((info, batch))
    }
}
