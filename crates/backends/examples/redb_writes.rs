//! How many durable commits a second the embedded store makes, and what a sync costs here.
//!
//! `cargo run --release -p keyfold-backends --example redb_writes [DIRECTORY] [SECONDS]`

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyfold_backends::storage::Redb;
use keyfold_core::ports::storage::{Batch, Storage};

const VALUE: [u8; 256] = [7; 256];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().unwrap_or_else(|| ".".into());
    let seconds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let directory = tempfile::tempdir_in(parent)?;
    let mut out = std::io::stdout();

    let sync = sync_time(directory.path())?;
    writeln!(out, "fdatasync of 4 KiB: {} µs", sync.as_micros())?;

    let store = Arc::new(Redb::open(directory.path())?);
    for writers in [1, 32, 256] {
        let rate = write_rate(&store, writers, Duration::from_secs(seconds)).await?;
        writeln!(out, "{writers} writers: {rate} commits/s")?;
    }
    let started = Instant::now();
    const READS: u32 = 200_000;
    for n in 0..READS {
        store.get(&format!("w0/{}", n % 1000)).await?;
    }
    writeln!(
        out,
        "get: {} ns",
        started.elapsed().as_nanos() / u128::from(READS)
    )?;
    Ok(())
}

fn sync_time(directory: &Path) -> std::io::Result<Duration> {
    const ROUNDS: u32 = 300;
    let file = File::create(directory.join("sync"))?;
    file.write_all_at(&vec![1; 1 << 20], 0)?;
    file.sync_all()?;
    let started = Instant::now();
    for n in 0..ROUNDS {
        file.write_all_at(&[2; 4096], u64::from(n % 256) * 4096)?;
        file.sync_data()?;
    }
    Ok(started.elapsed() / ROUNDS)
}

async fn write_rate(
    store: &Arc<Redb>,
    writers: usize,
    time: Duration,
) -> Result<u64, Box<dyn Error>> {
    let (stop, commits) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let tasks: Vec<_> = (0..writers)
        .map(|id| {
            let (store, stop, commits) = (store.clone(), stop.clone(), commits.clone());
            tokio::spawn(async move {
                let mut n = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    store
                        .commit(Batch::new().put(format!("w{id}/{n}"), VALUE))
                        .await?;
                    commits.fetch_add(1, Ordering::Relaxed);
                    n += 1;
                }
                Ok::<_, keyfold_core::ports::storage::StorageError>(())
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
