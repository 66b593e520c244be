//! How many small values a core seals and opens in a second of its time:
//!
//! ```text
//! cargo run --release -p keyfold-envelope --example values
//! ```

use std::hint::black_box;
use std::io::Write;

use keyfold_envelope::value::{OVERHEAD, Place, ValueError, ValueKey};
use keyfold_keys::rng;
use keyfold_secret::{Protected, Secret};

const VALUES: u32 = 1_000_000;
const LEN: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = ValueKey::new(1, &Protected::init_with(|dek| rng::fill(dek)));
    let plaintext = [b'a'; LEN];
    let mut sealed = Vec::with_capacity(VALUES as usize * (LEN + OVERHEAD));
    let mut value = Vec::new();

    let start = seconds()?;
    for row in 0..VALUES {
        key.seal_into(&place(&row.to_be_bytes()), &plaintext, &mut value)?;
        sealed.extend_from_slice(&value);
    }
    let one_by_one = seconds()? - start;

    let rows: Vec<[u8; 4]> = (0..VALUES).map(u32::to_be_bytes).collect();
    sealed.clear();
    let start = seconds()?;
    key.seal_each(
        rows.iter().map(|row| (place(row), &plaintext[..])),
        |value| {
            sealed.extend_from_slice(value);
            Ok::<_, ValueError>(())
        },
    )?;
    let at_once = seconds()? - start;

    let mut opened = Secret::new(Vec::new());
    let start = seconds()?;
    for (row, value) in (0..VALUES).zip(sealed.chunks_exact(LEN + OVERHEAD)) {
        key.open_into(&place(&row.to_be_bytes()), value, &mut opened)?;
        if black_box(opened.expose())[..] != plaintext {
            return Err(format!("what row {row} opens to differs from its plaintext").into());
        }
    }
    let opening = seconds()? - start;

    let mut out = std::io::stdout().lock();
    for (what, seconds) in [
        ("sealed one by one", one_by_one),
        ("sealed at once", at_once),
        ("opened", opening),
    ] {
        let rate = f64::from(VALUES) / seconds;
        writeln!(out, "{what}: {rate:.0} values of {LEN} bytes a second")?;
    }
    Ok(())
}

/// What this thread has had of a core: others that want it too do not count.
fn seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics.split(' ').next().unwrap_or_default();
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}

fn place(row: &[u8]) -> Place<'_> {
    Place {
        table: "customers",
        column: "iban",
        key: row,
    }
}
