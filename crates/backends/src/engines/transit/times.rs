//! When the versions of a key were made: pages of 1,024 times of 8 bytes (seconds since 1970,
//! big-endian), at `times/<id>/<page>`.
//!
//! They are kept apart from the versions so that showing a key decrypts no key material and reads
//! one record for a thousand versions, and so that a rotation writes 8 kB at most.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use keyfold_core::barrier::View;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;

use super::key::Settings;

/// Below it one folder for each key id.
pub(super) const FOLDER: &str = "times/";
const PAGE: u32 = 1024;
const TIME: usize = size_of::<u64>();

/// Adds the time of the newest version to a batch that writes it.
pub(super) async fn put_latest(
    view: &View,
    settings: &Settings,
    now: Time,
    batch: Batch,
) -> Result<Batch, Error> {
    let (page, index) = place(settings.latest_version);
    let mut times = match index {
        0 => Vec::new(),
        _ => load(view, &settings.id, page, index).await?,
    };
    times.truncate(index * TIME);
    times.extend_from_slice(&now.secs().to_be_bytes());
    Ok(batch.put(page_key(&settings.id, page), times))
}

/// Adds the times of a key that was made elsewhere to a batch; those before the first are unknown
/// and stand as 0.
pub(super) fn put_all(settings: &Settings, first: u32, secs: &[u64], mut batch: Batch) -> Batch {
    let (page, index) = place(first);
    let mut rest = [&vec![0; index][..], secs].concat();
    let per_page = usize::try_from(PAGE).unwrap_or_default();
    for page in page.. {
        let after = rest.split_off(rest.len().min(per_page));
        let times: Vec<u8> = rest.iter().flat_map(|secs| secs.to_be_bytes()).collect();
        batch = batch.put(page_key(&settings.id, page), times);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    batch
}

/// The versions that decrypt, from one on, each with the second it was made in.
pub(super) async fn usable(
    view: &View,
    settings: &Settings,
    from: u32,
) -> Result<Vec<(u32, u64)>, Error> {
    let (from, to) = (settings.oldest().max(from), settings.latest_version);
    let mut found = Vec::new();
    for page in place(from).0..=place(to).0 {
        let first = page * PAGE + 1;
        let last = to.min(first.saturating_add(PAGE - 1));
        let count = usize::try_from(last - first + 1).unwrap_or_default();
        let times = load(view, &settings.id, page, count).await?;
        let (times, _) = times.as_chunks::<TIME>();
        let versions = (first..=last).zip(times.iter().map(|time| u64::from_be_bytes(*time)));
        found.extend(versions.filter(|(version, _)| *version >= from));
    }
    Ok(found)
}

/// The seconds in which some versions were made, as far as that is known: those before the first of a
/// key that was restored may have no page.
pub(super) async fn known(
    view: &View,
    id: &str,
    versions: RangeInclusive<u32>,
) -> Result<BTreeMap<u32, u64>, Error> {
    let mut known = BTreeMap::new();
    if versions.is_empty() {
        return Ok(known);
    }
    for page in place(*versions.start()).0..=place(*versions.end()).0 {
        let Some(stored) = view.get(&page_key(id, page)).await? else {
            continue;
        };
        let (times, _) = stored.value.expose().as_chunks::<TIME>();
        let first = page * PAGE + 1;
        let found = (first..=u32::MAX).zip(times.iter().map(|time| u64::from_be_bytes(*time)));
        known.extend(found.filter(|(version, _)| versions.contains(version)));
    }
    Ok(known)
}

/// The second that one version was made in.
pub(super) async fn made(view: &View, settings: &Settings, version: u32) -> Result<Time, Error> {
    let (page, index) = place(version);
    let times = load(view, &settings.id, page, index + 1).await?;
    let (times, _) = times.as_chunks::<TIME>();
    let secs = times.get(index).map(|time| u64::from_be_bytes(*time));
    let secs = secs.ok_or_else(|| Error::corrupt(page_key(&settings.id, page)))?;
    Ok(Time(secs.saturating_mul(1_000_000_000)))
}

/// Reads a page that holds `count` times at least.
async fn load(view: &View, id: &str, page: u32, count: usize) -> Result<Vec<u8>, Error> {
    let key = page_key(id, page);
    let stored = view.get(&key).await?;
    let times = stored.filter(|stored| stored.value.expose().len() >= count * TIME);
    Ok(times.ok_or_else(|| Error::corrupt(key))?.value.into_inner())
}

/// The page of a version and its index there.
fn place(version: u32) -> (u32, usize) {
    let index = version.saturating_sub(1);
    (
        index / PAGE,
        usize::try_from(index % PAGE).unwrap_or_default(),
    )
}

fn page_key(id: &str, page: u32) -> String {
    format!("{FOLDER}{id}/{page}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (version, at) in [
            (1, (0, 0)),
            (1024, (0, 1023)),
            (1025, (1, 0)),
            (3000, (2, 951)),
        ] {
            assert_eq!(place(version), at);
        }
    }
}
