//! `sys/managed-keys`: keys that lie in devices, by name.

use keyfold_keys::digest::Digest;
use keyfold_keys::rng;
use keyfold_keys::transit::{Block, Padding, Salt, Scheme, ServiceKey, signature_of};
use keyfold_secret::Secret;

use super::{Row, System};
use crate::error::{Error, UnsupportedReason};
use crate::managed::Usable;
use crate::ports::engine::{Call, Window};
use crate::ports::managed::{Job, ManagedError, Use};
use crate::reply::{self, Reply};
use crate::request::Op;

/// The routes.
pub(super) fn rows() -> Vec<Row> {
    const LIST: &str = "Lists the managed keys of a type.";
    vec![
        Row::new(Op::List, "managed-keys/{type}", LIST, |s, c| {
            Box::pin(s.managed_keys(c))
        }),
        Row::new(Op::List, "managed-keys/{type}/", LIST, |s, c| {
            Box::pin(s.managed_keys(c))
        }),
        Row::new(
            Op::Read,
            "managed-keys/{type}/{name}",
            "Where a managed key is, without its PIN.",
            |s, c| Box::pin(s.managed_key_read(c)),
        ),
        Row::new(
            Op::Write,
            "managed-keys/{type}/{name}",
            "Says where a managed key is.",
            |s, c| Box::pin(s.managed_key_write(c)),
        ),
        Row::new(
            Op::Delete,
            "managed-keys/{type}/{name}",
            "Forgets where a managed key is.",
            |s, c| Box::pin(s.managed_key_delete(c)),
        ),
        Row::new(
            Op::Write,
            "managed-keys/{type}/{name}/test/{what}",
            "Tries a managed key out: sign, or encrypt.",
            |s, c| Box::pin(s.managed_key_test(c)),
        ),
    ]
}

impl System {
    async fn managed_keys(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let window = call.decode::<Window>()?;
        let (after, limit) = (window.after(), window.limit(call));
        let names = self.vault.managed.list(call.param("type"), after, limit);
        reply::keys(names.await?)
    }

    async fn managed_key_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (kind, name) = (call.param("type"), call.param("name"));
        Reply::data(&self.vault.managed.read(kind, name).await?)
    }

    async fn managed_key_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (kind, name) = (call.param("type"), call.param("name"));
        self.vault.managed.write(kind, name, call).await?;
        Ok(Reply::none())
    }

    async fn managed_key_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (kind, name) = (call.param("type"), call.param("name"));
        let mounts = self.vault.mounts.table();
        self.vault.managed.delete(kind, name, &mounts).await?;
        Ok(Reply::none())
    }

    /// Signs and verifies, or encrypts and decrypts, what chance gives; nothing of it is shown.
    async fn managed_key_test(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let what = match call.param("what") {
            "sign" => Use::Sign,
            "encrypt" => Use::Encrypt,
            _ => return Err(Error::Unsupported(UnsupportedReason::Path)),
        };
        let (kind, name) = (call.param("type"), call.param("name"));
        let usable = self.vault.managed.open(kind, name).await?;
        let tried = try_out(&usable, what).await;
        let works = tried.map_err(|error| usable.named.error(error))?;
        match works {
            true => Ok(Reply::none()),
            false => Err(Error::bad(format!(
                "managed key {name}: what it gives does not fit its public half"
            ))),
        }
    }
}

/// Whether the key does it.
async fn try_out(usable: &Usable, what: Use) -> Result<bool, ManagedError> {
    let key = &usable.key;
    if !key.allows(what) {
        let text = format!("it is not for {}", what.name());
        return Err(ManagedError::Refused(text));
    }
    let told = key.describe(usable.may_make).await?;
    let input = rng::bytes::<32>().to_vec();
    if what == Use::Encrypt {
        let job = Job::Encrypt {
            plaintext: Secret::new(input.clone()),
            aad: Vec::new(),
        };
        let sealed = only(key.run(vec![job]).await?)?.into_inner();
        let job = Job::Decrypt {
            sealed,
            aad: Vec::new(),
        };
        return Ok(only(key.run(vec![job]).await?)?.ct_eq(&input));
    }
    // Which padding an RSA key is for is for its device to say.
    match sign(usable, &told, Padding::Pss(Salt::Hash), &input).await {
        Err(ManagedError::Refused(_)) => sign(usable, &told, Padding::Pkcs1, &input).await,
        tried => tried,
    }
}

async fn sign(
    usable: &Usable,
    told: &ServiceKey,
    padding: Padding,
    input: &[u8],
) -> Result<bool, ManagedError> {
    let scheme = Scheme {
        hash: Some(Digest::Sha2_256),
        prehashed: false,
        padding,
        side_by_side: false,
    };
    let odd = |_| ManagedError::Refused("it does not sign".to_owned());
    let block = Block::of(told.kind(), &scheme, input).map_err(odd)?;
    let raw = only(usable.key.run(vec![Job::Sign(block)]).await?)?;
    let signature = signature_of(told.kind(), &scheme, raw.into_inner()).map_err(odd)?;
    told.verify(input, &scheme, None, &signature).map_err(odd)
}

/// The result of the only job.
fn only(results: Vec<crate::ports::managed::Done>) -> Result<Secret<Vec<u8>>, ManagedError> {
    let none = || Err(ManagedError::Away("it gave no answer".to_owned()));
    results.into_iter().next().unwrap_or_else(none)
}
