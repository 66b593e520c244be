//! Making envelopes: a fresh DEK, wrapped for each recipient, over a file or a stream.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use keyfold_keys::rng;
use keyfold_secret::Protected;

use crate::cobblestone::{PayloadKey, SALT_LEN};
use crate::context::Context;
use crate::error::Error;
use crate::header::{HEADER_LEN, Header, Prelude};
use crate::inspect::SlotInfo;
use crate::labels::Labels;
use crate::output::Output;
use crate::progress::Progress;
use crate::recipient::Recipient;
use crate::slot::SlotTable;
use crate::{file, stream};

/// How to encrypt.
#[derive(Clone, Debug, Default)]
pub struct EncryptOptions {
    /// Stored in clear in the header, for inventories.
    pub labels: Labels,
    /// Replace an output that exists.
    pub overwrite: bool,
    /// Threads; as many as the machine has cores where `None`.
    pub workers: Option<NonZeroUsize>,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// Bytes read.
    pub plaintext_len: u64,
    /// Bytes written.
    pub envelope_len: u64,
    /// The envelope's random name.
    pub object_id: [u8; 16],
    /// The slots, in the order of the recipients.
    pub slots: Vec<SlotInfo>,
}

/// Encrypts a file into a file, in parallel, for one or more recipients. The output appears under
/// its name only when it is whole and durable, with the input's permissions.
pub fn encrypt_file(
    recipients: &[&dyn Recipient],
    context: &Context,
    input: &Path,
    output: &Path,
    options: &EncryptOptions,
    progress: &dyn Progress,
) -> Result<Encrypted, Error> {
    let source = File::open(input)?;
    let metadata = source.metadata()?;
    let target = Output::create(output, options.overwrite)?;
    let sealed = seal_header(recipients, context, &options.labels)?;
    let workers = file::worker_count(options.workers);
    // A regular file that claims to be empty may be one of /proc: read it as a stream.
    let plaintext_len = if metadata.is_file() && metadata.len() > 0 {
        progress.total(metadata.len());
        let plaintext_len = file::encrypt(
            &sealed.key,
            &source,
            &target,
            metadata.len(),
            workers,
            progress,
        )?;
        if source.metadata()?.modified().ok() != metadata.modified().ok() {
            return Err(Error::InputChanged);
        }
        target.write_all_at(&sealed.header.encode(), 0)?;
        plaintext_len
    } else {
        let mut out = &target;
        out.write_all(&sealed.header.encode())?;
        stream::encrypt(&sealed.key, source, out, workers, progress)?
    };
    target.publish(metadata.is_file().then(|| metadata.permissions()))?;
    sealed.report(plaintext_len)
}

/// Encrypts a stream into a stream, in constant memory, for one or more recipients.
pub fn encrypt_stream(
    recipients: &[&dyn Recipient],
    context: &Context,
    input: impl Read + Send,
    mut output: impl Write,
    options: &EncryptOptions,
    progress: &dyn Progress,
) -> Result<Encrypted, Error> {
    let sealed = seal_header(recipients, context, &options.labels)?;
    output.write_all(&sealed.header.encode())?;
    let workers = file::worker_count(options.workers);
    let plaintext_len = stream::encrypt(&sealed.key, input, &mut output, workers, progress)?;
    output.flush()?;
    sealed.report(plaintext_len)
}

/// A new header and the key of the payload that belongs behind it.
pub(crate) struct SealedHeader {
    pub(crate) header: Header,
    pub(crate) key: PayloadKey,
}

impl SealedHeader {
    pub(crate) fn report(&self, plaintext_len: u64) -> Result<Encrypted, Error> {
        let sealed_len = crate::cobblestone::sealed_len(plaintext_len).ok_or(Error::TooLong)?;
        Ok(Encrypted {
            plaintext_len,
            envelope_len: sealed_len.saturating_add(HEADER_LEN as u64),
            object_id: *self.header.prelude.object_id(),
            slots: SlotInfo::of_table(&self.header.slots),
        })
    }
}

/// Draws a DEK and has it wrapped for each recipient.
pub(crate) fn seal_header(
    recipients: &[&dyn Recipient],
    context: &Context,
    labels: &Labels,
) -> Result<SealedHeader, Error> {
    let prelude = Prelude::new(rng::bytes(), context, labels)?;
    seal_prelude(recipients, prelude)
}

/// As [`seal_header`], for a prelude that is made.
pub(crate) fn seal_prelude(
    recipients: &[&dyn Recipient],
    prelude: Prelude,
) -> Result<SealedHeader, Error> {
    let dek = Protected::<32>::init_with(|dek| rng::fill(dek));
    let salt: [u8; SALT_LEN] = rng::bytes();
    let wraps = recipients.iter().map(|one| one.wrap(&prelude, &dek));
    let slots = SlotTable::with(wraps.collect::<Result<_, _>>()?)?;
    if slots.slots().next().is_none() {
        return Err(Error::NoRecipient);
    }
    let key = PayloadKey::derive(&dek, &salt, &prelude.payload_context());
    let commitment = *key.commitment();
    let header = Header {
        prelude,
        slots,
        salt,
        commitment,
    };
    Ok(SealedHeader { header, key })
}
