//! `encrypt` into an object of a bucket, and `decrypt` of one.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use keyfold_envelope::{
    Bounds, Context, DecryptOptions, Detached, EncryptOptions, Encrypted, Error, Identity, Opened,
    Output, Progress, Recipient, open_detached_range,
};
use keyfold_stores::{Bucket, Object, Payload};

use super::{InOut, is_dash, stdout};
use crate::error::CliError;

/// The address that a path is, if it is one of an object.
pub(super) fn address_of(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| Bucket::is_address(text))
}

/// Encrypts the input, which is a file, into an object.
pub(super) fn encrypt(
    address: &str,
    recipients: &[&dyn Recipient],
    context: &Context,
    ends: &InOut,
    options: &EncryptOptions,
    progress: &dyn Progress,
) -> Result<Encrypted, CliError> {
    let object = Object::open(address)?;
    if is_dash(&ends.input) {
        return Err(CliError::Usage(
            "what goes into a bucket is a file: its length has to be known".to_owned(),
        ));
    }
    let input = File::open(&ends.input)
        .map_err(CliError::io(format!("can't read {}", ends.input.display())))?;
    let sealed = Detached::seal(recipients, context, &options.labels);
    let sealed = sealed.map_err(CliError::envelope(&ends.input))?;
    let len = object.encrypt(&sealed, &input, options.overwrite, progress);
    let made = len.and_then(|len| sealed.made(len));
    made.map_err(|error| match error {
        Error::OutputExists(path) if options.overwrite => CliError::Usage(format!(
            "{} is whole, or was just made: delete the header and its payload first",
            path.display()
        )),
        error => CliError::envelope(Path::new(address))(error),
    })
}

/// Decrypts a part of an object, or all of it, into a file, which appears when that is authentic, or
/// into a pipe, chunk by chunk.
pub(super) fn decrypt(
    address: &str,
    identities: &[&dyn Identity],
    context: &Context,
    output: Option<&Path>,
    range: Option<Bounds>,
    options: &DecryptOptions,
    progress: &dyn Progress,
) -> Result<Opened, CliError> {
    let failed = |error| CliError::envelope(Path::new(address))(error);
    let object = Object::open(address)?;
    let payload = object.read().map_err(failed)?;
    let part = |to: &mut dyn Write| {
        let header = payload.header();
        open_detached_range(identities, context, header, &payload, range, to).map_err(failed)
    };
    let Some(path) = output else {
        return part(&mut stdout()?);
    };
    let target = Output::create(path, options.overwrite).map_err(failed)?;
    let opened = match range {
        Some(_) => part(&mut &target)?,
        None => whole(&payload, identities, context, &target, progress).map_err(failed)?,
    };
    target.publish(None).map_err(failed)?;
    Ok(opened)
}

fn whole(
    payload: &Payload<'_>,
    identities: &[&dyn Identity],
    context: &Context,
    output: &Output,
    progress: &dyn Progress,
) -> Result<Opened, Error> {
    let header = payload.header();
    let (envelope, slot) = Detached::open(identities, header.clone(), context)?;
    Ok(Opened {
        plaintext_len: payload.decrypt(envelope.key(), output, progress)?,
        slot,
        damaged_slots: header.slots.damaged(),
    })
}

/// The error of a plaintext that was to go into a bucket.
pub(super) fn no_plaintext() -> CliError {
    CliError::Usage("what is decrypted goes into a file, not into a bucket".to_owned())
}

/// The error of an object that was to be proven whole before it goes into a pipe.
pub(super) fn to_a_file() -> CliError {
    CliError::Usage("--verify-first is for files: give -o, which does as much".to_owned())
}
