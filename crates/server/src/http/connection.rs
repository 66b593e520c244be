//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, header};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::outgoing::{Telling, Written};
use super::service::{self, Site};
use super::unreadable::Unreadable;

/// How far the server is with stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// It serves on, so that whoever balances load sees in time that it goes: health is 503, and a
    /// connection ends with the answer that it gets next.
    Leaving,
    /// No new connections; each open one ends after the request that it is at.
    Draining,
    /// Whatever is still open is cut off.
    Stopped,
}

impl Phase {
    /// New connections are taken.
    pub fn accepts(self) -> bool {
        matches!(self, Self::Serving | Self::Leaving)
    }
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 and 1.0.
    Http1,
    /// HTTP/2, which TLS has agreed on.
    Http2,
}

/// Requests that began and ended. hyper has a timer for a head that does not come, but sets it up
/// anew for each request; this counts, and a look at it now and then is enough.
#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    /// The next answer is the last one.
    leaving: AtomicBool,
}

/// A request that has begun; it has ended when this is dropped.
struct Ended(Arc<Activity>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves a connection. How it ends is the client's affair.
pub async fn serve<I>(
    io: I,
    protocol: Protocol,
    remote: Option<SocketAddr>,
    site: Arc<Site>,
    phase: watch::Receiver<Phase>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    activity.note(*phase.borrow());
    let idle_timeout = site.limits.idle_timeout;
    let written = Written::new(protocol);
    let io = Telling::new(io, Arc::clone(&written));
    let service = service_fn({
        let activity = Arc::clone(&activity);
        move |request| {
            let (site, activity) = (Arc::clone(&site), Arc::clone(&activity));
            let written = Arc::clone(&written);
            async move {
                activity.begun.fetch_add(1, Ordering::Relaxed);
                let ended = Ended(activity);
                let mut answer = service::answer(&site, remote, request).await;
                if ended.0.is_leaving() && protocol == Protocol::Http1 {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(header::CONNECTION, close);
                }
                answer.body_mut().hold(ended);
                Ok::<_, Infallible>(answer.map(|body| body.on(&written)))
            }
        }
    });
    match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(Unreadable::new(io)), service);
            drive(
                pin!(connection),
                http1::Connection::graceful_shutdown,
                &activity,
                idle_timeout,
                phase,
            )
            .await;
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(256)
                .serve_connection(TokioIo::new(io), service);
            drive(
                pin!(connection),
                http2::Connection::graceful_shutdown,
                &activity,
                idle_timeout,
                phase,
            )
            .await;
        }
    }
}

/// Runs a connection until it ends, is idle for too long, or the server stops.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    graceful_shutdown: impl Fn(Pin<&mut C>),
    activity: &Activity,
    idle_timeout: Duration,
    mut phase: watch::Receiver<Phase>,
) {
    // A connection may have been accepted while the server began to stop: look at the phase first.
    phase.mark_changed();
    let mut look = pin!(tokio::time::sleep(idle_timeout));
    let mut seen = u64::MAX;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended early");
                }
                return;
            }
            changed = phase.changed() => {
                let now = *phase.borrow_and_update();
                if changed.is_err() || now == Phase::Stopped {
                    return;
                }
                activity.note(now);
                if now == Phase::Draining {
                    graceful_shutdown(connection.as_mut());
                    // One that never sent anything would wait for ever.
                    if activity.is_idle() && activity.begun() == 0 {
                        return;
                    }
                }
            }
            () = look.as_mut() => {
                if activity.is_idle() && activity.begun() == seen {
                    return;
                }
                seen = if activity.is_idle() { activity.begun() } else { u64::MAX };
                look.as_mut().reset(tokio::time::Instant::now() + idle_timeout);
            }
        }
    }
}

impl Activity {
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn note(&self, phase: Phase) {
        if phase != Phase::Serving {
            self.leaving.store(true, Ordering::Relaxed);
        }
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.begun() == self.ended.load(Ordering::Relaxed)
    }
}
