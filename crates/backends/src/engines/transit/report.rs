//! The keys of a mount, for those who have to account for them.

use keyfold_core::barrier::View;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::{ServiceKeyInfo, ServiceKeys};

use super::key::{POLICIES, Settings, policy_key};
use super::shred::Mark;
use super::{Transit, periods, times};

/// At most `limit` keys after a name.
pub(super) async fn page(
    transit: &Transit,
    after: &str,
    limit: usize,
) -> Result<ServiceKeys, Error> {
    let view = &transit.view;
    if limit == 0 {
        return Ok(ServiceKeys::default());
    }
    let page = view.list(POLICIES, after, limit).await?;
    let next = page.names.last().filter(|_| page.more).cloned();
    let mut keys = Vec::with_capacity(page.names.len());
    for name in page.names {
        // One that was deleted since is none.
        let Some((settings, _)) = view.read::<Settings>(&policy_key(&name)).await? else {
            continue;
        };
        let (version, oldest) = (settings.latest_version, settings.oldest());
        keys.push(ServiceKeyInfo {
            created: made(view, &settings, version).await?,
            oldest_created: made(view, &settings, oldest).await?,
            period: settings
                .next_rotation()
                .map(|_| settings.auto_rotate_period),
            next_rotation: settings.next_rotation(),
            periods: periods::of(view, &settings).await?,
            remarks: settings.shred.iter().map(Mark::remark).collect(),
            name,
            kind: match settings.is_managed() {
                true => settings.type_name().to_owned(),
                false => settings.kind.full_name().into_owned(),
            },
            version,
            oldest,
        });
    }
    Ok(ServiceKeys { keys, next })
}

/// Unknown where the key was deleted between two reads, or its times are damaged: it is told of all
/// the same.
async fn made(view: &View, settings: &Settings, version: u32) -> Result<Option<Time>, Error> {
    match times::made(view, settings, version).await {
        Ok(time) => Ok(Some(time)),
        Err(Error::Corrupt(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
