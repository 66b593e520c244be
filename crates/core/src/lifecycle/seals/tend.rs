//! Opens the vault when a seal can, and watches the seals from then on.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::Error;
use crate::lifecycle::{Core, State};

/// How often seals that work are looked after.
const WATCH: Duration = Duration::from_secs(600);
/// The first pause after a failure; each next one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause while the vault waits for a seal: once that is back, it opens soon.
const LONGEST_SEALED: Duration = Duration::from_secs(8);
/// The longest pause while an open vault has a seal that fails: nobody waits for it.
const LONGEST_OPEN: Duration = Duration::from_secs(60);

impl Core {
    /// Begins to tend the seals: opens the vault by them, with pauses that grow while none of them
    /// can, and looks after them every ten minutes. It ends with the vault's last owner.
    pub fn tend(self: &Arc<Self>) {
        let wake = self.seals.wake.clone();
        tokio::spawn(tend(Arc::downgrade(self), wake));
    }

    /// Opens a sealed vault by a seal. False where that is not to be: it is open, has not begun,
    /// was sealed by somebody and people have not given their part since, or no seal has a wrap.
    pub async fn open_by_seals(self: &Arc<Self>) -> Result<bool, Error> {
        if self.seals.slots().is_empty() {
            return Ok(false);
        }
        self.make_sure().await?;
        let sealed = match &*self.state() {
            State::Sealed(sealed) if sealed.is_to_open() => sealed.clone(),
            _ => return Ok(false),
        };
        if self.seals.wraps().seals.is_empty() {
            return Ok(false);
        }
        // Before the lock: sealing, and people with shares, need not wait for a network.
        let people = sealed.part();
        let fetched = self.seals.fetch(&*self.storage, people.as_ref()).await?;
        let _changing = self.changing.lock().await;
        match &*self.state() {
            State::Sealed(now) if Arc::ptr_eq(now, &sealed) => {}
            _ => return Ok(false),
        }
        let by = fetched.by.clone();
        self.enter_with(fetched).await?;
        tracing::info!(seals = by, "vault is unsealed by its seals");
        Ok(true)
    }
}

async fn tend(core: Weak<Core>, wake: Arc<Notify>) {
    let mut failures = 0;
    loop {
        let Some(open) = core.upgrade() else { return };
        let pause = turn(&open, &mut failures).await;
        // Nobody is kept alive for the time of a nap.
        drop(open);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = wake.notified() => failures = 0,
        }
    }
}

/// Does what there is to do; how long until the next time.
async fn turn(core: &Arc<Core>, failures: &mut u32) -> Duration {
    if core.is_sealed() {
        match core.open_by_seals().await {
            Ok(false) => return WATCH,
            Ok(true) => *failures = 0,
            Err(error) => {
                tracing::warn!(%error, "no seal opens the vault");
                return pause(failures, LONGEST_SEALED);
            }
        }
    }
    if core.seals.slots().is_empty() && core.seals.wraps().seals.is_empty() {
        return WATCH;
    }
    match core.settle().await {
        Ok(()) | Err(Error::Sealed) => {}
        Err(error) => tracing::warn!(%error, "the seals could not be looked after"),
    }
    let ailing = core
        .seals
        .in_use()
        .iter()
        .any(|slot| slot.condition().is_ailing());
    if ailing || core.seals.is_unsettled() {
        return pause(failures, LONGEST_OPEN);
    }
    *failures = 0;
    WATCH
}

fn pause(failures: &mut u32, longest: Duration) -> Duration {
    let pause = FIRST
        .saturating_mul(1_u32 << (*failures).min(10))
        .min(longest);
    *failures = failures.saturating_add(1);
    pause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut failures = 0;
        let pauses: Vec<_> = (0..6)
            .map(|_| pause(&mut failures, LONGEST_SEALED).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 8, 8]);
        failures = u32::MAX;
        assert_eq!(pause(&mut failures, LONGEST_OPEN), LONGEST_OPEN);
    }
}
