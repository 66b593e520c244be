//! `roles/`: what token roles there are.

use super::TokenAuth;
use crate::error::{Error, UnsupportedReason};
use crate::ports::engine::Call;
use crate::reply::{self as answer, Reply};
use crate::tokens::role::{RoleMembers, is_name};

impl TokenAuth {
    pub(super) async fn roles(&self, _: &Call<'_>) -> Result<Reply, Error> {
        answer::keys(self.0.tokens.role_names().await?)
    }

    pub(super) async fn role_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = role_name(call)?;
        let role = self.0.tokens.role(name).await?.ok_or(Error::NotFound)?;
        Reply::data(&role.shown(name))
    }

    pub(super) async fn role_exists(&self, call: &Call<'_>) -> Result<bool, Error> {
        match role_name(call) {
            Ok(name) => Ok(self.0.tokens.role(name).await?.is_some()),
            // The handler refuses it.
            Err(_) => Ok(false),
        }
    }

    pub(super) async fn role_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = role_name(call)?;
        let members = || call.decode::<RoleMembers>();
        let (role, mut warnings) = self.0.tokens.write_role(name, members).await?;
        let max = self
            .0
            .mounts
            .limits("auth/token/", &self.0.settings)
            .max_ttl;
        if role.explicit_max_ttl > max {
            warnings.push(format!(
                "Given explicit max TTL of {} is greater than system/mount allowed value of {max} \
                 seconds; its tokens live no longer than that",
                role.explicit_max_ttl
            ));
        }
        Ok(Reply {
            warnings,
            ..Reply::none()
        })
    }

    pub(super) async fn role_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.0.tokens.delete_role(role_name(call)?).await?;
        Ok(Reply::none())
    }
}

/// The role that a path names.
fn role_name<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    Some(call.param("role"))
        .filter(|name| is_name(name))
        .ok_or(Error::Unsupported(UnsupportedReason::Path))
}
