//! The story, chapter by chapter. A chapter does something, checks that it is so, and only then
//! says it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use keyfold_client::Client;
use keyfold_envelope::header::HEADER_LEN;
use keyfold_envelope::slot::SLOT_LEN;
use keyfold_envelope::{
    Directories, Durability, Error, NoProgress, RewrapOptions, ServiceError, payload_sha256, rewrap,
};
use serde_json::json;
use tokio::runtime::Runtime;

use super::cast::{Rewrapper, Service};
use super::error::{DemoError, claim};
use super::files::{Original, difference};
use super::folder::Folder;
use super::hierarchy::{self, Envelope};
use super::page::{Page, grouped, seconds, short_hex};
use super::site::{Initialized, Site};

const SHARES: u64 = 5;
const THRESHOLD: u64 = 3;

/// Tells it.
pub(super) fn tell(
    page: &Page,
    runtime: Runtime,
    folder: &Folder,
    file: Option<&Path>,
) -> Result<(), DemoError> {
    let original = Original::new(file, folder)?;
    let what = if original.is_sample {
        "a sample made for this run"
    } else {
        "only read"
    };
    page.say(&format!(
        "Keyfold tells its story with {} ({} bytes, {what}).",
        original.name,
        grouped(original.len)
    ))?;
    page.say(&format!(
        "The server and all files are in {}, which is removed at the end.",
        folder.path().display()
    ))?;
    let site = Site::start(runtime, folder)?;
    let keys = begin(page, &site)?;
    let stage = Stage {
        page,
        operator: site.client(Some(&keys.root_token))?,
        envelope: folder.join("envelope.kf"),
        stale: folder.join("stale.kf"),
        opened: folder.join("opened"),
        name: format!("{}.kf", original.name),
        original,
        site,
    };
    let (a, b) = stage.two_services()?;
    stage.encrypt(&a, &b)?;
    stage.rotate_and_rewrap(&a, &b)?;
    stage.retire(&a, &b)?;
    stage.rotate_server(&a, &b)?;
    stage.restart(&keys, &a, &b)
}

/// What every chapter needs.
struct Stage<'a> {
    page: &'a Page,
    site: Site,
    /// Whoever holds the root token.
    operator: Client,
    original: Original,
    /// The envelope, for people.
    name: String,
    envelope: PathBuf,
    /// A copy of it from before the rewrap.
    stale: PathBuf,
    /// Where it is decrypted to.
    opened: PathBuf,
}

/// Chapter 1: a new server, and three of five people who open it.
fn begin(page: &Page, site: &Site) -> Result<Initialized, DemoError> {
    page.chapter(1, "A new server, sealed, and the people who open it")?;
    let keys = site.init(SHARES, THRESHOLD)?;
    let status = site.seal_status()?;
    claim(
        status.sealed && status.shares == SHARES && status.threshold == THRESHOLD,
        || "a new server is sealed".to_owned(),
    )?;
    page.holds(&format!(
        "Initialised: {} shares, any {} open it. It is sealed.",
        keys.shares.len(),
        status.threshold
    ))?;
    page.tree(&hierarchy::sealed(&status))?;
    unseal(page, site, &keys, 0)?;
    Ok(keys)
}

/// Gives three shares, from one on.
fn unseal(page: &Page, site: &Site, keys: &Initialized, first: usize) -> Result<(), DemoError> {
    let began = Instant::now();
    for (given, share) in (1..=THRESHOLD).zip(keys.shares.iter().skip(first)) {
        let status = site.unseal(share)?;
        let last = given == THRESHOLD;
        claim(
            status.sealed != last && (last || status.progress == given),
            || format!("share {given} of {THRESHOLD} is counted, and the last one opens"),
        )?;
        if !last {
            page.say(&format!("Share {given} of {THRESHOLD}: still sealed."))?;
        }
    }
    page.holds(&format!(
        "Share {THRESHOLD} of {THRESHOLD}: unsealed, {} after the first.",
        seconds(began.elapsed())
    ))
}

impl Stage<'_> {
    /// Chapter 2.
    fn two_services(&self) -> Result<(Service, Service), DemoError> {
        self.page
            .chapter(2, "Two services, each with its own KEK, policy and token")?;
        let a = Service::new(&self.site, &self.operator, "service-a")?;
        let b = Service::new(&self.site, &self.operator, "service-b")?;
        self.page
            .say("A DEK for each mount: what one service keeps falls alone.")?;
        self.draw(&a, &b, None)?;
        Ok((a, b))
    }

    /// Chapter 3.
    fn encrypt(&self, a: &Service, b: &Service) -> Result<(), DemoError> {
        self.page.chapter(3, "Service A encrypts the file")?;
        let began = Instant::now();
        let made = a
            .encrypt(&self.original.path, &self.envelope)
            .map_err(DemoError::envelope("encrypting"))?;
        let took = began.elapsed();
        claim(made.plaintext_len == self.original.len, || {
            "the whole file is encrypted".to_owned()
        })?;
        self.page.holds(&format!(
            "{}: {} bytes in {}. Its DEK was made here; the server only wrapped it.",
            self.name,
            grouped(made.envelope_len),
            seconds(took)
        ))?;
        self.opens(a)?;
        self.page
            .holds("Service A opens it: the same bytes as the file.")?;
        denied(b.decrypt(&self.envelope, &self.opened), "service B")?;
        self.page
            .holds("Service B is refused: 403, its policy does not name this KEK.")?;
        self.draw(a, b, Some(&self.envelope))
    }

    /// Chapter 4.
    fn rotate_and_rewrap(&self, a: &Service, b: &Service) -> Result<(), DemoError> {
        self.page
            .chapter(4, "Service A's KEK is rotated, the file rewrapped")?;
        fs::copy(&self.envelope, &self.stale).map_err(DemoError::io("can't copy the envelope"))?;
        let before = self.payload_hash()?;
        a.rotate_kek(&self.site, &self.operator)?;
        let rewrapper = Rewrapper::new(&self.site, &self.operator, &a.kek)?;
        denied(
            rewrapper.decrypt(&self.envelope, &self.opened),
            "the rewrapping job",
        )?;
        self.page
            .holds("The rewrapping job's token can't decrypt: 403. It may only rewrap.")?;

        let began = Instant::now();
        let store = Directories::new(vec![self.envelope.clone()], Durability::File);
        let report = rewrap(&rewrapper.0, &store, &RewrapOptions::default(), &NoProgress)
            .map_err(DemoError::envelope("rewrapping"))?;
        let took = began.elapsed();
        if let Some(failure) = report.failures.into_iter().next() {
            return Err(DemoError::envelope("rewrapping")(failure.error));
        }
        claim(report.rewrapped == 1 && report.stopped.is_none(), || {
            "the envelope is rewrapped".to_owned()
        })?;
        let changed = difference(&self.stale, &self.envelope)?;
        let bytes = changed.sectors * SLOT_LEN as u64;
        claim(
            bytes == 1024 && bytes == report.bytes_written && changed.same_length,
            || format!("a rewrap writes 1,024 bytes: it was {bytes}"),
        )?;
        claim(changed.end <= HEADER_LEN as u64, || {
            "only the header changes".to_owned()
        })?;
        self.page.holds(&format!(
            "Rewrapped in {}: {} bytes of {} written, in {} sectors of the header.",
            seconds(took),
            grouped(bytes),
            grouped(self.len_of_envelope()?),
            changed.sectors
        ))?;
        let after = self.payload_hash()?;
        self.page.say(&format!(
            "SHA-256 of the payload before: {}",
            short_hex(&before)
        ))?;
        self.page.say(&format!(
            "SHA-256 of the payload after:  {}",
            short_hex(&after)
        ))?;
        claim(before == after, || "the payload is untouched".to_owned())?;
        self.page.holds("Equal.")?;
        self.draw(a, b, Some(&self.envelope))
    }

    /// Chapter 5.
    fn retire(&self, a: &Service, b: &Service) -> Result<(), DemoError> {
        self.page.chapter(5, "The KEK's old version is retired")?;
        let opened = a
            .decrypt(&self.stale, &self.opened)
            .map_err(DemoError::envelope("opening the stale copy"))?;
        claim(opened.slot.version == 1, || {
            "the stale copy is under version 1".to_owned()
        })?;
        self.page
            .say("A copy from before the rewrap still opens, by version 1.")?;
        a.retire_below(&self.site, &self.operator, 2)?;
        match a.decrypt(&self.stale, &self.opened) {
            Err(Error::VersionBelowMinimum { version: 1, .. }) => {}
            Err(error) => return Err(DemoError::envelope("opening the stale copy")(error)),
            Ok(_) => return Err(DemoError::Claim("a stale copy no longer opens".to_owned())),
        }
        self.page
            .holds("min_decryption_version is 2: the stale copy no longer opens.")?;
        self.opens(a)?;
        self.page
            .holds("The rewrapped file does: the same bytes as the original.")?;
        fs::remove_file(&self.stale).map_err(DemoError::io("can't remove the stale copy"))?;
        self.draw(a, b, Some(&self.envelope))
    }

    /// Chapter 6.
    fn rotate_server(&self, a: &Service, b: &Service) -> Result<(), DemoError> {
        self.page.chapter(6, "The server's own KEK is rotated")?;
        let before = (self.site.snapshot()?, self.site.key_status(&self.operator)?);
        let began = Instant::now();
        self.site.write(&self.operator, "sys/rotate", &json!({}))?;
        let took = began.elapsed();
        let after = (self.site.snapshot()?, self.site.key_status(&self.operator)?);
        let changes = before.0.changes(&after.0);
        claim(after.1.term == before.1.term + 1 && changes.keyring, || {
            "a rotation makes a new term".to_owned()
        })?;
        let deks: usize = after.0.deks().values().sum();
        claim(
            changes.deks == deks && after.1.encryptions == deks as u64,
            || format!("every DEK is wrapped again: {} of {deks}", changes.deks),
        )?;
        claim(changes.touched == 0, || {
            format!("a rotation touches no record: it was {}", changes.touched)
        })?;
        self.page.holds(&format!(
            "Term {} to {} in {}: {} of {deks} DEKs re-wrapped, {} of {} records touched.",
            before.1.term,
            after.1.term,
            seconds(took),
            changes.deks,
            changes.touched,
            changes.records
        ))?;
        self.opens(a)?;
        self.page.holds("Service A opens the file as before.")?;
        self.draw(a, b, Some(&self.envelope))
    }

    /// Chapter 7.
    fn restart(mut self, keys: &Initialized, a: &Service, b: &Service) -> Result<(), DemoError> {
        self.page
            .chapter(7, "Sealed, restarted, unsealed with another three shares")?;
        self.site.write(&self.operator, "sys/seal", &json!({}))?;
        match a.decrypt(&self.envelope, &self.opened) {
            Err(Error::Service(ServiceError::Sealed)) => {}
            Err(error) => return Err(DemoError::envelope("opening while sealed")(error)),
            Ok(_) => return Err(DemoError::Claim("a sealed server opens nothing".to_owned())),
        }
        self.page.holds("Sealed: service A can't open the file.")?;
        self.site = self.site.restart()?;
        let status = self.site.seal_status()?;
        claim(status.sealed && status.progress == 0, || {
            "a restarted server is sealed".to_owned()
        })?;
        self.page.tree(&hierarchy::sealed(&status))?;
        let others = usize::try_from(SHARES - THRESHOLD).unwrap_or(0);
        unseal(self.page, &self.site, keys, others)?;
        self.opens(a)?;
        self.page
            .holds("Service A decrypts the file: the same bytes as the original.")?;
        self.original.check_untouched()?;
        self.draw(a, b, Some(&self.envelope))
    }

    /// Decrypts the envelope and compares it with the original.
    fn opens(&self, service: &Service) -> Result<(), DemoError> {
        service
            .decrypt(&self.envelope, &self.opened)
            .map_err(DemoError::envelope("decrypting"))?;
        let same = self.original.equals(&self.opened)?;
        claim(same, || format!("{} decrypts to the original", self.name))?;
        fs::remove_file(&self.opened).map_err(DemoError::io("can't remove the decrypted file"))
    }

    fn payload_hash(&self) -> Result<[u8; 32], DemoError> {
        payload_sha256(&self.envelope).map_err(DemoError::envelope("hashing the payload"))
    }

    fn len_of_envelope(&self) -> Result<u64, DemoError> {
        let metadata = fs::metadata(&self.envelope);
        Ok(metadata
            .map_err(DemoError::io("can't read the envelope"))?
            .len())
    }

    fn draw(&self, a: &Service, b: &Service, envelope: Option<&Path>) -> Result<(), DemoError> {
        let envelope = envelope.map(|path| Envelope {
            name: &self.name,
            path,
        });
        let tree = hierarchy::unsealed(&self.site, &self.operator, &[a, b], envelope.as_ref())?;
        self.page.tree(&tree)
    }
}

/// Somebody was refused, by policy and for no other reason.
fn denied<T>(tried: Result<T, Error>, who: &str) -> Result<(), DemoError> {
    match tried {
        Err(Error::Service(ServiceError::Denied)) => Ok(()),
        Err(error) => Err(DemoError::envelope("being refused")(error)),
        Ok(_) => Err(DemoError::Claim(format!("{who} can't open the file"))),
    }
}
