//! Work that devices do: gathered by version, handed out in portions.

use std::collections::BTreeMap;

use keyfold_core::error::Error;
use keyfold_core::managed::Usable;
use keyfold_core::mounts::MountRecord;
use keyfold_core::ports::managed::{Job, ManagedError};
use keyfold_secret::Secret;

use super::super::Transit;
use super::super::key::Settings;
use super::Kept;

/// Jobs that a device is given at once: it has seconds for them.
const PORTION: usize = 32;

/// A job for the managed key of a version.
pub(super) struct Ask<'s> {
    pub settings: &'s Settings,
    pub version: u32,
    pub job: Job,
}

/// The version, and the bytes that came of it; or the caller's mistake.
pub(super) type Went = Result<(u32, Secret<Vec<u8>>), Error>;

/// The jobs of one version, by the place of their results.
struct Share<'s> {
    kept: &'s Kept,
    version: u32,
    jobs: Vec<(usize, Job)>,
}

/// Does what is asked, and gives the results in the order of the asks. A device that is away ends the
/// whole.
pub(super) async fn run<'s>(
    transit: &Transit,
    mount: Option<&MountRecord>,
    asks: impl IntoIterator<Item = Result<Ask<'s>, Error>>,
) -> Result<Vec<Went>, Error> {
    let mut results: Vec<Went> = Vec::new();
    let mut shares: BTreeMap<(&str, u32), Share<'s>> = BTreeMap::new();
    for (place, ask) in asks.into_iter().enumerate() {
        let Ask {
            settings,
            version,
            job,
        } = match ask {
            Ok(ask) => ask,
            Err(error) => {
                results.push(Err(error));
                continue;
            }
        };
        results.push(Err(Error::Bug("a job without a result")));
        let kept = settings.managed.get(&version);
        let kept = kept.ok_or(Error::Bug("a version without its managed key"))?;
        let share = shares.entry((&settings.id, version)).or_insert(Share {
            kept,
            version,
            jobs: Vec::new(),
        });
        share.jobs.push((place, job));
    }
    for share in shares.into_values() {
        for (place, went) in share.run(transit, mount).await? {
            if let Some(result) = results.get_mut(place) {
                *result = went;
            }
        }
    }
    Ok(results)
}

impl Share<'_> {
    async fn run(
        self,
        transit: &Transit,
        mount: Option<&MountRecord>,
    ) -> Result<Vec<(usize, Went)>, Error> {
        let usable = match self.usable(transit, mount).await {
            Ok(usable) => usable,
            Err(Error::BadRequest(text)) => {
                let places = self.jobs.iter().map(|(place, _)| *place);
                return Ok(places
                    .map(|place| (place, Err(Error::bad(&*text))))
                    .collect());
            }
            Err(error) => return Err(error),
        };
        let mut done = Vec::with_capacity(self.jobs.len());
        let mut rest = self.jobs.into_iter();
        loop {
            let portion: Vec<_> = rest.by_ref().take(PORTION).collect();
            if portion.is_empty() {
                return Ok(done);
            }
            match portion_of(&usable, self.version, portion).await {
                Ok(portion) => done.extend(portion),
                Err(error) => {
                    if let Some(proof) = &self.kept.proof {
                        transit.proven.forget(proof);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The managed key, which is the one that the version was made with.
    async fn usable(
        &self,
        transit: &Transit,
        mount: Option<&MountRecord>,
    ) -> Result<Usable, Error> {
        let Kept { named, proof } = self.kept;
        let usable = transit.managed.again(mount, named).await?;
        if let Some(proof) = proof {
            let proven = transit.proven.check(&usable, proof).await;
            proven.map_err(|error| named.error(error))?;
        }
        Ok(usable)
    }
}

async fn portion_of(
    usable: &Usable,
    version: u32,
    portion: Vec<(usize, Job)>,
) -> Result<Vec<(usize, Went)>, Error> {
    let mut done = Vec::with_capacity(portion.len());
    let (mut places, mut jobs) = (Vec::new(), Vec::new());
    for (place, job) in portion {
        let what = job.what();
        match usable.key.allows(what) {
            true => {
                places.push(place);
                jobs.push(job);
            }
            false => {
                let text = format!("it is not meant to {}", what.name());
                let error = usable.named.error(ManagedError::Refused(text));
                done.push((place, Err(error)));
            }
        }
    }
    if jobs.is_empty() {
        return Ok(done);
    }
    match usable.key.run(jobs).await {
        Ok(results) => {
            let results = results.into_iter().map(|result| match result {
                Ok(bytes) => Ok((version, bytes)),
                Err(error) => Err(usable.named.error(error)),
            });
            done.extend(places.into_iter().zip(results));
        }
        Err(ManagedError::Away(text)) => {
            return Err(usable.named.error(ManagedError::Away(text)));
        }
        // Such as a PIN that is wrong: nobody's turn but theirs who configured it, for each item.
        Err(error) => {
            let refused = |place| (place, Err(usable.named.error(error.clone())));
            done.extend(places.into_iter().map(refused));
        }
    }
    Ok(done)
}
