//! Passwords: only hashes of them are kept, and refusing one costs the same whoever it is for.
//!
//! ```text
//!   $argon2id$v=19$m=19456,t=2,p=1$salt$hash    what is made here
//!   $2b$10$salt+hash                            bcrypt, from another server
//! ```
//!
//! A hash takes 19 MiB and some milliseconds, so it is made on a blocking thread, and few at a time:
//! a flood of logins waits instead of taking the memory.

use std::str::FromStr;

use argon2::PasswordHash;
use argon2::password_hash::PasswordHasher;
use keyfold_core::error::Error;
use keyfold_keys::rng;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::work::{MAX_COST, MIN_COST, SALT_LEN, Work, argon2};

/// Longest password, bytes: what bcrypt can tell apart.
const MAX_PASSWORD: usize = 72;
/// Hashes that the process makes at a time.
static PLACES: Semaphore = Semaphore::const_new(4);

/// The hash of a password, as text that names its algorithm and parameters.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Hash(String);

/// A password that somebody gave.
pub(super) struct Password(Secret<String>);

impl Password {
    /// Checks its length; an empty one is none.
    pub(super) fn new(text: Secret<String>) -> Result<Self, Error> {
        if text.expose().len() > MAX_PASSWORD {
            let what = format_args!("has more than {MAX_PASSWORD} bytes");
            return Err(Error::field("password", what));
        }
        Ok(Self(text))
    }

    /// Makes a hash to be stored.
    pub(super) async fn hash(self) -> Result<Hash, Error> {
        blocking(move || {
            let salt = rng::bytes::<SALT_LEN>();
            let made = argon2()?.hash_password_with_salt(self.0.expose().as_bytes(), &salt);
            let made: PasswordHash = made.map_err(|_| Error::Bug("argon2 failed"))?;
            Ok(Hash(made.to_string()))
        })
        .await
    }

    /// Whether a hash is of this password, in a mount whose dearest bcrypt hash is of that cost. A
    /// no is always the same work.
    pub(super) async fn matches(
        self,
        hash: Option<Hash>,
        dearest: Option<u32>,
    ) -> Result<Checked, Error> {
        blocking(move || {
            let right = self.is_of(hash.as_ref(), dearest, &mut Work::default())?;
            let foreign = hash.is_some_and(|Hash(text)| is_bcrypt(&text));
            Ok(match right {
                true if foreign => Checked::RightByBcrypt(self),
                true => Checked::Right,
                false => Checked::Wrong,
            })
        })
        .await
    }
}

impl Password {
    fn is_of(
        &self,
        hash: Option<&Hash>,
        dearest: Option<u32>,
        work: &mut Work,
    ) -> Result<bool, Error> {
        let password = self.0.expose().as_bytes();
        let right = match hash {
            Some(Hash(text)) if is_bcrypt(text) => work.bcrypt(password, text)?,
            Some(Hash(text)) => work.argon2(password, text),
            None => false,
        };
        if !right {
            work.fill_up(password, dearest)?;
        }
        Ok(right)
    }
}

/// What became of a check.
pub(super) enum Checked {
    /// It is not the password.
    Wrong,
    /// It is.
    Right,
    /// It is, and a hash of our own may take the place of the bcrypt one: once none is left, refusals
    /// need no rounds of bcrypt any more.
    RightByBcrypt(Password),
}

impl Hash {
    /// Takes a bcrypt hash of another server.
    pub(super) fn bcrypt(text: String) -> Result<Self, Error> {
        let parts = bcrypt::HashParts::from_str(&text)
            .map_err(|_| Error::bad("password_hash is not a valid bcrypt hash"))?;
        match parts.get_cost() {
            MIN_COST..=MAX_COST => Ok(Self(text)),
            _ => {
                let what = format_args!("the cost has to be {MIN_COST} to {MAX_COST}");
                Err(Error::field("password_hash", what))
            }
        }
    }
}

impl Hash {
    /// The cost of a bcrypt hash; none for one of our own.
    pub(super) fn cost(&self) -> Option<u32> {
        let bcrypt = Some(&self.0).filter(|text| is_bcrypt(text))?;
        Some(bcrypt::HashParts::from_str(bcrypt).ok()?.get_cost())
    }
}

fn is_bcrypt(text: &str) -> bool {
    text.starts_with("$2")
}

/// Runs a hash on a thread that may block, when there is a place for it. One whose caller has gone
/// still ends, and holds its place until then.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let closed = || Error::Bug("the places for hashes are gone");
    let place = PLACES.acquire().await.map_err(|_| closed())?;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.map_err(|_| Error::Bug("a hash panicked"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "a".
    const BCRYPT_A: &str = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";

    fn password(text: &str) -> Password {
        Password::new(Secret::new(text.to_owned())).unwrap()
    }

    async fn right(text: &str, hash: &Hash) -> bool {
        let checked = password(text).matches(Some(hash.clone()), None).await;
        let checked = checked.unwrap();
        !matches!(checked, Checked::Wrong)
    }

    #[tokio::test]
    async fn a_hash_is_of_one_password_and_never_the_same_twice() {
        let hash = password("pw").hash().await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(right("pw", &hash).await);
        assert!(!right("PW", &hash).await && !right("", &hash).await);
        assert_ne!(password("pw").hash().await.unwrap().0, hash.0);
        let nobody = password("pw").matches(None, None).await.unwrap();
        assert!(matches!(nobody, Checked::Wrong));
    }

    #[tokio::test]
    async fn bcrypt_hashes_of_others_hold_and_are_told_apart() {
        let text = BCRYPT_A;
        let hash = Hash::bcrypt(text.to_owned()).unwrap();
        let checked = password("a").matches(Some(hash.clone()), Some(6)).await;
        let checked = checked.unwrap();
        assert!(matches!(checked, Checked::RightByBcrypt(_)));
        assert!(!right("b", &hash).await);
        for bad in ["nonsense", "", &text.replace("$06$", "$31$")] {
            assert!(Hash::bcrypt(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_the_same_work_for_everybody() {
        // Costs 6 and 8.
        let cheap = Hash::bcrypt(BCRYPT_A.to_owned()).unwrap();
        let dear = bcrypt::hash_with_salt("a", 8, [7; SALT_LEN]).unwrap();
        let dear = Hash::bcrypt(dear.to_string()).unwrap();
        let own = password("a").hash().await.unwrap();
        assert_eq!(
            [cheap.cost(), dear.cost(), own.cost()],
            [Some(6), Some(8), None]
        );
        let work = |hash: Option<&Hash>, dearest| {
            let mut work = Work::default();
            let right = password("wrong").is_of(hash, dearest, &mut work).unwrap();
            assert!(!right);
            work
        };
        for dearest in [None, Some(8)] {
            assert_eq!(work(Some(&own), dearest), work(None, dearest));
        }
        assert_ne!(work(None, None), work(None, Some(8)));
        for hash in [&cheap, &dear] {
            assert_eq!(work(Some(hash), Some(8)), work(None, Some(8)));
        }
    }

    #[test]
    fn a_long_password_is_refused_by_name() {
        let long = Password::new(Secret::new("x".repeat(73)));
        assert!(
            long.err()
                .is_some_and(|e| e.to_string().contains("\"password\""))
        );
        assert!(Password::new(Secret::new("x".repeat(72))).is_ok());
    }
}
