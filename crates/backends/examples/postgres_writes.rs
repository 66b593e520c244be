//! How many durable commits a second a store in PostgreSQL makes, and how long a read takes.
//!
//! `cargo run --release -p keyfold-backends --example postgres_writes URL [SECONDS]`
//!
//! To compare with what the database makes of the same by itself: `pgbench -n -f` with a transaction
//! that puts one row of 256 bytes, adds one to the table of changes and counts in the row about the
//! store.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyfold_backends::storage::Postgres;
use keyfold_backends::storage::postgres::Options;
use keyfold_core::ports::storage::{Batch, Storage, StorageError};

const VALUE: [u8; 256] = [7; 256];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("give the URL of a database")?;
    let seconds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let mut out = std::io::stdout();
    let options = Options::new(&url, "keyfold_writes", &|name| std::env::var(name).ok())?;
    let store = Arc::new(Postgres::open(options).await?);
    for writers in [1, 8, 32, 256] {
        let rate = write_rate(&store, writers, Duration::from_secs(seconds)).await?;
        writeln!(out, "{writers} writers: {rate} commits/s")?;
    }
    let started = Instant::now();
    const READS: u32 = 5000;
    for n in 0..READS {
        store.get(&format!("w0/{}", n % 1000)).await?;
    }
    writeln!(
        out,
        "get: {} µs",
        started.elapsed().as_micros() / u128::from(READS)
    )?;
    Ok(())
}

async fn write_rate(
    store: &Arc<Postgres>,
    writers: usize,
    time: Duration,
) -> Result<u64, Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let commits = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..writers)
        .map(|id| {
            let (store, stop, commits) = (store.clone(), stop.clone(), commits.clone());
            tokio::spawn(async move {
                let mut n = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let batch = Batch::new().put(format!("w{id}/{n}"), VALUE);
                    store.commit(batch).await?;
                    commits.fetch_add(1, Ordering::Relaxed);
                    n += 1;
                }
                Ok::<_, StorageError>(())
            })
        })
        .collect();
    let started = Instant::now();
    tokio::time::sleep(time).await;
    let rate = commits.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    Ok(rate as u64)
}
