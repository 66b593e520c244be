//! The work behind a refusal. It is the same for all names of a mount, whether or not somebody has
//! one, and whatever hash is kept of their password:
//!
//! ```text
//!                         argon2          rounds of bcrypt, 2^dearest in all
//!   nobody's name         of nothing      of nothing
//!   a hash of our own     the check       of nothing
//!   a bcrypt hash         of nothing      the check, then those that it has less than the dearest
//! ```
//!
//! `dearest` is the largest cost of a bcrypt hash in the mount; without one there are no rounds.

use std::str::FromStr;

use argon2::password_hash::PasswordVerifier;
use argon2::{Algorithm, Argon2, Params, Version};
use bcrypt::HashParts;
use keyfold_core::error::Error;

/// Costs of bcrypt hashes that are taken; the largest is some seconds of work for each login.
pub(super) const MIN_COST: u32 = 4;
pub(super) const MAX_COST: u32 = 16;
/// Memory of a hash of our own, KiB, and passes over it: what OWASP asks of Argon2id at least.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Bytes of it, and of its salt.
const HASH_LEN: usize = 32;
pub(super) const SALT_LEN: usize = 16;

/// What was done so far.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Work {
    argon2: bool,
    rounds: u64,
}

impl Work {
    /// Checks a password against a hash of our own.
    pub(super) fn argon2(&mut self, password: &[u8], hash: &str) -> bool {
        self.argon2 = true;
        Argon2::default().verify_password(password, hash).is_ok()
    }

    /// Checks a password against a bcrypt hash.
    pub(super) fn bcrypt(&mut self, password: &[u8], hash: &str) -> Result<bool, Error> {
        let damaged = |_| Error::corrupt("a bcrypt hash of userpass");
        let cost = HashParts::from_str(hash).map_err(damaged)?.get_cost();
        self.rounds = self.rounds.saturating_add(rounds(cost));
        bcrypt::verify(password, hash).map_err(damaged)
    }

    /// Does what is missing of a refusal.
    pub(super) fn fill_up(&mut self, password: &[u8], dearest: Option<u32>) -> Result<(), Error> {
        if !self.argon2 {
            let mut out = [0; HASH_LEN];
            let done = argon2()?.hash_password_into(password, &[0; SALT_LEN], &mut out);
            done.map_err(|_| Error::Bug("argon2 failed"))?;
            self.argon2 = true;
        }
        // A hash for each bit of the count: together they are just as many rounds.
        let missing = dearest.map_or(0, rounds).saturating_sub(self.rounds);
        for cost in (MIN_COST..=MAX_COST).filter(|cost| missing & rounds(*cost) != 0) {
            bcrypt::hash_with_salt(password, cost, [0; SALT_LEN])
                .map_err(|_| Error::Bug("bcrypt failed"))?;
            self.rounds = self.rounds.saturating_add(rounds(cost));
        }
        Ok(())
    }
}

fn rounds(cost: u32) -> u64 {
    1_u64.checked_shl(cost).unwrap_or(u64::MAX)
}

/// How hashes of our own are made.
pub(super) fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY, PASSES, 1, Some(HASH_LEN));
    let params = params.map_err(|_| Error::Bug("argon2 refuses its parameters"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_made_up_to_the_round() {
        for own in [None, Some(4), Some(5), Some(7), Some(8)] {
            for dearest in [None, Some(4), Some(8)] {
                let mut work = Work {
                    argon2: false,
                    rounds: own.map_or(0, rounds),
                };
                work.fill_up(b"pw", dearest).unwrap();
                assert!(work.argon2);
                let wanted = own.max(dearest).map_or(0, rounds);
                assert_eq!(work.rounds, wanted, "{own:?} {dearest:?}");
            }
        }
    }
}
