//! The keys that tokens are verified with: those of the configuration, or those that an issuer
//! publishes, fetched and kept.
//!
//! An issuer changes its keys without telling. So a token that no known key has signed makes us look
//! again, but not more often than every ten seconds: strangers must not make us a burden for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keyfold_core::barrier::View;
use keyfold_core::clock::{Clock, Time};
use keyfold_core::error::Error;
use keyfold_core::ports::fetch::{Fetch, FetchError};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::config::{self, Config};
use super::jwks::{self, Key};

/// How long fetched keys are taken as they are.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long they are still good while the issuer can't be reached.
const STALE: Duration = Duration::from_secs(60 * 60);
/// How long nobody is asked after somebody was.
const PAUSE: Duration = Duration::from_secs(10);

/// Where keys come from.
pub(super) enum Source {
    /// The configuration itself.
    Static(Vec<Key>),
    /// A set at an address.
    Jwks {
        url: String,
        authorities: Option<String>,
    },
    /// An issuer that says where its set is.
    Discovery {
        url: String,
        authorities: Option<String>,
    },
}

/// A configuration and its keys.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) keys: Vec<Key>,
    source: Source,
    fetched: Time,
    tried: Time,
}

/// The keys of a mount.
pub(super) struct Keys {
    view: View,
    clock: Arc<dyn Clock>,
    fetch: &'static dyn Fetch,
    loaded: ArcSwapOption<Loaded>,
    /// Grows when what is loaded has to be forgotten.
    generation: AtomicU64,
    failing: AtomicBool,
    /// When the issuer did not answer, nanoseconds since 1970; zero: it did.
    refused: AtomicU64,
    /// Held by whoever loads.
    loading: Mutex<()>,
}

impl Keys {
    /// Nothing is loaded yet.
    pub(super) fn new(view: View, fetch: &'static dyn Fetch, clock: Arc<dyn Clock>) -> Self {
        Self {
            view,
            clock,
            fetch,
            loaded: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            loading: Mutex::new(()),
        }
    }

    /// The configuration changed.
    pub(super) fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.loaded.store(None);
        self.failing.store(false, Ordering::Release);
        self.refused.store(0, Ordering::Release);
    }

    /// The issuer did not answer when it was asked last.
    pub(super) fn are_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// The configuration alone.
    pub(super) async fn config(&self) -> Result<Config, Error> {
        let stored = self.view.read::<Config>(config::KEY).await?;
        let missing = || Error::bad("could not load configuration");
        stored.map(|(config, _)| config).ok_or_else(missing)
    }

    /// The configuration and its keys as they are known.
    pub(super) async fn current(&self, now: Time) -> Result<Arc<Loaded>, Error> {
        if let Some(loaded) = self.loaded.load_full()
            && loaded.is_fresh(now)
        {
            return Ok(loaded);
        }
        self.load(now, None).await
    }

    /// The same, after the issuer was asked again: none of the keys seen had signed a token. Nothing
    /// where there is nobody to ask, or it was asked just now.
    pub(super) async fn renewed(
        &self,
        seen: &Loaded,
        now: Time,
    ) -> Result<Option<Arc<Loaded>>, Error> {
        if matches!(seen.source, Source::Static(_)) {
            return Ok(None);
        }
        let loaded = self.load(now, Some(seen.fetched)).await?;
        Ok((loaded.fetched > seen.fetched).then_some(loaded))
    }

    /// Loads what is not there, not fresh, or no newer than what was seen.
    async fn load(&self, now: Time, seen: Option<Time>) -> Result<Arc<Loaded>, Error> {
        let _loading = self.loading.lock().await;
        let known = self.loaded.load_full();
        if let Some(known) = &known {
            let newer = seen.is_none_or(|seen| known.fetched > seen);
            let asked = now.since(known.tried) < PAUSE && known.is_usable(now);
            if (newer && known.is_fresh(now)) || asked {
                return Ok(known.clone());
            }
        }
        let refused = Time(self.refused.load(Ordering::Acquire));
        if known.is_none() && now.since(refused) < PAUSE {
            return Err(unreachable_issuer());
        }
        let generation = self.generation.load(Ordering::Acquire);
        let config = self.config().await?;
        let source = config.source()?;
        let fetched = self.fetch(&source).await;
        // Those who wait behind this came before its end: they must not ask once more.
        let tried = self.clock.now();
        let (keys, fetched) = match (fetched, known) {
            (Ok(keys), _) => {
                self.failing.store(false, Ordering::Release);
                (keys, now)
            }
            (Err(error), Some(known)) if known.is_usable(now) => {
                self.failing.store(true, Ordering::Release);
                tracing::warn!(%error, "keys of an issuer of JWTs not renewed");
                (known.keys.clone(), known.fetched)
            }
            (Err(error), _) => {
                self.failing.store(true, Ordering::Release);
                self.refused.store(tried.0, Ordering::Release);
                tracing::warn!(%error, "no keys of an issuer of JWTs");
                return Err(unreachable_issuer());
            }
        };
        let loaded = Arc::new(Loaded {
            config,
            keys,
            source,
            fetched,
            tried,
        });
        self.loaded.store(Some(loaded.clone()));
        // Overtaken by a change of the configuration: good for this login, not for the next.
        if self.generation.load(Ordering::Acquire) != generation {
            self.loaded.store(None);
        }
        Ok(loaded)
    }

    /// The keys that a source gives now.
    pub(super) async fn fetch(&self, source: &Source) -> Result<Vec<Key>, FetchError> {
        let (url, authorities) = match source {
            Source::Static(keys) => return Ok(keys.clone()),
            Source::Jwks { url, authorities } => (url.clone(), authorities.as_deref()),
            Source::Discovery { url, authorities } => {
                let authorities = authorities.as_deref();
                (self.discover(url, authorities).await?, authorities)
            }
        };
        let document = self.fetch.fetch(&url, authorities).await?;
        let none = || FetchError::Unreachable("the document is no set of keys".to_owned());
        jwks::parse_set(&document).ok_or_else(none)
    }

    /// Where an issuer says that its keys are (OpenID Connect Discovery 1.0, section 4).
    async fn discover(&self, url: &str, authorities: Option<&str>) -> Result<String, FetchError> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let place = format!("{url}/.well-known/openid-configuration");
        let document = self.fetch.fetch(&place, authorities).await?;
        let wrong = |what: &str| FetchError::Unreachable(what.to_owned());
        let found = serde_json::from_slice::<Discovery>(&document);
        let found = found.map_err(|_| wrong("the document does not describe an issuer"))?;
        if found.issuer.trim_end_matches('/') != url {
            return Err(wrong("the document is that of another issuer"));
        }
        Ok(found.jwks_uri)
    }
}

/// Whoever logs in is not told more than that; the log is.
fn unreachable_issuer() -> Error {
    Error::bad("error validating token: the keys of its issuer can't be fetched")
}

impl Loaded {
    fn is_fresh(&self, now: Time) -> bool {
        matches!(self.source, Source::Static(_)) || now.since(self.fetched) < FRESH
    }

    fn is_usable(&self, now: Time) -> bool {
        matches!(self.source, Source::Static(_)) || now.since(self.fetched) < STALE
    }
}
