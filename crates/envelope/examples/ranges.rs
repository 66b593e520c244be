//! Random reads of 4 KiB out of a large envelope, beside plain reads of the chunks they lie in:
//!
//! ```text
//! cargo run --release -p keyfold-envelope --example ranges -- FOLDER [GIB]
//! ```
//!
//! The folder takes an envelope of 16 GiB, or of as many as are given; it is removed at the end.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use keyfold_envelope::cobblestone::{CHUNK_LEN, SEALED_CHUNK_LEN};
use keyfold_envelope::header::HEADER_LEN;
use keyfold_envelope::{
    Context, EncryptOptions, Envelope, MemoryKeys, NoProgress, TransitKey, encrypt_file,
};
use keyfold_keys::rng;

type Anything<T> = Result<T, Box<dyn std::error::Error>>;

const READS: usize = 10_000;
const ROUNDS: usize = 5;
const LEN: usize = 4096;

fn main() -> Anything<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder")?);
    let gib: u64 = arguments.next().map_or(Ok(16), |gib| gib.parse())?;
    let path = folder.join(format!("ranges.{}.kf", std::process::id()));
    let measured = measure(&path, gib << 30);
    std::fs::remove_file(&path)?;
    let (mut plain, mut opened) = measured?;

    plain.sort_by(f64::total_cmp);
    opened.sort_by(f64::total_cmp);
    let median = |rounds: &[f64]| rounds.get(ROUNDS / 2).copied().ok_or("no round");
    let (plain, opened) = (median(&plain)?, median(&opened)?);
    let each = |seconds: f64| seconds * 1e6 / READS as f64;
    let mut out = std::io::stdout().lock();
    writeln!(out, "plain reads of the chunks: {:.2} µs each", each(plain))?;
    writeln!(
        out,
        "opened and authenticated:  {:.2} µs each",
        each(opened)
    )?;
    Ok(writeln!(out, "ratio: {:.2}", opened / plain)?)
}

/// Seconds of each round: plain reads, and those of the envelope.
fn measure(path: &std::path::Path, len: u64) -> Anything<(Vec<f64>, Vec<f64>)> {
    let keys = MemoryKeys::new();
    let context = Context::new();
    let sparse = path.with_extension("plain");
    File::create(&sparse)?.set_len(len)?;
    let options = EncryptOptions {
        workers: NonZeroUsize::new(2),
        ..EncryptOptions::default()
    };
    let locator = "transit/bench".parse()?;
    let made = encrypt_file(
        &[&TransitKey::new(&keys, &locator)],
        &context,
        &sparse,
        path,
        &options,
        &NoProgress,
    );
    std::fs::remove_file(&sparse)?;
    made?;

    let file = File::open(path)?;
    let mut envelope = Envelope::open(&[&keys], &context, File::open(path)?)?;
    let (mut plain, mut opened) = (Vec::new(), Vec::new());
    let (mut chunks, mut out) = (vec![0; 2 * SEALED_CHUNK_LEN], vec![0; LEN]);
    for _ in 0..ROUNDS {
        let places: Vec<u64> = (0..READS).map(|_| place(len)).collect();
        // Warm for both. What was encrypted is a hole.
        for at in &places {
            read_plain(&file, *at, &mut chunks)?;
            out.fill(0xFF);
            envelope.read_at(*at, &mut out)?;
            if out != [0; LEN] {
                return Err(format!("what is read at {at} differs from the source").into());
            }
        }
        let start = Instant::now();
        for at in &places {
            black_box(read_plain(&file, *at, &mut chunks)?);
        }
        plain.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        for at in &places {
            envelope.read_at(*at, &mut out)?;
            black_box(&out);
        }
        opened.push(start.elapsed().as_secs_f64());
    }
    Ok((plain, opened))
}

fn place(len: u64) -> u64 {
    u64::from_be_bytes(rng::bytes()) % (len - LEN as u64)
}

/// The sealed bytes of the chunks that a read at this place needs.
fn read_plain(file: &File, at: u64, chunks: &mut [u8]) -> Anything<usize> {
    let first = at / CHUNK_LEN as u64;
    let count = ((at + LEN as u64 - 1) / CHUNK_LEN as u64 - first + 1) as usize;
    let offset = HEADER_LEN as u64 + first * SEALED_CHUNK_LEN as u64;
    let place = chunks.get_mut(..count * SEALED_CHUNK_LEN);
    Ok(file.read_at(place.ok_or("a read spans two chunks at most")?, offset)?)
}
