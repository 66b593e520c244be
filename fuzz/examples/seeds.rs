//! Writes the seeds that no editor can: `cargo run --example seeds` in `fuzz/`.

#[path = "../src/plain_service.rs"]
mod plain_service;

use std::fs;
use std::path::Path;

use keyfold_envelope::header::HEADER_LEN;
use keyfold_envelope::slot::{SLOT_COUNT, SLOT_LEN};
use keyfold_envelope::{Context, EncryptOptions, NoProgress, TransitKey, encrypt_stream};
use keyfold_keys::{Dek, Keyring, UnsealKey, Wraps};

use plain_service::PlainService;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = seeds.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    for (name, len) in [("empty", 0), ("short", 5), ("two-chunks", 16 * 1024 + 1)] {
        let (plain, mut file) = (vec![b'x'; len], Vec::new());
        let (locator, context) = ("transit/payments".parse()?, Context::new());
        let options = EncryptOptions::default();
        encrypt_stream(
            &[&TransitKey::new(&PlainService, &locator)],
            &context,
            &plain[..],
            &mut file,
            &options,
            &NoProgress,
        )?;
        write("file", name, &file)?;
        if name == "short" {
            write("header", "whole", &file[..HEADER_LEN])?;
            write(
                "header",
                "slots",
                &file[SLOT_LEN..SLOT_LEN * (SLOT_COUNT + 1)],
            )?;
            write("header", "cut", &file[..600])?;
        }
    }
    let keyring = Keyring::new("2026-01-01T00:00:00Z");
    write(
        "keys",
        "record",
        &Dek::generate().seal(1, "mount", "key", b"value"),
    )?;
    write(
        "keys",
        "wrapped-dek",
        keyring
            .active()
            .kek
            .wrap(&Dek::generate(), b"core/x")?
            .as_bytes(),
    )?;
    for (name, count, threshold) in [("three", 3, 3), ("two", 2, 2)] {
        let shares = UnsealKey::generate().split(count, threshold)?;
        let shares: Vec<u8> = shares
            .iter()
            .flat_map(|share| share.as_bytes())
            .copied()
            .collect();
        write("shares", name, &[&[count], &shares[..]].concat())?;
    }
    Ok(())
}
