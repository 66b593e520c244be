//! A name of the configuration, and the seals that stand behind it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use keyfold_keys::{RootKey, Share};

use super::health::{Condition, Health};
use super::quorum::Membership;
use super::wrap::{Fresh, Given, SealWrap};
use crate::clock::Clock;
use crate::error::Error;
use crate::ports::seal::{Blob, Seal, SealError, SealSetup};

/// How long a seal is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// A seal by its name. Under one name there may be a disabled one too, which opens what it wrapped
/// before its successor came.
pub(crate) struct Slot {
    pub name: String,
    pub kind: &'static str,
    pub priority: u32,
    current: Option<Arc<dyn Seal>>,
    disabled: Option<Arc<dyn Seal>>,
    health: Health,
    clock: Arc<dyn Clock>,
}

/// What an examination of a stored wrap showed.
pub(super) enum Finding {
    /// The seal opens it, under its newest key.
    Good(Given),
    /// It opens, but by an older key or by the disabled seal: it wants to be made anew.
    Old(Given),
    /// The seal works, and the wrap is none of its, or there is none: it wants to be made anew.
    None,
    /// The seal does not work now.
    Unknown,
}

impl Slot {
    /// What is configured, in the order in which it is asked.
    pub(super) fn all(
        setups: Vec<SealSetup>,
        old: &[Arc<Self>],
        clock: &Arc<dyn Clock>,
    ) -> Vec<Arc<Self>> {
        let mut slots: Vec<Self> = Vec::with_capacity(setups.len());
        for setup in setups {
            let (current, disabled) = match setup.disabled {
                false => (Some(setup.seal), None),
                true => (None, Some(setup.seal)),
            };
            if let Some(known) = slots.iter_mut().find(|slot| slot.name == setup.name) {
                if current.is_some() {
                    (known.kind, known.priority) = (setup.kind, setup.priority);
                }
                known.current = current.or(known.current.take());
                known.disabled = disabled.or(known.disabled.take());
                continue;
            }
            let before = old.iter().find(|slot| slot.name == setup.name);
            slots.push(Self {
                name: setup.name,
                kind: setup.kind,
                priority: setup.priority,
                current,
                disabled,
                health: Health::of(before.map_or(Condition::Unknown, |slot| slot.health.read())),
                clock: clock.clone(),
            });
        }
        slots.sort_by_key(|slot| (!slot.is_active(), slot.priority));
        slots.into_iter().map(Arc::new).collect()
    }

    /// It is to open the store from now on.
    pub(crate) fn is_active(&self) -> bool {
        self.current.is_some()
    }

    /// Whether it works.
    pub(crate) fn condition(&self) -> Condition {
        self.health.read()
    }

    /// What its wrap holds: the root key, or a part.
    pub(super) async fn open(&self, wrap: &SealWrap) -> Result<Given, SealError> {
        let revealed = self.attempt(wrap).await;
        self.noted(revealed).map(|(given, _)| given)
    }

    /// Wraps a part, and proves that it comes back.
    pub(super) async fn wrap_part(
        &self,
        part: &Share,
        of: Membership,
    ) -> Result<SealWrap, SealError> {
        let Some(seal) = &self.current else {
            return Err(SealError::Refused("the seal is disabled".into()));
        };
        let blob = self.noted(there_and_back(&**seal, part).await)?;
        Ok(SealWrap::of_part(self.kind, &blob, of, self.clock.now()))
    }

    /// Wraps a root key, and proves that it opens again.
    pub(super) async fn wrap(&self, root: &RootKey) -> Result<Result<SealWrap, SealError>, Error> {
        let fresh = Fresh::new()?;
        let Some(seal) = &self.current else {
            return Ok(Err(SealError::Refused("the seal is disabled".into())));
        };
        match self.noted(there_and_back(&**seal, &fresh.share).await) {
            Ok(blob) => {
                let of = (self.kind, self.name.as_str());
                fresh.wrap(of, &blob, root, self.clock.now()).map(Ok)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Looks whether the seal works, where there is nothing for it to wrap.
    pub(super) async fn try_out(&self) -> Result<(), Error> {
        let fresh = Fresh::new()?;
        if let Some(seal) = &self.current {
            let _known = self.noted(there_and_back(&**seal, &fresh.share).await);
        }
        Ok(())
    }

    /// Whether a stored wrap is one to rely on; shows on the way whether the seal works.
    pub(super) async fn examine(&self, wrap: Option<&SealWrap>) -> Finding {
        let Some(wrap) = wrap else {
            return Finding::None;
        };
        let went = match self.attempt(wrap).await {
            Ok((given, Revealed::ByDisabled)) => return Finding::Old(given),
            Ok((given, Revealed::ByCurrent(seal, share))) => {
                match there_and_back(&*seal, &share).await {
                    Ok(blob) if blob.key_id == wrap.key_id => Ok(Finding::Good(given)),
                    Ok(_) => Ok(Finding::Old(given)),
                    // It opens, which is what counts for the store.
                    Err(error) => Err((error, Finding::Good(given))),
                }
            }
            Err(error @ SealError::Foreign(_)) => Err((error, Finding::None)),
            Err(error) => Err((error, Finding::Unknown)),
        };
        match went {
            Ok(finding) => {
                let _news = self.noted(Ok(()));
                finding
            }
            Err((error, finding)) => {
                let _known = self.noted::<()>(Err(error));
                finding
            }
        }
    }

    async fn attempt(&self, wrap: &SealWrap) -> Result<(Given, Revealed), SealError> {
        let blob = wrap.blob()?;
        let mut why = None;
        if let Some(seal) = &self.current {
            match within(seal.unwrap(&blob)).await {
                Ok(share) => {
                    let given = wrap.open(&self.name, &share)?;
                    return Ok((given, Revealed::ByCurrent(seal.clone(), share)));
                }
                Err(error) => why = Some(error),
            }
        }
        if let Some(seal) = &self.disabled {
            match within(seal.unwrap(&blob)).await {
                Ok(share) => return Ok((wrap.open(&self.name, &share)?, Revealed::ByDisabled)),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.unwrap_or_else(|| SealError::Refused("no seal stands behind the name".into())))
    }

    /// Keeps how it went, and tells the log what is news.
    fn noted<T>(&self, went: Result<T, SealError>) -> Result<T, SealError> {
        match &went {
            Ok(_) => {
                if self.health.works() {
                    tracing::info!(seal = self.name, "the seal works again");
                }
            }
            Err(error) => {
                if self.health.fails(error.clone(), self.clock.now()) {
                    let class = error.class();
                    tracing::warn!(seal = self.name, class, %error, "the seal fails");
                }
            }
        }
        went
    }
}

/// Which seal of a slot opened it.
enum Revealed {
    ByCurrent(Arc<dyn Seal>, Share),
    ByDisabled,
}

/// Wraps a share and looks whether it comes back: what is stored has been opened once.
pub(super) async fn there_and_back(seal: &dyn Seal, share: &Share) -> Result<Blob, SealError> {
    let blob = within(seal.wrap(share)).await?;
    let again = within(seal.unwrap(&blob)).await?;
    if again.ct_eq(share) {
        Ok(blob)
    } else {
        Err(SealError::Refused(
            "what it wraps does not come back".into(),
        ))
    }
}

async fn within<T>(call: impl Future<Output = Result<T, SealError>>) -> Result<T, SealError> {
    let late = || SealError::Down(format!("no answer within {} seconds", PATIENCE.as_secs()));
    let ended = tokio::time::timeout(PATIENCE, call).await;
    ended.unwrap_or_else(|_| Err(late()))
}
