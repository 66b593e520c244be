//! The end of a token, asked for.

use super::{ByAccessor, Named, TokenAuth, missing_accessor, missing_token};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::tokens::batch;
use crate::tokens::record::{Hash, Kind};

impl TokenAuth {
    pub(super) async fn revoke_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let token = call.caller.token()?;
        if token.kind == Kind::Batch {
            return Err(irrevocable());
        }
        self.0.tokens.revoke(&token.hash).await?;
        Ok(Reply::none())
    }

    pub(super) async fn revoke(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.0.tokens.revoke(&self.named(call)?).await?;
        Ok(Reply::none())
    }

    pub(super) async fn revoke_orphan(&self, call: &Call<'_>) -> Result<Reply, Error> {
        if !self.0.tokens.revoke_orphan(&self.named(call)?).await? {
            return Err(Error::bad("token to revoke not found"));
        }
        Ok(Reply::none())
    }

    pub(super) async fn revoke_accessor(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let accessor = missing_accessor(call.decode::<ByAccessor>()?.accessor)?;
        // A dead one too: its revocation may have failed halfway, and is asked for again.
        match self.0.tokens.named_by(&accessor).await? {
            Some(hash) => {
                self.0.tokens.revoke(&hash).await?;
                Ok(Reply::none())
            }
            None => Ok(Reply::none().warn("No token found with this accessor")),
        }
    }

    pub(super) async fn tidy(&self) -> Result<Reply, Error> {
        Ok(self.0.tokens.ask_tidy())
    }

    /// The token of the body; nothing of a batch token is stored that could be taken away.
    fn named(&self, call: &Call<'_>) -> Result<Hash, Error> {
        let text = missing_token(call.decode::<Named>()?.token)?;
        if text.expose().starts_with(batch::PREFIX) {
            return Err(irrevocable());
        }
        Ok(self.0.tokens.hash(text.expose()))
    }
}

fn irrevocable() -> Error {
    Error::bad("batch tokens cannot be revoked")
}
