//! The port to where keyrings are kept.

use std::thread;
use std::time::Duration;

use keyfold_keys::rng;

use super::document::Keyring;
use super::error::KeyringError;
use super::row::Row;

/// How often [`KeyringStore::update`] begins anew after another process was faster.
const MOST_TRIES: u32 = 50;

/// One row to write, and what has to be there for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The row that is replaced, exactly as it stands; `None` adds a row, whose number nobody may
    /// have taken.
    pub old: Option<Row>,
    /// The row as it shall be. It has the number of `old`.
    pub new: Row,
}

/// Keeps one keyring. Several processes use one store at once.
///
/// What an implementation promises:
/// * `save` writes all of `changes` or none of them, and none where the condition of any is not met:
///   then it answers [`KeyringError::Changed`]. A table does it with `UPDATE … WHERE wrapped = old
///   AND uses = old …` and `INSERT` under a primary key of service and number.
/// * What `save` answered with success is durable. Cut short at any point, it was done or not.
/// * `load` sees every `save` that ended before it began.
pub trait KeyringStore: Send + Sync {
    /// What to call the keyring's place in messages, and in envelopes that refer to it: `kv:` and a
    /// path, or a file's name. At most 255 bytes.
    fn place(&self) -> &str;

    /// Reads the keyring.
    fn load(&self) -> Result<Keyring, KeyringError>;

    /// Writes a new keyring where none is.
    fn create(&self, keyring: &Keyring) -> Result<(), KeyringError>;

    /// Writes rows under their conditions.
    fn save(&self, changes: &[Change]) -> Result<(), KeyringError>;

    /// Reads the keyring, has `plan` say what to change, and saves that, until no other process
    /// comes between. The keyring as it then is. `plan` may be called several times, and is quick.
    fn update(&self, plan: &mut Plan<'_>) -> Result<Keyring, KeyringError> {
        for _ in 0..MOST_TRIES {
            let keyring = self.load()?;
            let changes = plan(&keyring)?;
            if changes.is_empty() {
                return Ok(keyring);
            }
            match self.save(&changes) {
                Ok(()) => return keyring.with(&changes),
                Err(KeyringError::Changed) => pause(),
                Err(error) => return Err(error),
            }
        }
        Err(KeyringError::Changed)
    }
}

/// What to change in a keyring that was just read.
pub type Plan<'a> = dyn FnMut(&Keyring) -> Result<Vec<Change>, KeyringError> + 'a;

/// Up to 16 ms, at random: processes that met do not meet again.
fn pause() {
    let [random] = rng::bytes();
    thread::sleep(Duration::from_micros(u64::from(random).saturating_mul(64)));
}
