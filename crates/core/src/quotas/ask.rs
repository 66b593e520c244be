//! The question of every request, before anything is done for it: may this client still ask?

use super::Verdict;
use crate::audit::Parts;
use crate::error::Error;
use crate::lifecycle::{Core, State};
use crate::request::Request;
use crate::tokens::Caller;

impl Core {
    /// Takes a request from its client's allowance; nothing where no rule is for its path. Nobody
    /// has looked at its token yet. A sealed vault has no rules.
    pub async fn allowance(&self, request: &Request) -> Result<Option<Verdict>, Error> {
        if matches!(&**self.peek(), State::Unsealed(vault) if vault.quotas.are_none()) {
            return Ok(None);
        }
        Box::pin(self.asked(request)).await
    }

    async fn asked(&self, request: &Request) -> Result<Option<Verdict>, Error> {
        let Ok(vault) = self.unsealed() else {
            return Ok(None);
        };
        let client = request.remote.map(|remote| remote.ip());
        let now = vault.clock.now();
        let verdict = vault.quotas.take(&request.path, client, now).await?;
        if let Some(verdict) = &verdict
            && verdict.audited
            && verdict.allowance.retry.is_some()
        {
            let mount = vault.mounts.route(&request.path).map(|(mount, _)| mount);
            let entry = vault.audit.entry(&Parts {
                request,
                caller: &Caller::anonymous(),
                mount: mount.as_deref().map(|m| &m.record),
                creates: false,
                allowed: false,
            });
            let error = Error::RateLimited(request.path.clone());
            vault.audit.refuse(entry.as_ref(), now, &error).await?;
        }
        Ok(verdict)
    }
}
