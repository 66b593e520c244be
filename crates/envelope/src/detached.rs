//! [`Detached`]: an envelope whose header lies beside its payload, so that a payload that can't be
//! changed, or is dear to change, keeps its wraps in something that is small.

use keyfold_keys::rng;

use crate::cobblestone::{HEAD_LEN, PayloadKey};
use crate::context::Context;
use crate::encrypt::{Encrypted, SealedHeader, seal_prelude};
use crate::error::Error;
use crate::header::{Header, Prelude};
use crate::inspect::SlotInfo;
use crate::labels::Labels;
use crate::recipient::{Identity, Recipient};
use crate::unlock::unlock;

/// A detached envelope that is being made or read: its header and the key of its payload. The payload
/// is [`Detached::head`] and the chunks, which [`seal_batch`](crate::seal_batch) makes and
/// [`open_batch`](crate::open_batch) opens; who moves them to and from their place is no matter here.
pub struct Detached {
    sealed: SealedHeader,
}

impl Detached {
    /// A new one: draws a DEK and has it wrapped for each recipient.
    pub fn seal(
        recipients: &[&dyn Recipient],
        context: &Context,
        labels: &Labels,
    ) -> Result<Self, Error> {
        let prelude = Prelude::new(rng::bytes(), context, labels)?.detached();
        let sealed = seal_prelude(recipients, prelude)?;
        Ok(Self { sealed })
    }

    /// Unwraps the key of one that exists, by the first of the identities that opens it, and says by
    /// which slot.
    pub fn open(
        identities: &[&dyn Identity],
        header: Header,
        context: &Context,
    ) -> Result<(Self, SlotInfo), Error> {
        header.detached()?;
        let unlocked = unlock(identities, &header, context)?;
        let key = unlocked.key;
        let sealed = SealedHeader { header, key };
        Ok((Self { sealed }, unlocked.slot))
    }

    /// The header, which is written when the payload is whole.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.sealed.header
    }

    /// The payload's key.
    #[must_use]
    pub fn key(&self) -> &PayloadKey {
        &self.sealed.key
    }

    /// The first bytes of the payload: salt and commitment, as in the header.
    #[must_use]
    pub fn head(&self) -> [u8; HEAD_LEN] {
        self.header().payload_head()
    }

    /// What was made, of a plaintext of that length.
    pub fn made(&self, plaintext_len: u64) -> Result<Encrypted, Error> {
        self.sealed.report(plaintext_len)
    }
}

impl Header {
    /// True where a detached payload that begins so is this header's.
    #[must_use]
    pub fn is_of(&self, head: &[u8; HEAD_LEN]) -> bool {
        self.payload_head() == *head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cobblestone::{CHUNK_LEN, SEALED_CHUNK_LEN};
    use crate::decrypt::{DecryptOptions, decrypt_stream};
    use crate::progress::NoProgress;
    use crate::recipient::TransitKey;
    use crate::testing::{Service, locator};
    use crate::{open_batch, seal_batch};

    fn made(service: &Service) -> Detached {
        let (locator, context) = (locator(), Context::new());
        let recipient = TransitKey::new(service, &locator);
        Detached::seal(&[&recipient], &context, &Labels::default()).unwrap()
    }

    #[test]
    fn a_payload_goes_and_comes_in_parts() {
        let service = Service::new();
        let envelope = made(&service);
        let plain = vec![7; 3 * CHUNK_LEN + 5];
        let (first, second) = plain.split_at(2 * CHUNK_LEN);
        let mut parts = [vec![0; 2 * SEALED_CHUNK_LEN], vec![0; 2 * SEALED_CHUNK_LEN]];
        seal_batch(envelope.key(), 0, first, false, &mut parts[0]).unwrap();
        let len = seal_batch(envelope.key(), 2, second, true, &mut parts[1])
            .unwrap()
            .len();
        parts[1].truncate(len);

        let header = Header::parse(&envelope.header().encode()).unwrap();
        assert!(header.is_of(&envelope.head()) && !header.is_of(&made(&service).head()));
        let (opened, slot) = Detached::open(&[&service], header, &Context::new()).unwrap();
        assert_eq!(slot.version, 1);
        let mut out = vec![0; 2 * SEALED_CHUNK_LEN];
        for (number, part, want) in [(0, &parts[0], first), (2, &parts[1], second)] {
            let batch = open_batch(opened.key(), number, part, number == 2, &mut out);
            assert!(batch.error.is_none());
            assert_eq!(batch.plain, want);
        }
        let cut = open_batch(opened.key(), 0, &parts[0], true, &mut out);
        assert!(matches!(cut.error, Some(Error::Truncated)));
    }

    #[test]
    fn headers_of_one_kind_do_not_pass_for_the_other() {
        let service = Service::new();
        let envelope = made(&service);
        // The payload behind its header: the prelude is part of the key, so it can't be made one.
        let mut file = envelope.header().encode().to_vec();
        let mut chunk = vec![0; SEALED_CHUNK_LEN];
        file.extend(seal_batch(envelope.key(), 0, b"text", true, &mut chunk).unwrap());
        let opened = |bytes: &[u8]| {
            let (context, options) = (Context::new(), DecryptOptions::default());
            let mut out = Vec::new();
            let done = decrypt_stream(
                &[&service],
                &context,
                bytes,
                &mut out,
                &options,
                &NoProgress,
            );
            (done.err().unwrap(), out)
        };
        let (error, out) = opened(&file);
        assert!(matches!(error, Error::Unsupported(_)) && out.is_empty());
        file[12] = 0;
        let (error, out) = opened(&file);
        assert!(
            matches!(error, Error::Service(_) | Error::WrongKey),
            "{error}"
        );
        assert!(out.is_empty());
        let attached = Prelude::new([1; 16], &Context::new(), &Labels::default()).unwrap();
        let attached = Header {
            prelude: attached,
            ..envelope.header().clone()
        };
        let refused = Detached::open(&[&service], attached, &Context::new());
        assert!(matches!(refused.err(), Some(Error::HeaderDamaged(_))));
    }
}
