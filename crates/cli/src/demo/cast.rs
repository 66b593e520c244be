//! Who acts: services with a KEK each, and somebody who may rewrap and nothing else.

use std::path::Path;

use keyfold_client::{Client, TransitKeys};
use keyfold_envelope::{
    Context, DecryptOptions, EncryptOptions, Encrypted, Error, Labels, Locator, NoProgress, Opened,
    TransitKey, decrypt_file, encrypt_file,
};
use keyfold_secret::Secret;
use serde::Deserialize;
use serde_json::json;

use super::error::DemoError;
use super::site::Site;

/// Name of the KEK in each service's mount.
const KEK: &str = "files";

/// A service: a transit mount of its own with one KEK, and a token that may use it.
pub(super) struct Service {
    pub(super) name: &'static str,
    /// The KEK.
    pub(super) kek: Locator,
    keys: TransitKeys,
}

/// The versions of a KEK.
#[derive(Deserialize)]
pub(super) struct KekVersions {
    pub(super) latest_version: u32,
    pub(super) min_decryption_version: u32,
}

impl Service {
    /// Mounts an engine, makes the KEK, a policy for it and a token under that.
    pub(super) fn new(
        site: &Site,
        operator: &Client,
        name: &'static str,
    ) -> Result<Self, DemoError> {
        site.write(
            operator,
            &format!("sys/mounts/{name}"),
            &json!({"type": "transit"}),
        )?;
        let kek: Locator = format!("{name}/{KEK}")
            .parse()
            .map_err(|_| DemoError::Claim(format!("{name}/{KEK} is a place for a key")))?;
        site.write(
            operator,
            &path(&kek, "keys"),
            &json!({"type": "aes256-gcm96"}),
        )?;
        let keys = keys(site, operator, name, &kek, &["encrypt", "decrypt"])?;
        Ok(Self { name, kek, keys })
    }

    /// Encrypts a file into an envelope.
    pub(super) fn encrypt(&self, input: &Path, output: &Path) -> Result<Encrypted, Error> {
        let options = EncryptOptions {
            labels: Labels {
                service: Some(self.name.to_owned()),
                ..Labels::default()
            },
            ..EncryptOptions::default()
        };
        let context = Context::new();
        encrypt_file(
            &[&TransitKey::new(&self.keys, &self.kek)],
            &context,
            input,
            output,
            &options,
            &NoProgress,
        )
    }

    /// Opens an envelope; what was there under the output's name is replaced.
    pub(super) fn decrypt(&self, input: &Path, output: &Path) -> Result<Opened, Error> {
        decrypt(&self.keys, input, output)
    }

    /// The versions of the KEK.
    pub(super) fn versions(
        &self,
        site: &Site,
        operator: &Client,
    ) -> Result<KekVersions, DemoError> {
        #[derive(Deserialize)]
        struct Answer {
            data: KekVersions,
        }
        Ok(site
            .read::<Answer>(operator, &path(&self.kek, "keys"))?
            .data)
    }

    /// Gives the KEK a new version.
    pub(super) fn rotate_kek(&self, site: &Site, operator: &Client) -> Result<(), DemoError> {
        let path = format!("{}/rotate", path(&self.kek, "keys"));
        site.write(operator, &path, &json!({}))
    }

    /// Lets no version of the KEK below this one open anything.
    pub(super) fn retire_below(
        &self,
        site: &Site,
        operator: &Client,
        version: u32,
    ) -> Result<(), DemoError> {
        let path = format!("{}/config", path(&self.kek, "keys"));
        site.write(operator, &path, &json!({"min_decryption_version": version}))
    }
}

/// A job that moves envelopes to a KEK's newest version. Its token can't open any.
pub(super) struct Rewrapper(pub(super) TransitKeys);

impl Rewrapper {
    pub(super) fn new(site: &Site, operator: &Client, kek: &Locator) -> Result<Self, DemoError> {
        Ok(Self(keys(site, operator, "rewrapper", kek, &["rewrap"])?))
    }

    /// Tries what it must not be able to.
    pub(super) fn decrypt(&self, input: &Path, output: &Path) -> Result<Opened, Error> {
        decrypt(&self.0, input, output)
    }
}

fn decrypt(keys: &TransitKeys, input: &Path, output: &Path) -> Result<Opened, Error> {
    let options = DecryptOptions {
        overwrite: true,
        ..DecryptOptions::default()
    };
    decrypt_file(
        &[keys],
        &Context::new(),
        input,
        output,
        &options,
        &NoProgress,
    )
}

/// A policy that allows these operations on the KEK, and to see its versions; and its token's view
/// of the keys.
fn keys(
    site: &Site,
    operator: &Client,
    policy: &str,
    kek: &Locator,
    operations: &[&str],
) -> Result<TransitKeys, DemoError> {
    #[derive(Deserialize)]
    struct Answer {
        auth: Auth,
    }
    #[derive(Deserialize)]
    struct Auth {
        client_token: String,
    }
    let mut rules = rule(&path(kek, "keys"), "read");
    for operation in operations {
        rules.push_str(&rule(&path(kek, operation), "update"));
    }
    site.write(
        operator,
        &format!("sys/policies/acl/{policy}"),
        &json!({"policy": rules}),
    )?;
    let body = json!({"policies": [policy], "ttl": "1h"});
    let answer: Answer = site.answer(operator, "auth/token/create", &body)?;
    let client = site.client(Some(&Secret::new(answer.auth.client_token)))?;
    TransitKeys::new(client).map_err(DemoError::io("can't start a thread"))
}

fn rule(path: &str, capability: &str) -> String {
    format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}\n")
}

/// `mount/operation/key`.
fn path(kek: &Locator, operation: &str) -> String {
    format!("{}/{operation}/{}", kek.mount(), kek.key())
}
