//! One envelope made anew in its place.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::ReencryptOptions;
use crate::cobblestone::plaintext_len;
use crate::context::Context;
use crate::decrypt::read_header;
use crate::encrypt::seal_header;
use crate::error::Error;
use crate::file;
use crate::header::{HEADER_LEN, Header};
use crate::key_service::KeyService;
use crate::locator::Locator;
use crate::output::Output;
use crate::recipient::{Identity, Recipient, TransitKey};
use crate::rewrap::{Done, Outcome, Watch};
use crate::slot::SlotState;
use crate::store::lock;
use crate::unlock::unlock;

/// From this length on all cores work on one file; below it each on a file of its own.
const LONG: u64 = 64 << 20;

/// What all envelopes of a run have in common.
pub(super) struct Job<'a> {
    pub(super) service: &'a dyn KeyService,
    /// The same, as whoever opens envelopes.
    pub(super) identity: &'a dyn Identity,
    pub(super) context: &'a Context,
    pub(super) watch: &'a dyn Watch,
}

/// What became of an envelope.
pub(super) enum Made {
    /// It has a new DEK.
    New { plaintext_len: u64 },
    /// An earlier run made it.
    Already,
}

impl Job<'_> {
    pub(super) fn run(&self, path: &Path, options: &ReencryptOptions) -> Result<Made, Error> {
        // What a link leads to is made anew, and the link stays.
        let target = fs::canonicalize(path)?;
        let mut source = File::open(&target)?;
        // Whoever rewraps it meanwhile would change what is thrown away.
        lock(&source)?;
        let metadata = source.metadata()?;
        let header = read_header(&mut source)?;
        header.attached()?;
        if options.made.contains(header.prelude.object_id()) {
            return Ok(Made::Already);
        }
        // Under its other names the old envelope would stay.
        if metadata.nlink() > 1 {
            return Err(Error::OtherNames(metadata.nlink()));
        }
        let keys = keys_of(&header)?;
        let sealed_len = metadata.len().saturating_sub(HEADER_LEN as u64);
        let plaintext_len = plaintext_len(sealed_len).ok_or(Error::Truncated)?;
        if options.dry_run {
            return Ok(Made::New { plaintext_len });
        }
        let old = unlock(&[self.identity], &header, self.context)?;
        let recipients: Vec<_> = keys
            .iter()
            .map(|key| TransitKey::new(self.service, key))
            .collect();
        let recipients: Vec<_> = recipients.iter().map(|one| one as &dyn Recipient).collect();
        let new = seal_header(&recipients, self.context, header.prelude.labels())?;

        Output::sweep(&target);
        let output = Output::create(&target, true)?;
        let workers = match metadata.len() {
            LONG.. => file::worker_count(options.workers),
            _ => 1,
        };
        let between = || self.watch.stops();
        file::reencrypt(
            &old.key, &new.key, &source, &output, sealed_len, workers, &between,
        )?;
        output.write_all_at(&new.header.encode(), 0)?;
        self.watch.done(&Done {
            place: path,
            key: keys.first(),
            outcome: Outcome::Replacing {
                object_id: new.header.prelude.object_id(),
            },
        });
        output.replace(&metadata)?;
        Ok(Made::New { plaintext_len })
    }
}

/// The keys to wrap the new DEK with: those of the active wraps, each once.
fn keys_of(header: &Header) -> Result<Vec<Locator>, Error> {
    let mut keys: Vec<Locator> = Vec::new();
    for (_, slot) in header.slots.candidates() {
        if slot.state != SlotState::Active {
            continue;
        }
        // Somebody who has no key on the server would be shut out without a word.
        let key = slot.transit().ok_or(Error::Unsupported(
            "a wrap that only its owner can make anew: decrypt it and encrypt it for all of them",
        ))?;
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    // Only an old wrap opens it: then that key is the one.
    if keys.is_empty() {
        let candidates = header.slots.candidates();
        let mut transit = candidates.iter().filter_map(|(_, slot)| slot.transit());
        keys.extend(transit.next().cloned());
    }
    match keys.is_empty() {
        true if header.slots.damaged() > 0 => Err(Error::TornSlot),
        true => Err(Error::NoUsableSlot),
        false => Ok(keys),
    }
}
