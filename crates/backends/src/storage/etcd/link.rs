//! The way to one member of the cluster.

use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use keyfold_secret::Secret;
use prost::Message;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::super::failure::Failure;
use super::wire::{
    AUTHENTICATE, Authenticate, Authenticated, Call, KEEP_ALIVE, KeepAlive, KeptAlive, WATCH,
    Watch, WatchCreate, Watched,
};

/// Time for one try. What hangs for longer is asked of another member.
pub(super) const ATTEMPT: Duration = Duration::from_secs(3);
/// Members close the connection of whoever pings more often than every five seconds, or on one that
/// is idle.
const PING: Duration = Duration::from_secs(6);
/// Largest message that is taken: a page of entries, or what a group of commits touched.
const LARGEST: usize = 64 * 1024 * 1024;

/// Who asks: with a password, where the cluster wants one.
pub(super) struct User {
    pub name: String,
    pub password: Secret<String>,
}

/// See the module. Connects when it is first used, and again when it has to.
pub(super) struct Link {
    pub name: String,
    channel: Channel,
    /// What the member gave for the password.
    token: Mutex<Option<Secret<String>>>,
}

/// Why a member did not do what was asked.
#[derive(Debug)]
pub(super) struct Fault {
    pub code: Code,
    pub text: String,
    /// There was no way to the member.
    is_unsent: bool,
}

impl Link {
    pub fn new(endpoint: &Endpoint, name: String) -> Self {
        let endpoint = endpoint
            .clone()
            .connect_timeout(ATTEMPT)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(ATTEMPT);
        Self {
            name,
            channel: endpoint.connect_lazy(),
            token: Mutex::default(),
        }
    }

    /// Asks once. `ATTEMPT` is the caller's to watch.
    pub async fn call<C: Call>(&self, user: Option<&User>, call: C) -> Result<C::Answer, Fault> {
        let request = self.request(user, call).await?;
        let answered = self.unary(C::PATH, request).await;
        answered.inspect_err(|fault| self.forget_token(fault))
    }

    /// Keeps a lease; false where it is over.
    pub async fn keep_alive(&self, user: Option<&User>, id: i64) -> Result<bool, Fault> {
        let asked = stream::iter([KeepAlive { id }]);
        let request = self.request(user, asked).await?;
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(KEEP_ALIVE);
        let codec = ProstCodec::<KeepAlive, KeptAlive>::default();
        let answer = match grpc.streaming(request, path, codec).await {
            Ok(answers) => answers.into_inner().message().await,
            Err(status) => Err(status),
        };
        let answer = answer.map_err(Fault::from);
        let kept = answer.inspect_err(|fault| self.forget_token(fault))?;
        Ok(kept.is_some_and(|kept| kept.ttl > 0))
    }

    /// Watches a range. It ends when the member has lost the others.
    pub async fn watch(
        &self,
        user: Option<&User>,
        create: WatchCreate,
    ) -> Result<Streaming<Watched>, Fault> {
        let asked = Watch {
            create: Some(create),
        };
        // The request stays open, or the member takes the watch for over.
        let asked = stream::iter([asked]).chain(stream::pending());
        let mut request = self.request(user, asked).await?;
        let yes = MetadataValue::from_static("true");
        request.metadata_mut().insert("hasleader", yes);
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(WATCH);
        let codec = ProstCodec::<Watch, Watched>::default();
        let watched = grpc.streaming(request, path, codec).await;
        let watched = watched.map_err(Fault::from);
        Ok(watched
            .inspect_err(|fault| self.forget_token(fault))?
            .into_inner())
    }

    async fn request<T>(&self, user: Option<&User>, message: T) -> Result<Request<T>, Fault> {
        let mut request = Request::new(message);
        if let Some(user) = user {
            if !self.has_token() {
                self.log_in(user).await?;
            }
            self.with_token(|token| {
                // Without one where the cluster asks for no passwords.
                let token = token.as_ref().filter(|token| !token.expose().is_empty());
                let token: Option<MetadataValue<Ascii>> =
                    token.and_then(|token| token.expose().parse().ok());
                if let Some(mut token) = token {
                    token.set_sensitive(true);
                    request.metadata_mut().insert("token", token);
                }
            });
        }
        Ok(request)
    }

    async fn log_in(&self, user: &User) -> Result<(), Fault> {
        let asked = Request::new(Authenticate {
            name: user.name.clone(),
            password: user.password.expose().clone(),
        });
        let token = match self.unary(AUTHENTICATE, asked).await {
            Ok(Authenticated { token }) => token,
            Err(fault) if fault.text.contains("authentication is not enabled") => {
                tracing::warn!(
                    "etcd asks for no passwords: the one that is configured is not used"
                );
                String::new()
            }
            Err(fault) => return Err(fault),
        };
        self.with_token(|kept| *kept = Some(Secret::new(token)));
        Ok(())
    }

    async fn unary<Q, A>(&self, path: &'static str, request: Request<Q>) -> Result<A, Fault>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(path);
        let answer = grpc
            .unary(request, path, ProstCodec::<Q, A>::default())
            .await;
        Ok(answer?.into_inner())
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Fault> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST);
        let ready = grpc.ready().await;
        ready.map_err(|error| Fault::from(Status::from_error(Box::new(error))))?;
        Ok(grpc)
    }

    /// A token that the member does not take is no good: tokens end, and so do members.
    fn forget_token(&self, fault: &Fault) {
        if fault.is_stale() {
            self.with_token(|kept| *kept = None);
        }
    }

    fn has_token(&self) -> bool {
        self.with_token(|token| token.is_some())
    }

    fn with_token<T>(&self, f: impl FnOnce(&mut Option<Secret<String>>) -> T) -> T {
        f(&mut self.token.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Fault {
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            is_unsent: false,
        }
    }

    /// The member does not answer.
    pub fn silence() -> Self {
        Self::new(Code::DeadlineExceeded, "etcd does not answer")
    }

    /// Another try may succeed.
    pub fn is_passing(&self) -> bool {
        match self.code {
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::PermissionDenied
            | Code::OutOfRange
            | Code::AlreadyExists
            | Code::DataLoss
            | Code::Unauthenticated
            | Code::Unimplemented => self.is_stale(),
            Code::ResourceExhausted => self.text.contains("too many requests"),
            _ => true,
        }
    }

    /// What was asked was not done, and will not be.
    pub fn is_certain(&self) -> bool {
        self.is_unsent
            || self.is_stale()
            || !self.is_passing()
            || self.code == Code::ResourceExhausted
    }

    /// The token has ended, or users and roles were changed since it was made.
    fn is_stale(&self) -> bool {
        self.text.contains("invalid auth token")
            || self.text.contains("revision of auth store is old")
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let mut text = status.message().to_owned();
        let (mut cause, mut is_unsent) = (status.source(), false);
        while let Some(why) = cause {
            is_unsent |= why.is::<ConnectError>();
            let why_text = why.to_string();
            if !text.contains(&why_text) {
                text = format!("{text}: {why_text}");
            }
            cause = why.source();
        }
        // What the members say of themselves begins so.
        let text = text
            .strip_prefix("etcdserver: ")
            .unwrap_or(&text)
            .to_owned();
        Self {
            is_unsent,
            ..Self::new(status.code(), text)
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault.is_passing() {
            true => Self::Passing(fault.text),
            false => Self::Lasting(fault.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart() {
        for (code, text, passing, certain) in [
            (Code::Unavailable, "etcdserver: leader changed", true, false),
            (Code::Unavailable, "connection refused", true, false),
            (Code::DeadlineExceeded, "", true, false),
            (
                Code::InvalidArgument,
                "etcdserver: request is too large",
                false,
                true,
            ),
            (
                Code::Unauthenticated,
                "etcdserver: invalid auth token",
                true,
                true,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: revision of auth store is old",
                true,
                true,
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                false,
                true,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                false,
                true,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                true,
                true,
            ),
        ] {
            let fault = Fault::from(Status::new(code, text));
            assert_eq!(fault.is_passing(), passing, "{text}");
            assert_eq!(fault.is_certain(), certain, "{text}");
            assert!(!fault.text.starts_with("etcdserver"));
        }
    }
}
