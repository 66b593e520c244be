//! The development server: open at once, with a known root token.

use std::sync::Arc;

use keyfold_keys::Share;
use keyfold_secret::Secret;

use super::{Core, Initialized, Shares};
use crate::error::Error;
use crate::mounts::{MountConfig, NewMount};

/// What a development server tells whoever started it.
pub struct DevVault {
    /// The one share, which is the unseal key.
    pub unseal_key: Share,
    /// The root token.
    pub root_token: Secret<String>,
}

impl Core {
    /// Begins an empty store with one share, opens it, and mounts KV at `secret/`, of version 1
    /// or 2.
    pub async fn develop(
        self: &Arc<Self>,
        root_token: Option<Secret<String>>,
        kv_version: u8,
    ) -> Result<DevVault, Error> {
        let one = Shares {
            shares: 1,
            threshold: 1,
        };
        let Initialized { shares, root_token } = self.init(Some(one), root_token).await?;
        let [share] = <[Share; 1]>::try_from(shares).map_err(|_| Error::Bug("not one share"))?;
        let copy = Share::from_bytes(share.as_bytes())?;
        self.unseal(copy).await?;
        let secret = NewMount {
            path: "secret/".to_owned(),
            kind: "kv".to_owned(),
            description: "key/value secret storage".to_owned(),
            options: Some([("version".to_owned(), kv_version.to_string())].into()),
            config: MountConfig::default(),
            local: false,
            seal_wrap: false,
            external_entropy_access: false,
        };
        self.unsealed()?.mounts.mount(secret).await?;
        Ok(DevVault {
            unseal_key: share,
            root_token,
        })
    }
}
