//! Slots of type 5: the DEK under a key that argon2id makes of a passphrase.
//!
//! ```text
//!   memory KiB 4 │ passes 4 │ lanes 4 │ salt 16 │ nonce 12 │ ciphertext 32 │ tag 16
//! ```

use std::io::ErrorKind;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use keyfold_keys::rng;
use keyfold_secret::{Protected, Secret};

use super::{Identity, Recipient, wrap};
use crate::error::Error;
use crate::fields::field;
use crate::header::Prelude;
use crate::slot::{FLAG_AAD_BOUND, Slot, TYPE_PASSPHRASE};

const SALT_LEN: usize = 16;
const SALT_AT: usize = 12;
const WRAP_AT: usize = SALT_AT + SALT_LEN;
/// Bytes of a slot's wrap.
const BLOB_LEN: usize = WRAP_AT + wrap::WRAP_LEN;

/// A passphrase, as recipient and as identity. Its bytes are taken as they are: no Unicode form is
/// made of them.
pub struct Passphrase {
    text: Secret<String>,
    cost: Cost,
}

impl Passphrase {
    /// `None` for an empty one, which protects nothing.
    #[must_use]
    pub fn new(text: Secret<String>) -> Option<Self> {
        let cost = Cost::USUAL;
        (!text.expose().is_empty()).then_some(Self { text, cost })
    }

    /// The key of one slot.
    fn kek(&self, cost: Cost, salt: &[u8; SALT_LEN]) -> Result<Protected<32>, Error> {
        const REFUSED: Error = Error::HeaderDamaged("argon2id parameters of a passphrase slot");
        let Cost {
            memory_kib,
            passes,
            lanes,
        } = cost;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| REFUSED)?;
        let blocks = params.block_count();
        let mut memory = Secret::new(Vec::<Block>::new());
        let reserved = memory.expose_mut().try_reserve_exact(blocks);
        reserved.map_err(|_| Error::Io(ErrorKind::OutOfMemory.into()))?;
        memory.expose_mut().resize(blocks, Block::new());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let text = self.text.expose().as_bytes();
        Protected::try_init_with(|kek| {
            argon2.hash_password_into_with_memory(text, salt, kek, memory.expose_mut())
        })
        .map_err(|_| REFUSED)
    }
}

impl Recipient for Passphrase {
    fn wrap(&self, prelude: &Prelude, dek: &Protected<32>) -> Result<Slot, Error> {
        let salt = rng::bytes();
        let kek = self.kek(self.cost, &salt)?;
        let wrapped = wrap::wrap(&kek, &prelude.aad(), dek);
        let wrapped = wrapped.ok_or(Error::NotWrapped("passphrase"))?;
        let blob = [&self.cost.encode()[..], &salt, &wrapped].concat();
        Ok(Slot::new(TYPE_PASSPHRASE, blob))
    }
}

impl Identity for Passphrase {
    fn open(&self, prelude: &Prelude, slot: &Slot) -> Option<Result<Protected<32>, Error>> {
        if slot.kind != TYPE_PASSPHRASE || slot.flags != FLAG_AAD_BOUND {
            return None;
        }
        Some(self.open_blob(prelude, &slot.blob))
    }
}

impl Passphrase {
    fn open_blob(&self, prelude: &Prelude, blob: &[u8]) -> Result<Protected<32>, Error> {
        const DAMAGED: Error = Error::HeaderDamaged("length of a passphrase slot");
        if blob.len() != BLOB_LEN {
            return Err(DAMAGED);
        }
        let cost = Cost::parse(blob)?;
        let salt = field(blob, SALT_AT).ok_or(DAMAGED)?;
        let kek = self.kek(cost, &salt)?;
        let wrapped = blob.get(WRAP_AT..).unwrap_or_default();
        wrap::unwrap(&kek, &prelude.aad(), wrapped).ok_or(Error::WrongIdentity("passphrase"))
    }
}

/// What a guess costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The second recommended option of RFC 9106: 64 MiB, 3 passes, 4 lanes.
    const USUAL: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 4,
    };
    /// Most memory that a slot may make a reader take: 1 GiB.
    const MOST_MEMORY: u32 = 1 << 20;
    /// Most KiB that it may make him fill, in all passes: 4 GiB, some seconds.
    const MOST_WORK: u64 = 4 << 20;
    const MOST_LANES: u32 = 64;

    fn encode(self) -> [u8; SALT_AT] {
        let mut out = [0; SALT_AT];
        let numbers = [self.memory_kib, self.passes, self.lanes].map(u32::to_be_bytes);
        let bytes = numbers.as_flattened();
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        out
    }

    /// Reads the parameters. They come out of a file, and whoever changed it must not make the
    /// reader take all memory, or forever.
    fn parse(blob: &[u8]) -> Result<Self, Error> {
        const DAMAGED: Error = Error::HeaderDamaged("length of a passphrase slot");
        let number = |at| field(blob, at).map(u32::from_be_bytes).ok_or(DAMAGED);
        let cost = Self {
            memory_kib: number(0)?,
            passes: number(4)?,
            lanes: number(8)?,
        };
        let work = u64::from(cost.memory_kib).saturating_mul(cost.passes.into());
        if cost.memory_kib > Self::MOST_MEMORY
            || work > Self::MOST_WORK
            || cost.lanes > Self::MOST_LANES
        {
            return Err(Error::HeaderDamaged(
                "argon2id parameters of a passphrase slot: more than 1 GiB, or too many passes or lanes",
            ));
        }
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::prelude;

    fn dek() -> Protected<32> {
        Protected::init_with(|dek| dek.fill(5))
    }

    fn cheap(text: &str) -> Passphrase {
        Passphrase::cheap(text)
    }

    impl Passphrase {
        /// One whose slots are made fast.
        pub(crate) fn cheap(text: &str) -> Self {
            let cost = Cost {
                memory_kib: 32,
                passes: 1,
                lanes: 4,
            };
            let text = Secret::new(text.to_owned());
            Self { text, cost }
        }
    }

    #[test]
    fn only_the_same_passphrase_opens_the_slot_and_only_of_this_envelope() {
        let slot = cheap("correct horse").wrap(&prelude(1), &dek()).unwrap();
        assert_eq!((slot.span, slot.blob.len(), slot.version), (1, 88, 0));
        let open = |text: &str, object| cheap(text).open(&prelude(object), &slot).unwrap();
        assert!(open("correct horse", 1).unwrap().ct_eq(&dek()));
        for (text, object) in [("correct horse", 2), ("Correct horse", 1), ("x", 1)] {
            let error = open(text, object).err();
            assert!(matches!(error, Some(Error::WrongIdentity("passphrase"))));
        }
        let again = cheap("correct horse").wrap(&prelude(1), &dek()).unwrap();
        assert_ne!(again.blob[12..28], slot.blob[12..28], "a salt of its own");
        let other = Slot { kind: 4, ..slot };
        assert!(cheap("correct horse").open(&prelude(1), &other).is_none());
        assert!(Passphrase::new(Secret::new(String::new())).is_none());
    }

    #[test]
    fn the_usual_cost_is_written_down() {
        let usual = Passphrase::new(Secret::new("x".to_owned())).unwrap();
        let slot = usual.wrap(&prelude(1), &dek()).unwrap();
        assert_eq!(slot.blob[..12], [0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4]);
        assert!(cheap("x").open(&prelude(1), &slot).unwrap().is_ok());
    }

    #[test]
    fn hostile_parameters_are_refused_before_any_memory_is_taken() {
        let slot = cheap("x").wrap(&prelude(1), &dek()).unwrap();
        let open = |numbers: [u32; 3]| {
            let mut blob = slot.blob.clone();
            blob[..12].copy_from_slice(numbers.map(u32::to_be_bytes).as_flattened());
            let slot = Slot {
                blob,
                ..slot.clone()
            };
            cheap("x").open(&prelude(1), &slot).unwrap().err()
        };
        let most = Cost::MOST_MEMORY;
        for numbers in [
            [u32::MAX, 1, 1],
            [most + 1, 1, 1],
            [most, 5, 1],
            [64, u32::MAX, 1],
            [1 << 16, 3, 65],
            [32, 1, u32::MAX],
            [0, 1, 1],
            [32, 0, 1],
            [32, 1, 0],
            [31, 1, 4],
        ] {
            let error = open(numbers);
            assert!(
                matches!(error, Some(Error::HeaderDamaged(_))),
                "{numbers:?}"
            );
        }
        // Others than those it was made with give another key.
        let error = open([32, 2, 4]);
        assert!(matches!(error, Some(Error::WrongIdentity(_))));
        for len in [0, 11, 87, 89] {
            let blob = slot.blob.iter().copied().chain([0]).take(len).collect();
            let cut = Slot {
                blob,
                ..slot.clone()
            };
            let error = cheap("x").open(&prelude(1), &cut).unwrap().err();
            assert!(matches!(error, Some(Error::HeaderDamaged(_))), "{len}");
        }
    }
}
