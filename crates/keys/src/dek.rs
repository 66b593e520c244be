//! [`Dek`]: the key of one mount. It wraps the records of the mount.

use keyfold_secret::{Protected, Secret};

use crate::error::Error;
use crate::hierarchy::{Wrapped, Wraps};
use crate::record::{self, Location, Record};
use crate::{message, rng, xaes};

/// The data-encryption key of a mount. Destroying it destroys all that is stored under it.
pub struct Dek {
    bytes: Protected<{ xaes::KEY_LEN }>,
    cipher: xaes::Key,
}

impl Dek {
    /// A new random key.
    pub fn generate() -> Self {
        Self::new(Protected::init_with(|key| rng::fill(key)))
    }

    /// The record for `plaintext`, to be kept at storage key `key` of the mount `mount`. `version`
    /// is that of this DEK: [`record::version`] finds it again.
    ///
    /// # Panics
    ///
    /// When `plaintext` is 64 GiB or longer, which no request and no storage takes; the cipher can
    /// not carry more under one nonce.
    pub fn seal(&self, version: u32, mount: &str, key: &str, plaintext: &[u8]) -> Vec<u8> {
        #[expect(
            clippy::expect_used,
            reason = "documented: values of 64 GiB do not exist"
        )]
        self.try_seal(version, Location { mount, key }, plaintext)
            .expect("less than 64 GiB")
    }

    /// The plaintext of a record that was sealed by this DEK for this mount and storage key.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for bytes that are no record, [`Error::WrongKey`] for a record of
    /// another DEK or place, or one that was changed.
    pub fn open(&self, mount: &str, key: &str, record: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        record::version(record)?;
        let (mount_len, mount) = (mount_len(mount), mount.as_bytes());
        let context = [mount_len.as_slice(), mount, key.as_bytes()];
        message::open(&self.cipher, record::HEADER_LEN, &context, record)
    }

    fn try_seal(&self, version: u32, at: Location<'_>, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let mount_len = mount_len(at.mount);
        let context = [mount_len.as_slice(), at.mount.as_bytes(), at.key.as_bytes()];
        message::seal(&self.cipher, &record::header(version), &context, plaintext)
    }

    fn new(bytes: Protected<{ xaes::KEY_LEN }>) -> Self {
        let cipher = xaes::Key::new(bytes.expose());
        Self { bytes, cipher }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: &[u8; xaes::KEY_LEN] = bytes.try_into().map_err(|_| Error::Malformed("DEK"))?;
        Ok(Self::new(Protected::init_with(|key| {
            key.copy_from_slice(bytes)
        })))
    }

    /// For the KEK, which wraps it.
    pub(crate) fn as_bytes(&self) -> &[u8; xaes::KEY_LEN] {
        self.bytes.expose()
    }
}

/// The layout is drawn in [`record`].
impl Wraps<Record> for Dek {
    type Context<'a> = Location<'a>;

    fn wrap(&self, child: &Record, context: Location<'_>) -> Result<Wrapped<Record>, Error> {
        self.try_seal(child.version(), context, child.plaintext().expose())
            .map(Wrapped::from_bytes)
    }

    fn unwrap(&self, wrapped: &Wrapped<Record>, context: Location<'_>) -> Result<Record, Error> {
        let version = record::version(wrapped.as_bytes())?;
        let plaintext = self.open(context.mount, context.key, wrapped.as_bytes())?;
        Ok(Record::new(version, plaintext))
    }
}

fn mount_len(mount: &str) -> [u8; 8] {
    (mount.len() as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNT: &str = "6f2c0d5e-3a44-4f0b-9d7e-8c1f2b3a4d5e";
    const KEY: &str = "logical/6f2c0d5e-3a44-4f0b-9d7e-8c1f2b3a4d5e/versions/1";

    fn dek() -> Dek {
        Dek::new(Protected::init_with(|key| key.fill(3)))
    }

    #[test]
    fn record_has_the_documented_layout() {
        let sealed = dek().seal(0x0102_0304, MOUNT, KEY, b"value");
        assert_eq!(sealed.len(), 1 + 4 + 24 + 5 + 16);
        assert_eq!(sealed[..5], [1, 1, 2, 3, 4]);
        assert_eq!(record::version(&sealed), Ok(0x0102_0304));

        // Opened step by step, as the drawing in `record` says.
        let nonce = sealed[5..29].try_into().unwrap();
        let mut aad = vec![1, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 36];
        aad.extend_from_slice(MOUNT.as_bytes());
        aad.extend_from_slice(KEY.as_bytes());
        let mut data = sealed[29..].to_vec();
        assert_eq!(
            xaes::Key::new(&[3; 32])
                .open(nonce, &aad, &mut data)
                .unwrap(),
            b"value"
        );
    }

    #[test]
    fn a_record_does_not_open_elsewhere() {
        let sealed = dek().seal(1, "ab", "cd", b"value");
        assert!(dek().open("ab", "cd", &sealed).is_ok());
        for (mount, key) in [
            ("ab", "ce"),
            ("ax", "cd"),
            ("abc", "d"),
            ("a", "bcd"),
            ("", "abcd"),
        ] {
            assert_eq!(
                dek().open(mount, key, &sealed).err(),
                Some(Error::WrongKey),
                "{mount} {key}"
            );
        }
        assert_eq!(
            Dek::generate().open("ab", "cd", &sealed).err(),
            Some(Error::WrongKey)
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = dek().seal(1, MOUNT, KEY, b"a value");
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(dek().open(MOUNT, KEY, &flipped).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(
                dek().open(MOUNT, KEY, &sealed[..len]).is_err(),
                "cut to {len}"
            );
        }
        assert!(
            dek()
                .open(MOUNT, KEY, &[sealed.as_slice(), &[0]].concat())
                .is_err()
        );
    }

    #[test]
    fn wrapping_a_record_is_sealing_it() {
        let at = Location {
            mount: MOUNT,
            key: KEY,
        };
        let value = Record::new(9, Secret::new(b"value".to_vec()));
        let wrapped = dek().wrap(&value, at).unwrap();
        assert!(
            dek()
                .open(MOUNT, KEY, wrapped.as_bytes())
                .unwrap()
                .ct_eq(b"value")
        );
        let again = dek().unwrap(&wrapped, at).ok().unwrap();
        assert_eq!(again.version(), 9);
        assert!(again.into_plaintext().ct_eq(b"value"));
    }

    proptest! {
        #[test]
        fn values_come_back(
            version: u32,
            mount in ".{0,40}",
            key in ".{0,60}",
            value in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let sealed = dek().seal(version, &mount, &key, &value);
            prop_assert_eq!(record::version(&sealed), Ok(version));
            prop_assert!(dek().open(&mount, &key, &sealed).unwrap().ct_eq(&value));
        }

        #[test]
        fn a_moved_or_changed_record_does_not_open(
            (mount, key) in (".{0,40}", ".{0,60}"),
            (other_mount, other_key) in (".{0,40}", ".{0,60}"),
            value in prop::collection::vec(any::<u8>(), 0..200),
            at: prop::sample::Index,
            flip in 1..=255_u8,
        ) {
            let mut sealed = dek().seal(1, &mount, &key, &value);
            if (&mount, &key) != (&other_mount, &other_key) {
                prop_assert!(dek().open(&other_mount, &other_key, &sealed).is_err());
            }
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert!(dek().open(&mount, &key, &sealed).is_err());
        }

        #[test]
        fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(dek().open(MOUNT, KEY, &bytes).is_err());
            if let Some(format) = bytes.first_mut() {
                *format = 1;
            }
            prop_assert!(dek().open(MOUNT, KEY, &bytes).is_err());
        }
    }
}
