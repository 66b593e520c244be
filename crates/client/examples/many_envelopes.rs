//! Makes many envelopes quickly, for measurements: each with a DEK of its own, wrapped in batches by the
//! server that the environment names.
//!
//!   many_envelopes FOLDER COUNT BYTES MOUNT/NAME [sparse]
//!
//! Each has BYTES of plaintext, zeros. With `sparse` the payload is a hole of that length: headers, wraps and
//! commitments are real, and no chunk is, so that a petabyte fits a small disk. Lies in folders of 1,000.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for measurements"
)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use keyfold_client::{Client, ClientConfig, TransitKeys};
use keyfold_envelope::cobblestone::{CHUNK_LEN, PayloadKey, SALT_LEN, TAG_LEN, sealed_len};
use keyfold_envelope::header::{HEADER_LEN, Header, Prelude};
use keyfold_envelope::slot::{FLAG_AAD_BOUND, Slot, SlotTable, TYPE_TRANSIT, kek_id};
use keyfold_envelope::{Context, KeyService as _, Labels, Locator, WrappedDek};
use keyfold_secret::Protected;

/// Files of a folder.
const FOLDER: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count, bytes, key, rest @ ..] = &arguments[..] else {
        eprintln!("many_envelopes FOLDER COUNT BYTES MOUNT/NAME [sparse]");
        std::process::exit(2);
    };
    let client = Client::new(ClientConfig::from_env().unwrap()).unwrap();
    let maker = Maker {
        keys: TransitKeys::new(client).unwrap(),
        locator: key.parse().unwrap(),
        plaintext_len: bytes.parse().unwrap(),
        sparse: rest.iter().any(|word| word == "sparse"),
        random: File::open("/dev/urandom").unwrap(),
    };
    let count: usize = count.parse().unwrap();
    for first in (0..count).step_by(FOLDER) {
        let folder = PathBuf::from(folder).join(format!("{:06}", first / FOLDER));
        fs::create_dir_all(&folder).unwrap();
        maker.make(&folder, FOLDER.min(count - first));
    }
    println!("{count} envelopes");
}

struct Maker {
    keys: TransitKeys,
    locator: Locator,
    plaintext_len: u64,
    sparse: bool,
    random: File,
}

impl Maker {
    /// Some envelopes, whose DEKs are wrapped in one call or a few.
    fn make(&self, folder: &Path, count: usize) {
        let binds = self.keys.binds_aad();
        let preludes: Vec<Prelude> = (0..count)
            .map(|_| Prelude::new(self.noise(), &Context::new(), &Labels::default()).unwrap())
            .collect();
        let deks: Vec<_> = preludes
            .iter()
            .map(|prelude| {
                let dek = Protected::<32>::init_with(|dek| *dek = self.noise());
                (dek, binds.then(|| prelude.aad()))
            })
            .collect();
        let mut wraps = Vec::new();
        for call in deks.chunks(self.keys.batch()) {
            wraps.extend(self.keys.wrap_many(&self.locator, call).unwrap());
        }
        let made = preludes.into_iter().zip(&deks).zip(wraps);
        for (number, ((prelude, (dek, _)), wrap)) in made.enumerate() {
            let path = folder.join(format!("{number:03}.kf"));
            self.write(&path, prelude, dek, self.slot(wrap.unwrap(), binds));
        }
    }

    fn slot(&self, wrapped: WrappedDek, binds: bool) -> Slot {
        Slot {
            flags: if binds { FLAG_AAD_BOUND } else { 0 },
            version: wrapped.version,
            kek_id: kek_id(&self.keys.cluster_id().unwrap(), &self.locator),
            locator: Some(self.locator.clone()),
            ..Slot::new(TYPE_TRANSIT, wrapped.blob)
        }
    }

    fn write(&self, path: &Path, prelude: Prelude, dek: &Protected<32>, slot: Slot) {
        let salt: [u8; SALT_LEN] = self.noise();
        let key = PayloadKey::derive(dek, &salt, &prelude.payload_context());
        let header = Header {
            prelude,
            slots: SlotTable::with(vec![slot]).unwrap(),
            salt,
            commitment: *key.commitment(),
        };
        let file = File::create_new(path).unwrap();
        file.write_all_at(&header.encode(), 0).unwrap();
        let sealed = sealed_len(self.plaintext_len).unwrap();
        if self.sparse {
            file.set_len(HEADER_LEN as u64 + sealed).unwrap();
            return;
        }
        let plain = [0; CHUNK_LEN];
        let mut out = Vec::new();
        let mut left = usize::try_from(self.plaintext_len).unwrap();
        for chunk in 0.. {
            let len = left.min(CHUNK_LEN);
            let at = out.len();
            out.resize(at + len + TAG_LEN, 0);
            key.seal_chunk(chunk, &plain[..len], &mut out[at..])
                .unwrap();
            left -= len;
            if len < CHUNK_LEN {
                break;
            }
        }
        file.write_all_at(&out, HEADER_LEN as u64).unwrap();
    }

    fn noise<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        std::io::Read::read_exact(&mut &self.random, &mut bytes).unwrap();
        bytes
    }
}
