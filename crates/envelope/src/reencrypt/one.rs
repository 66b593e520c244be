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
use crate::keyring::{KeyringError, KeyringRecipient, ServiceDeks, keyring_reference};
use crate::locator::Locator;
use crate::output::Output;
use crate::recipient::{Identity, Recipient, TransitKey};
use crate::rewrap::{Done, Outcome, Watch};
use crate::slot::{Slot, SlotState, TYPE_KEYRING};
use crate::store::lock;
use crate::unlock::unlock;

/// From this length on all cores work on one file; below it each on a file of its own.
const LONG: u64 = 64 << 20;

/// What all envelopes of a run have in common.
pub(super) struct Job<'a> {
    pub(super) service: &'a dyn KeyService,
    /// Whoever opens envelopes: the same, and the keyring.
    pub(super) identities: Vec<&'a dyn Identity>,
    pub(super) deks: Option<&'a ServiceDeks>,
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
        let parties = Parties::of(&header, self.deks)?;
        let sealed_len = metadata.len().saturating_sub(HEADER_LEN as u64);
        let plaintext_len = plaintext_len(sealed_len).ok_or(Error::Truncated)?;
        if options.dry_run {
            return Ok(Made::New { plaintext_len });
        }
        let old = unlock(&self.identities, &header, self.context)?;
        let keys = parties.keys.iter();
        let keys: Vec<_> = keys.map(|key| TransitKey::new(self.service, key)).collect();
        let keyring = parties.deks;
        let keyring = keyring.map(|deks| KeyringRecipient::new(deks, plaintext_len));
        let keyring = keyring.iter().map(|one| one as &dyn Recipient);
        let keys = keys.iter().map(|one| one as &dyn Recipient);
        let recipients: Vec<_> = keys.chain(keyring).collect();
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
            key: parties.keys.first(),
            outcome: Outcome::Replacing {
                object_id: new.header.prelude.object_id(),
            },
        });
        output.replace(&metadata)?;
        Ok(Made::New { plaintext_len })
    }
}

/// Whom the new DEK is wrapped for: those who have the active wraps, each once.
struct Parties<'a> {
    keys: Vec<Locator>,
    deks: Option<&'a ServiceDeks>,
}

impl<'a> Parties<'a> {
    fn of(header: &Header, deks: Option<&'a ServiceDeks>) -> Result<Self, Error> {
        let candidates = header.slots.candidates();
        let slots = || candidates.iter().map(|(_, slot)| *slot);
        let mut parties = Self {
            keys: Vec::new(),
            deks: None,
        };
        for slot in slots().filter(|slot| slot.state == SlotState::Active) {
            if !parties.add(slot, deks)? {
                // Somebody who has no key on the server would be shut out without a word.
                return Err(Error::Unsupported(
                    "a wrap that only its owner can make anew: decrypt it and encrypt it for all of them",
                ));
            }
        }
        // Only an old wrap opens it: then whoever has that is the one.
        for slot in slots() {
            if parties.is_somebody() {
                break;
            }
            parties.add(slot, deks)?;
        }
        match parties.is_somebody() {
            true => Ok(parties),
            false if header.slots.damaged() > 0 => Err(Error::TornSlot),
            false => Err(Error::NoUsableSlot),
        }
    }

    /// False where the slot is for somebody who can't be asked.
    fn add(&mut self, slot: &Slot, deks: Option<&'a ServiceDeks>) -> Result<bool, Error> {
        if slot.kind == TYPE_KEYRING {
            let reference = keyring_reference(slot);
            let (dek_id, place) =
                reference.ok_or(Error::HeaderDamaged("length of a keyring slot"))?;
            let deks = deks.ok_or_else(|| KeyringError::NotNamed(place.to_owned()))?;
            deks.replaced(&dek_id)?;
            self.deks = Some(deks);
            return Ok(true);
        }
        let Some(key) = slot.transit() else {
            return Ok(false);
        };
        if !self.keys.contains(key) {
            self.keys.push(key.clone());
        }
        Ok(true)
    }

    fn is_somebody(&self) -> bool {
        self.deks.is_some() || !self.keys.is_empty()
    }
}
