//! Sockets and their accept loops.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, lookup_host};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::connection::{self, Phase, Protocol};
use super::service::Site;
use super::tls::{Terms, TlsError};
use super::unix;
use crate::config::Listener;

pub use super::connection::Phase as ServerPhase;

/// How long a client has for its part of the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the system has no more descriptors to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why it can't listen. The operator's mistake.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is no address, or is taken.
    #[error("can't listen on {address}: {source}")]
    Bind {
        /// As configured.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Where a server listens, with the port that it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp {
        /// Address and port.
        socket: SocketAddr,
        /// Whether it speaks TLS.
        tls: bool,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// A socket that is bound; clients may connect, but nobody answers yet.
pub struct Bound {
    socket: Socket,
    address: Address,
    tls: Option<Arc<Terms>>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Binds what is configured.
pub async fn bind(listener: &Listener) -> Result<Bound, ListenError> {
    match listener {
        Listener::Tcp(tcp) => {
            let terms = tcp.tls.clone().map(Terms::load).transpose()?.map(Arc::new);
            let failed = |source| ListenError::Bind {
                address: tcp.address.clone(),
                source,
            };
            let socket = bind_tcp(&tcp.address).await.map_err(failed)?;
            let local = socket.local_addr().map_err(failed)?;
            let address = Address::Tcp {
                socket: local,
                tls: terms.is_some(),
            };
            Ok(Bound {
                socket: Socket::Tcp(socket),
                address,
                tls: terms,
            })
        }
        Listener::Unix(settings) => {
            let address = settings.path.display().to_string();
            let socket = unix::bind(settings)
                .await
                .map_err(|source| ListenError::Bind { address, source })?;
            let address = Address::Unix(settings.path.clone());
            Ok(Bound {
                socket: Socket::Unix(socket),
                address,
                tls: None,
            })
        }
    }
}

impl Bound {
    /// Where.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its TLS side, where it has one.
    pub fn terms(&self) -> Option<Arc<Terms>> {
        self.tls.clone()
    }

    /// Answers clients until the server stops.
    pub async fn serve(self, site: Arc<Site>, mut phase: watch::Receiver<Phase>) {
        let is_over = phase.clone();
        let stop = async move {
            // An error means that the server is gone, which is the same.
            let _stopped = phase.wait_for(|phase| !phase.accepts()).await;
        };
        tokio::select! {
            biased;
            () = stop => {}
            () = self.accept(site, is_over) => {}
        }
    }

    async fn accept(self, site: Arc<Site>, phase: watch::Receiver<Phase>) {
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(listener) => listener.accept().await.map(|(stream, remote)| {
                    let (site, phase) = (Arc::clone(&site), phase.clone());
                    tokio::spawn(serve_tcp(stream, remote, self.tls.clone(), site, phase));
                }),
                Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                    let (site, phase) = (Arc::clone(&site), phase.clone());
                    tokio::spawn(connection::serve(
                        stream,
                        Protocol::Http1,
                        None,
                        site,
                        phase,
                    ));
                }),
            };
            if let Err(error) = accepted {
                tracing::warn!(address = %self.address, %error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { socket, tls: true } => write!(f, "https://{socket}"),
            Self::Tcp { socket, tls: false } => write!(f, "http://{socket}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

async fn serve_tcp(
    stream: TcpStream,
    remote: SocketAddr,
    terms: Option<Arc<Terms>>,
    site: Arc<Site>,
    phase: watch::Receiver<Phase>,
) {
    // Fails only on a connection that is gone already.
    let _gone = stream.set_nodelay(true);
    let Some(terms) = terms else {
        return connection::serve(stream, Protocol::Http1, Some(remote), site, phase).await;
    };
    let handshake = TlsAcceptor::from(terms.current()).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => {
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                _ => Protocol::Http1,
            };
            connection::serve(stream, protocol, Some(remote), site, phase).await;
        }
        Ok(Err(error)) => tracing::info!(%remote, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%remote, "TLS handshake took too long"),
    }
}

/// `:port` means all addresses, of both families where the machine has both.
async fn bind_tcp(address: &str) -> io::Result<TcpListener> {
    if let Some(port) = address.strip_prefix(':') {
        return match TcpListener::bind(format!("[::]:{port}")).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
        };
    }
    let addresses: Vec<SocketAddr> = lookup_host(address).await?.collect();
    TcpListener::bind(addresses.as_slice()).await
}
