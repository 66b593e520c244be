//! `role/:name` and `role/:name/role-id`.

use ipnet::IpNet;
use keyfold_api::weak;
use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::id;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_core::reply::Reply;
use keyfold_core::tokens::TokenParams;
use serde::{Deserialize, Serialize};

use super::members::Members;
use super::role::Role;
use super::store::{GONE, ID, ROLES};
use super::{AppRole, role_name};

#[derive(Serialize)]
struct Shown<'a> {
    bind_secret_id: bool,
    local_secret_ids: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<&'a [String]>,
    secret_id_bound_cidrs: Option<&'a [IpNet]>,
    secret_id_num_uses: u64,
    secret_id_ttl: u64,
    #[serde(flatten)]
    token: &'a TokenParams,
}

#[derive(Serialize, Deserialize)]
struct RoleId {
    #[serde(default, deserialize_with = "weak::string")]
    role_id: Option<String>,
}

/// As the wire shows networks that may be unset.
pub(super) fn some(networks: &[IpNet]) -> Option<&[IpNet]> {
    (!networks.is_empty()).then_some(networks)
}

impl AppRole {
    pub(super) async fn roles_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        call.list(&self.store.view, ROLES).await
    }

    pub(super) async fn role_exists(&self, call: &Call<'_>) -> Result<bool, Error> {
        let Ok(name) = role_name(call) else {
            return Ok(false);
        };
        Ok(self.store.role(&name).await?.is_some())
    }

    pub(super) async fn role_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let stored = self.store.role(&role_name(call)?).await?;
        let (role, _) = stored.ok_or(Error::NotFound)?;
        Reply::data(&Shown {
            bind_secret_id: role.bind_secret_id,
            local_secret_ids: role.local_secret_ids,
            period: role.old_period.then_some(role.token.period),
            policies: role.old_policies.then_some(&*role.token.policies),
            secret_id_bound_cidrs: some(&role.secret_id_bound_cidrs),
            secret_id_num_uses: role.secret_id_num_uses,
            secret_id_ttl: role.secret_id_ttl,
            token: &role.token,
        })
    }

    pub(super) async fn role_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = role_name(call)?;
        // Checked before the first write of a mount, which is its key.
        Members::of(call)?;
        let names = self.store.names_for_roles().await?;
        let attempt = || async {
            let old = self.store.role(&name).await?;
            let members = Members::of(call)?;
            let given = members.role_id()?;
            let mut role = match &old {
                Some((role, _)) => role.clone(),
                None => Role::new(&name, id::uuid(), id::uuid()),
            };
            if let Some(given) = given {
                role.role_id = given;
            }
            let remarks = members.apply(&mut role, old.is_none())?;
            let batch = self.store.put_role(&names, old.as_ref(), &role).await?;
            self.store.view.commit(batch).await?;
            self.changed(old.as_ref(), &role);
            Ok((remarks, role))
        };
        let (warnings, role) = self.store.view.change(&name, attempt).await?;
        let reply = Reply {
            warnings,
            ..Reply::none()
        };
        Ok(reply.granting(&role.token))
    }

    pub(super) async fn role_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = role_name(call)?;
        let names = self.store.names().await?;
        let attempt = || async {
            let Some((role, revision)) = self.store.role(&name).await? else {
                return Ok(());
            };
            let key = format!("{ROLES}{name}");
            let batch = Batch::new()
                .unchanged(key.clone(), revision)
                .delete(key)
                .delete(names.role_id(&role.role_id))
                .put(format!("{GONE}{}", role.uid), Vec::new());
            self.store.view.commit(batch).await?;
            self.store.forget(&role.role_id);
            Ok(())
        };
        self.store.view.change(&name, attempt).await?;
        self.store.clear_some().await;
        Ok(Reply::none())
    }

    pub(super) async fn role_id_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let stored = self.store.role(&role_name(call)?).await?;
        let (role, _) = stored.ok_or(Error::NotFound)?;
        Reply::data(&RoleId {
            role_id: Some(role.role_id),
        })
    }

    pub(super) async fn role_id_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let given = call.decode::<RoleId>()?.role_id;
        let given = given
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Error::bad("missing role_id"))?;
        if given.len() > ID {
            return Err(Error::field("role_id", "is longer than an id may be"));
        }
        self.role_change(call, |role| {
            role.role_id.clone_from(&given);
            Ok(())
        })
        .await
    }

    /// Changes a role that is there.
    pub(super) async fn role_change(
        &self,
        call: &Call<'_>,
        change: impl Fn(&mut Role) -> Result<(), Error> + Send + Sync,
    ) -> Result<Reply, Error> {
        let name = role_name(call)?;
        let names = self.store.names().await?;
        let attempt = || async {
            let old = self.store.role(&name).await?;
            let mut role = match &old {
                Some((role, _)) => role.clone(),
                None => return Err(Error::Unsupported(UnsupportedReason::Path)),
            };
            change(&mut role)?;
            role.check()?;
            let batch = self.store.put_role(&names, old.as_ref(), &role).await?;
            self.store.view.commit(batch).await?;
            self.changed(old.as_ref(), &role);
            Ok(role)
        };
        let role = self.store.view.change(&name, attempt).await?;
        Ok(Reply::none().granting(&role.token))
    }

    fn changed(&self, old: Option<&(Role, Revision)>, new: &Role) {
        if let Some((old, _)) = old {
            self.store.forget(&old.role_id);
        }
        self.store.forget(&new.role_id);
    }
}
