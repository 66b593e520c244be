//! The other server, over HTTP.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keyfold_core::ports::seal::{SealError, SettingError, Settings};
use keyfold_secret::Secret;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, StatusCode, Url};
use serde_json::Value;

use super::super::settings::{flag, needed, plain, secret, text};

/// How long an answer may take, and how long the connection for it.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read, bytes.
const LONGEST: usize = 64 * 1024;

/// A server and a token for it.
pub(super) struct Server {
    client: Client,
    base: Url,
    token: String,
    namespace: Option<HeaderValue>,
}

/// Status and body of an answer.
pub(super) struct Answer {
    status: StatusCode,
    body: Value,
}

impl Server {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingError> {
        let no_url = || SettingError::new("address", "has to begin with http:// or https://");
        let mut base = Url::parse(needed(settings, "address")?).map_err(|_| no_url())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(no_url());
        }
        let mut builder = Client::builder()
            // Not by way of a proxy that some variable names, nor to where an answer points: the
            // token goes to this server alone.
            .no_proxy()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT);
        if let Some(name) = text(settings, "tls_server_name") {
            let wrong = || SettingError::new("tls_server_name", "has to be a host name");
            let host = base.host_str().unwrap_or_default().to_owned();
            base.set_host(Some(name)).map_err(|_| wrong())?;
            builder = builder.dns_resolver(Arc::new(Elsewhere(host)));
        }
        let builder = tls(builder, settings, base.scheme() == "https")?;
        let client = builder.build().map_err(|_| {
            SettingError::new(
                "tls_client_cert",
                "and the other TLS settings make no client",
            )
        })?;
        let namespace = text(settings, "namespace").map(|namespace| {
            let value = HeaderValue::from_str(namespace);
            value.map_err(|_| SettingError::new("namespace", "can't be sent as a header"))
        });
        let token = needed(settings, "token")?.to_owned();
        // A file that is missing is told at the start, and is read again for each call.
        header("token", &token)?;
        Ok(Self {
            client,
            base,
            token,
            namespace: namespace.transpose()?,
        })
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, SealError> {
        let mut url = self.base.clone();
        url.set_path(&format!("/v1/{path}"));
        let refused = |error: SettingError| SealError::Refused(error.to_string());
        let mut headers = HeaderMap::new();
        headers.insert(
            "X-Vault-Token",
            header("token", &self.token).map_err(refused)?,
        );
        headers.insert("X-Vault-Request", HeaderValue::from_static("true"));
        if let Some(namespace) = &self.namespace {
            headers.insert("X-Vault-Namespace", namespace.clone());
        }
        let request = self
            .client
            .post(url)
            .headers(headers)
            .body(body.to_string());
        let mut answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let mut bytes = Secret::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            if bytes.expose().len() + chunk.len() > LONGEST {
                return Err(SealError::Refused(
                    "the other server's answer has no end".into(),
                ));
            }
            bytes.expose_mut().extend_from_slice(&chunk);
        }
        // What is no JSON says nothing, and the status says the rest.
        let body = serde_json::from_slice(bytes.expose()).unwrap_or_default();
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The body of a good answer.
    pub(super) fn granted(self) -> Result<Value, SealError> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let code = self.status.as_u16();
        Err(match code {
            403 => SealError::Refused(
                "the other server answers 403: the token is dead, or may not use the key".into(),
            ),
            404 => SealError::Refused(
                "the other server answers 404: it has no such key, mount or namespace".into(),
            ),
            400..=499 if code != 412 && code != 429 => {
                self.log();
                SealError::Refused(format!(
                    "the other server answers {code}: the log has its reason"
                ))
            }
            300..=399 => {
                SealError::Down(format!("the other server answers {code}: ask another node"))
            }
            503 => SealError::Down("the other server answers 503: it is sealed".into()),
            _ => SealError::Down(format!("the other server answers {code}")),
        })
    }

    /// The same for what was to be opened: a ciphertext that it does not take is not of its key.
    pub(super) fn opened(self) -> Result<Value, SealError> {
        match self.status {
            StatusCode::BAD_REQUEST => {
                self.log();
                Err(SealError::Foreign(
                    "the other server does not open the wrap: the log has its reason".into(),
                ))
            }
            _ => self.granted(),
        }
    }

    /// Its first error, cut: it is another server's text, and may name what only the log may.
    fn log(&self) {
        let errors = self.body.get("errors").and_then(Value::as_array);
        let first = errors.and_then(|errors| errors.first()?.as_str());
        let reason = plain(first.unwrap_or("no reason given"));
        tracing::info!(reason, "the server of a transit seal refuses");
    }
}

fn tls(
    builder: reqwest::ClientBuilder,
    settings: &Settings,
    used: bool,
) -> Result<reqwest::ClientBuilder, SettingError> {
    let mut builder = builder;
    let skip = flag(settings, "tls_skip_verify")?;
    let authorities = file(settings, "tls_ca_cert")?;
    let certificate = file(settings, "tls_client_cert")?;
    let key = file(settings, "tls_client_key")?;
    if !used || skip {
        // The system's certificates need not be there, nor be parsed.
        builder = builder
            .tls_certs_only([])
            .tls_danger_accept_invalid_certs(skip);
    } else if let Some(pem) = authorities {
        let found = Certificate::from_pem_bundle(pem.expose()).ok();
        let none = || SettingError::new("tls_ca_cert", "names a file without certificates");
        let found = found.filter(|found| !found.is_empty()).ok_or_else(none)?;
        builder = builder.tls_certs_only(found);
    }
    match (certificate, key) {
        (None, None) => Ok(builder),
        (Some(certificate), Some(mut pem)) => {
            pem.expose_mut().push(b'\n');
            pem.expose_mut().extend_from_slice(certificate.expose());
            let wrong = |_| SettingError::new("tls_client_cert", "and its key do not fit");
            Ok(builder.identity(Identity::from_pem(pem.expose()).map_err(wrong)?))
        }
        _ => Err(SettingError::new(
            "tls_client_cert",
            "and \"tls_client_key\" go together",
        )),
    }
}

fn file(settings: &Settings, name: &'static str) -> Result<Option<Secret<Vec<u8>>>, SettingError> {
    let read = |path: &str| {
        let bytes = std::fs::read(path);
        bytes
            .map(Secret::new)
            .map_err(|e| SettingError::unread(name, &e))
    };
    text(settings, name).map(read).transpose()
}

/// A token as it is sent; white space around that of a file does not count.
fn header(name: &'static str, token: &str) -> Result<HeaderValue, SettingError> {
    let found = secret(name, token)?;
    let value = HeaderValue::from_bytes(found.bytes.expose().trim_ascii());
    let mut value = value.map_err(|_| SettingError::new(name, "can't be sent as a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Finds the server under another name than its certificate has.
struct Elsewhere(String);

impl Resolve for Elsewhere {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.trim_matches(['[', ']']).to_owned();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The last cause says most: a refused connection, an unknown authority. As it may name hosts, it
/// stands in the log, and its kind in the error.
fn unreachable(error: &reqwest::Error) -> SealError {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    tracing::info!(%cause, "the server of a transit seal can't be reached");
    let kind = cause.downcast_ref().map(io::Error::kind);
    let why = match kind {
        _ if error.is_timeout() => "it takes too long".to_owned(),
        None | Some(ErrorKind::InvalidData | ErrorKind::Other) => {
            "TLS or HTTP fails, and the log says why".to_owned()
        }
        Some(kind) => kind.to_string(),
    };
    SealError::Down(format!("the other server can't be reached: {why}"))
}
