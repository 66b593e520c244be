//! [`Objects`]: the calls of a bucket, for threads that wait.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use keyfold_envelope::Error;
use keyfold_envelope::cobblestone::HEAD_LEN;
use keyfold_envelope::header::{HEADER_LEN, Header};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{ClientConfigKey, HttpError, HttpErrorKind};
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::{
    BackoffConfig, GetOptions, GetRange, GetResult, ObjectStore as _, ObjectStoreExt as _, PutMode,
    PutOptions, RetryConfig, UpdateVersion,
};
use tokio::runtime::{Builder, Runtime};

use super::address::Address;
use crate::OpenError;

/// What a busy or failing service is given, before an item fails: some seconds.
const RETRIES: usize = 5;
const RETRY_TIME: Duration = Duration::from_secs(45);
/// What one call may take: parts of an upload share a slow line.
const PATIENCE: &str = "120s";

/// A bucket that was opened. Nothing was asked of it yet.
pub(super) struct Objects {
    runtime: Runtime,
    pub(super) store: AmazonS3,
}

/// A header as it was read.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) header: Header,
    /// What the service calls this version of the object.
    pub(super) tag: UpdateVersion,
}

/// What a payload is, beside its bytes.
pub(super) struct Facts {
    len: u64,
    tag: Option<String>,
}

impl Facts {
    /// Bytes of it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of its chunks.
    pub(super) fn sealed_len(&self) -> u64 {
        self.len.saturating_sub(HEAD_LEN as u64)
    }
}

/// Where a page of a list begins.
pub(super) enum Begin {
    Start,
    /// Where the last page said.
    Token(String),
    /// Behind this key.
    After(String),
}

/// An object that is in the way of another one.
pub(super) struct Lying {
    pub(super) len: u64,
    /// When it was put there, by the service's clock: seconds since 1970.
    pub(super) since: u64,
    pub(super) tag: UpdateVersion,
}

impl Objects {
    /// Endpoint, region and credentials come from the variables `AWS_…`, or from the machine that it
    /// runs on.
    pub(super) fn open(address: &Address) -> Result<Self, OpenError> {
        let refused = |reason: String| OpenError::Address {
            place: "bucket",
            reason,
        };
        let builder = AmazonS3Builder::from_env();
        let endpoint = builder
            .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
            .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint))
            .unwrap_or_default();
        if authority(&endpoint).contains('@') {
            return Err(refused(
                "AWS_ENDPOINT_URL holds a name or a password, which errors would repeat".to_owned(),
            ));
        }
        let is_plain = endpoint.starts_with("http://");
        if is_plain && !is_local(&endpoint) {
            return Err(refused(
                "AWS_ENDPOINT_URL is not https, which is for this machine only".to_owned(),
            ));
        }
        let of_client = AmazonS3ConfigKey::Client;
        let store = builder
            .with_bucket_name(&address.bucket)
            .with_allow_http(is_plain)
            .with_config(
                of_client(ClientConfigKey::AllowInvalidCertificates),
                "false",
            )
            .with_config(of_client(ClientConfigKey::Timeout), PATIENCE)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(5),
                    base: 2.,
                },
                max_retries: RETRIES,
                retry_timeout: RETRY_TIME,
            })
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("keyfold-s3")
            .enable_all()
            .build()
            .map_err(OpenError::Thread)?;
        Ok(Self { runtime, store })
    }

    /// Waits for calls.
    pub(super) fn wait<T>(&self, calls: impl Future<Output = T>) -> T {
        self.runtime.block_on(calls)
    }

    /// Objects whose keys start so, some of them, and the token that gives the next ones.
    pub(super) async fn page(
        &self,
        prefix: &str,
        begin: Begin,
        size: usize,
    ) -> object_store::Result<(Vec<Path>, Option<String>)> {
        let (page_token, offset) = match begin {
            Begin::Start => (None, None),
            Begin::Token(token) => (Some(token), None),
            Begin::After(key) => (None, Some(key)),
        };
        let options = PaginatedListOptions {
            page_token,
            offset,
            max_keys: Some(size),
            ..PaginatedListOptions::default()
        };
        let page = self.store.list_paginated(Some(prefix), options).await?;
        let keys = page.result.objects.into_iter().map(|meta| meta.location);
        Ok((keys.collect(), page.page_token))
    }

    /// What lies under a key; `None` where nothing does.
    pub(super) async fn lying(&self, key: &Path) -> Result<Option<Lying>, Error> {
        match self.store.head(key).await {
            Ok(meta) => Ok(Some(Lying {
                len: meta.size,
                since: u64::try_from(meta.last_modified.timestamp()).unwrap_or_default(),
                tag: UpdateVersion {
                    e_tag: meta.e_tag,
                    version: meta.version,
                },
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// Reads a header.
    pub(super) async fn header(&self, key: &Path) -> Result<Version, Error> {
        let got = self.store.get(key).await.map_err(fault)?;
        if got.meta.size > HEADER_LEN as u64 {
            return Err(Error::HeaderDamaged("the object is longer than a header"));
        }
        let tag = UpdateVersion {
            e_tag: got.meta.e_tag.clone(),
            version: got.meta.version.clone(),
        };
        let bytes = got.bytes().await.map_err(fault)?;
        Ok(Version {
            header: Header::parse_prefix(&bytes)?,
            tag,
        })
    }

    /// Writes a header in the place of that version only, or where there is none yet.
    pub(super) async fn put_header(
        &self,
        key: &Path,
        header: [u8; HEADER_LEN],
        mode: PutMode,
    ) -> Result<UpdateVersion, Error> {
        self.put(key, Bytes::copy_from_slice(&header), mode).await
    }

    /// Writes an object in the place of that version only, or where there is none yet.
    pub(super) async fn put(
        &self,
        key: &Path,
        body: Bytes,
        mode: PutMode,
    ) -> Result<UpdateVersion, Error> {
        let put = self
            .store
            .put_opts(key, body.into(), PutOptions::from(mode));
        put.await.map(UpdateVersion::from).map_err(fault)
    }

    /// How a payload begins, and what it is.
    pub(super) async fn head(&self, key: &Path) -> Result<([u8; HEAD_LEN], Facts), Error> {
        let got = self.get(key, 0..HEAD_LEN as u64, None).await?;
        let facts = Facts {
            len: got.meta.size,
            tag: got.meta.e_tag.clone(),
        };
        let bytes = got.bytes().await.map_err(fault)?;
        let head = bytes[..].try_into().map_err(|_| Error::Truncated)?;
        Ok((head, facts))
    }

    /// Bytes of the payload that was looked at: all that are asked for.
    pub(super) async fn range(
        &self,
        key: &Path,
        range: Range<u64>,
        facts: &Facts,
    ) -> Result<Bytes, Error> {
        let wanted = range.end.saturating_sub(range.start);
        let got = self.get(key, range, facts.tag.clone()).await;
        let got = got.map_err(|error| match error {
            Error::SlotsChanged => Error::InputChanged,
            other => other,
        })?;
        let bytes = got.bytes().await.map_err(fault)?;
        match bytes.len() as u64 == wanted {
            true => Ok(bytes),
            false => Err(Error::Truncated),
        }
    }

    async fn get(
        &self,
        key: &Path,
        range: Range<u64>,
        if_match: Option<String>,
    ) -> Result<GetResult, Error> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match,
            ..GetOptions::default()
        };
        self.store.get_opts(key, options).await.map_err(fault)
    }
}

/// What a job makes of an error. Where nothing answers, the job ends.
pub(super) fn fault(error: object_store::Error) -> Error {
    use object_store::Error as Fault;
    let of_kind = |kind, text: String| Error::Io(io::Error::new(kind, text));
    match &error {
        Fault::Precondition { .. } | Fault::AlreadyExists { .. } => Error::SlotsChanged,
        Fault::NotFound { path, .. } => {
            of_kind(ErrorKind::NotFound, format!("there is no object {path}"))
        }
        Fault::PermissionDenied { .. } | Fault::Unauthenticated { .. } => {
            of_kind(ErrorKind::PermissionDenied, told(&error))
        }
        _ if is_away(&error) => Error::Unavailable(told(&error)),
        _ => of_kind(ErrorKind::Other, told(&error)),
    }
}

/// What went wrong, with its first cause, as a terminal may show it.
fn told(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    if let Some(first) = causes.last().map(ToString::to_string)
        && !text.contains(&first)
    {
        text = format!("{text}: {first}");
    }
    text.replace(char::is_control, " ")
}

/// True where no connection came up.
fn is_away(error: &object_store::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let http = next.downcast_ref::<HttpError>();
        if http.is_some_and(|http| http.kind() == HttpErrorKind::Connect) {
            return true;
        }
        cause = next.source();
    }
    false
}

/// What is between the scheme of a URL and its path.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// True for a URL of this machine.
fn is_local(url: &str) -> bool {
    let authority = authority(url);
    let host = match authority.strip_prefix('[') {
        Some(ip) => ip.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for url in [
            "http://localhost:9000",
            "http://127.0.0.1/",
            "http://[::1]:9000/x",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://s3.example",
            "http://localhost.example",
            "http://127.0.0.1@s3.example",
            "http://s3.example?127.0.0.1",
            "http://10.0.0.1",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }

    #[test]
    fn what_a_service_says_moves_no_cursor() {
        let error = fault(object_store::Error::Generic {
            store: "S3",
            source: "a\u{1b}[2J\nb".into(),
        });
        assert_eq!(error.to_string(), "Generic S3 error: a [2J b");
    }

    #[test]
    fn the_first_cause_is_told() {
        let cause = io::Error::new(ErrorKind::ConnectionRefused, "nobody listens");
        let error = fault(object_store::Error::Generic {
            store: "S3",
            source: Box::new(HttpError::new(HttpErrorKind::Connect, cause)),
        });
        assert!(matches!(error, Error::Unavailable(why) if why.contains("nobody listens")));
    }
}
