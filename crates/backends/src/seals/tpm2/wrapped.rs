//! What a TPM sealed, as it is stored.
//!
//! ```text
//!   1 │ bank 1 │ PCRs 3 │ length of the public part u16 BE │ public part │ private part
//! ```

use super::pcrs::Pcrs;

const FORMAT: u8 = 1;

/// Both halves of a sealed object; without its TPM they are noise.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrapped {
    /// What it was bound to when it was made.
    pub pcrs: Option<Pcrs>,
    /// As the TPM marshals it.
    pub public: Vec<u8>,
    /// Encrypted by the TPM.
    pub private: Vec<u8>,
}

impl Wrapped {
    pub(super) fn encode(&self) -> Vec<u8> {
        // A public part has some fifty bytes.
        let length = u16::try_from(self.public.len()).unwrap_or(u16::MAX);
        [
            &[FORMAT][..],
            &Pcrs::encode(self.pcrs),
            &length.to_be_bytes(),
            &self.public,
            &self.private,
        ]
        .concat()
    }

    /// Nothing where the bytes are no such thing.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&format, rest) = bytes.split_first()?;
        let (pcrs, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (public, private) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let whole = format == FORMAT && !public.is_empty() && !private.is_empty();
        whole.then_some(Self {
            pcrs: Pcrs::decode(*pcrs)?,
            public: public.to_vec(),
            private: private.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_decoded_encodes_to_the_same(mut bytes: Vec<u8>, near: bool) {
            if near && bytes.len() > 7 {
                bytes[0] = FORMAT;
                bytes[1] %= 5;
                bytes[5] = 0;
            }
            if let Some(wrapped) = Wrapped::decode(&bytes) {
                prop_assert_eq!(wrapped.encode(), bytes);
            }
        }
    }

    #[test]
    fn there_and_back() {
        let pcrs = Pcrs::read(Some("7"), None).unwrap();
        let wrapped = Wrapped {
            pcrs,
            public: vec![1, 2],
            private: vec![3],
        };
        let bytes = wrapped.encode();
        assert_eq!(bytes, [1, 2, 0, 0, 0x80, 0, 2, 1, 2, 3]);
        assert_eq!(Wrapped::decode(&bytes), Some(wrapped));
        for cut in 0..bytes.len() {
            assert_eq!(Wrapped::decode(&bytes[..cut]), None);
        }
    }
}
