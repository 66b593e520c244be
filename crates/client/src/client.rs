//! [`Client`]: one server, asked over one pool of connections.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Instant;

use keyfold_envelope::cache::Partition;
use keyfold_secret::Secret;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use crate::pace::Pace;
use crate::retry::Retry;
use crate::{
    Address, ClientConfig, ClientError, ConfigError, Method, Request, Response, server_name, tls,
};

/// The longest answer that is read, in bytes: twice the longest body a server takes by default.
const LONGEST_ANSWER: usize = 64 << 20;

/// Asks one server. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: Arc<Address>,
    retry: Retry,
    /// One redirect is followed.
    redirects: bool,
    pace: Option<Arc<Pace>>,
    /// Sent with requests whose answer is for somebody else.
    wrap_ttl: Option<HeaderValue>,
    partition: Partition,
}

impl Client {
    /// A client as `config` says. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: a bad address, an unreadable certificate.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let mut address = Address::parse(&config.address)?;
        let partition = partition(&config);
        let wrap_ttl = config.wrap_ttl.as_deref().filter(|text| !text.is_empty());
        let wrap_ttl = wrap_ttl.map(|text| header(text, "wrap TTL")).transpose()?;
        let mut builder = reqwest::Client::builder()
            // Not by way of a proxy that some variable names: on plain HTTP it would see the token.
            .no_proxy()
            .timeout(config.timeout)
            .redirect(Policy::none())
            .default_headers(headers(&config)?);
        if let Some(proxy) = &config.proxy {
            let http = proxy.starts_with("http://") || proxy.starts_with("https://");
            let proxy = reqwest::Proxy::all(proxy).ok().filter(|_| http);
            builder = builder.proxy(proxy.ok_or(ConfigError::Proxy)?);
        }
        if let Some(socket) = address.socket() {
            builder = builder.unix_socket(socket);
        }
        if let Some(name) = config
            .tls_server_name
            .as_deref()
            .filter(|_| address.is_tls())
        {
            (builder, address) = server_name::alias(builder, &address, name)?;
        }
        let http = tls::configure(builder, &config, &address)?
            .build()
            .map_err(|error| ConfigError::Tls {
                reason: innermost(&error),
            })?;
        Ok(Self {
            http,
            address: Arc::new(address),
            retry: Retry {
                most: config.max_retries,
                pause: config.retry_pause,
            },
            redirects: config.redirects,
            pace: config.rate_limit.map(|limit| Arc::new(Pace::new(limit))),
            wrap_ttl,
            partition,
        })
    }

    /// Who asks, for caches that several clients may share: server, token and namespace.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The server's address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Asks, and takes only a good answer. `body` is JSON.
    ///
    /// # Errors
    ///
    /// As [`Client::send`], and [`ClientError::Api`] for any status that is not 2xx.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Secret<Vec<u8>>>,
    ) -> Result<Response, ClientError> {
        let mut request = Request::new(method, path);
        if let Some(body) = body {
            request = request.with_body(body);
        }
        self.send(&request).await?.success()
    }

    /// Asks, and takes any complete answer, whatever its status. Answers that say "later" are
    /// repeated first; one redirect, to the active node, is followed.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`], [`ClientError::TooLong`], [`ClientError::Path`].
    pub async fn send(&self, request: &Request) -> Result<Response, ClientError> {
        let url = self.address.url(request)?;
        let mut attempt = 0;
        loop {
            let response = self.send_once(request, url.clone()).await?;
            let Some(pause) = self.retry.pause_after(&response, attempt) else {
                return Ok(response);
            };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, request: &Request, url: Url) -> Result<Response, ClientError> {
        let mut answer = self.exchange(request, url.clone()).await?;
        if let Some(target) = self.redirect(&answer, &url) {
            answer = self.exchange(request, target).await?;
        }
        self.collect(answer).await
    }

    async fn exchange(
        &self,
        request: &Request,
        url: Url,
    ) -> Result<reqwest::Response, ClientError> {
        if let Some(pace) = &self.pace {
            tokio::time::sleep(pace.turn(Instant::now())).await;
        }
        let mut builder = self.start(request.method(), url);
        let asked = request.wrap_ttl().map(HeaderValue::from_static);
        let ttl = self.wrap_ttl.clone().or(asked);
        if let Some(ttl) = ttl.filter(|_| !request.is_unwrapped()) {
            builder = builder.header("X-Vault-Wrap-TTL", ttl);
        }
        if let Some(body) = request.body() {
            let kind = match request.method() {
                Method::Patch => "application/merge-patch+json",
                _ => "application/json",
            };
            builder = builder
                .header(CONTENT_TYPE, HeaderValue::from_static(kind))
                .body(body.to_vec());
        }
        builder
            .send()
            .await
            .map_err(|error| self.unreachable(&error))
    }

    pub(crate) fn start(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.http.request(method.into(), url)
    }

    pub(crate) fn url(&self, request: &Request) -> Result<Url, ClientError> {
        self.address.url(request)
    }

    /// Where a standby node sends us. Never from TLS to plain HTTP: the token would go in clear.
    fn redirect(&self, answer: &reqwest::Response, from: &Url) -> Option<Url> {
        let moved = matches!(
            answer.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        if !moved || !self.redirects || self.address.socket().is_some() {
            return None;
        }
        let location = answer.headers().get(LOCATION)?.to_str().ok()?;
        let target = from.join(location).ok()?;
        let safe = target.scheme() == "https" || target.scheme() == from.scheme();
        (safe && target.has_host()).then_some(target)
    }

    pub(crate) async fn collect(
        &self,
        mut answer: reqwest::Response,
    ) -> Result<Response, ClientError> {
        let status = answer.status().as_u16();
        let announced = answer.content_length().unwrap_or(0);
        let capacity = usize::try_from(announced).unwrap_or(usize::MAX);
        let mut body = Secret::new(Vec::with_capacity(capacity.min(LONGEST_ANSWER)));
        loop {
            let chunk = answer.chunk().await;
            let Some(chunk) = chunk.map_err(|error| self.unreachable(&error))? else {
                return Ok(Response { status, body });
            };
            if body.expose().len() + chunk.len() > LONGEST_ANSWER {
                return Err(ClientError::TooLong {
                    limit: LONGEST_ANSWER,
                });
            }
            body.expose_mut().extend_from_slice(&chunk);
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let reason = if error.is_timeout() {
            "it took too long".to_owned()
        } else {
            innermost(error)
        };
        ClientError::Unreachable {
            address: self.address.to_string(),
            reason,
        }
    }
}

fn partition(config: &ClientConfig) -> Partition {
    let token = config.token.as_ref().map(|token| token.expose().as_str());
    let namespace = config.namespace.as_deref();
    let mut parts = vec![
        config.address.as_str(),
        namespace.unwrap_or_default(),
        token.unwrap_or_default(),
    ];
    for (name, value) in &config.headers {
        parts.extend([name.as_str(), value.as_str()]);
    }
    let parts: Vec<_> = parts.into_iter().map(str::as_bytes).collect();
    Partition::of(&parts)
}

fn headers(config: &ClientConfig) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static("x-vault-request"),
        HeaderValue::from_static("true"),
    );
    if let Some(token) = &config.token {
        let mut value = header(token.expose(), "token")?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static("x-vault-token"), value);
    }
    if let Some(namespace) = config.namespace.as_deref().filter(|text| !text.is_empty()) {
        headers.insert(
            HeaderName::from_static("x-vault-namespace"),
            header(namespace, "namespace")?,
        );
    }
    for (name, value) in &config.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let name = name.map_err(|_| ConfigError::Header {
            what: "header name",
        })?;
        headers.append(name, header(value, "header")?);
    }
    Ok(headers)
}

fn header(text: &str, what: &'static str) -> Result<HeaderValue, ConfigError> {
    HeaderValue::from_str(text).map_err(|_| ConfigError::Header { what })
}

/// The cause of all causes: `connection refused` says more than "error sending request", and holds
/// no URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(error) = cause {
        text = Some(error.to_string());
        cause = error.source();
    }
    text.unwrap_or_else(|| "the request could not be made".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Answers;
    use std::time::Duration;

    fn client(address: &str, token: Option<&str>) -> Client {
        Client::new(ClientConfig {
            address: address.to_owned(),
            token: token.map(|token| Secret::new(token.to_owned())),
            namespace: Some("team".to_owned()),
            retry_pause: Duration::ZERO,
            ..ClientConfig::default()
        })
        .unwrap()
    }

    #[test]
    fn another_token_is_another_identity() {
        let one = client("http://127.0.0.1:1", Some("one")).partition();
        assert!(one == client("http://127.0.0.1:1", Some("one")).partition());
        assert!(one != client("http://127.0.0.1:1", Some("two")).partition());
        assert!(one != client("http://127.0.0.1:1", None).partition());
        assert!(one != client("http://127.0.0.1:2", Some("one")).partition());
    }

    #[tokio::test]
    async fn a_request_carries_token_namespace_and_body() {
        let server = Answers::start(&[(200, r#"{"data":{"a":1}}"#)]);
        let client = client(&server.address(), Some("hvs.t"));
        let body = Secret::new(br#"{"x":1}"#.to_vec());
        let answer = client
            .request(Method::Post, "kv/a b", Some(body))
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json::<serde_json::Value>().unwrap()["data"]["a"], 1);
        let asked = server.asked().remove(0);
        assert!(asked.starts_with("POST /v1/kv/a%20b HTTP/1.1"), "{asked}");
        for line in [
            "x-vault-token: hvs.t",
            "x-vault-namespace: team",
            "x-vault-request: true",
            "content-type: application/json",
            r#"{"x":1}"#,
        ] {
            assert!(asked.contains(line), "{line} is not in {asked}");
        }
    }

    #[tokio::test]
    async fn transient_answers_are_repeated_and_others_are_not() {
        let server = Answers::start(&[(500, ""), (412, ""), (204, "")]);
        let answer = client(&server.address(), None)
            .send(&Request::read("x"))
            .await;
        assert_eq!(answer.unwrap().status, 204);
        assert_eq!(server.asked().len(), 3);

        let server = Answers::start(&[(501, ""), (204, "")]);
        let answer = client(&server.address(), None)
            .send(&Request::read("x"))
            .await;
        assert_eq!(answer.unwrap().status, 501);
        assert_eq!(server.asked().len(), 1);
    }

    #[tokio::test]
    async fn one_redirect_is_followed_with_the_body() {
        let active = Answers::start(&[(200, r#"{"here":true}"#)]);
        let location = format!("{}/v1/x", active.address());
        let standby = Answers::start(&[(307, &location)]);
        let request = Request::write("x", &serde_json::json!({"k": "v"})).unwrap();
        let answer = client(&standby.address(), Some("hvs.t"))
            .send(&request)
            .await;
        assert_eq!(answer.unwrap().status, 200);
        let asked = active.asked().remove(0);
        assert!(
            asked.starts_with("PUT /v1/x") && asked.contains(r#"{"k":"v"}"#),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn no_redirect_is_followed_where_none_is_wished() {
        let active = Answers::start(&[]);
        let location = format!("{}/v1/x", active.address());
        let standby = Answers::start(&[(307, &location)]);
        let client = Client::new(ClientConfig {
            address: standby.address(),
            redirects: false,
            ..ClientConfig::default()
        });
        let answer = client.unwrap().send(&Request::read("x")).await;
        assert_eq!(answer.unwrap().status, 307);
    }

    #[tokio::test]
    async fn a_proxy_is_asked_in_place_of_the_server() {
        let proxy = Answers::start(&[(200, "{}")]);
        let of = |proxy: &str| {
            Client::new(ClientConfig {
                address: "http://keys.invalid:8200".to_owned(),
                proxy: Some(proxy.to_owned()),
                ..ClientConfig::default()
            })
        };
        let answer = of(&proxy.address())
            .unwrap()
            .send(&Request::read("x"))
            .await;
        assert_eq!(answer.unwrap().status, 200);
        let asked = proxy.asked().remove(0);
        assert!(
            asked.starts_with("GET http://keys.invalid:8200/v1/x "),
            "{asked}"
        );
        for wrong in ["socks5://h:1", "h:1", "http://"] {
            assert!(
                matches!(of(wrong).err(), Some(ConfigError::Proxy)),
                "{wrong}"
            );
        }
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable_and_tells_no_url() {
        let address = Answers::start(&[]).close();
        let failed = client(&address, None)
            .send(&Request::read("secret/data/private"))
            .await;
        let Err(error @ ClientError::Unreachable { .. }) = failed else {
            panic!("a closed port answered");
        };
        let text = error.to_string();
        assert!(
            text.contains(&address) && !text.contains("private"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_broken_answer_is_no_answer() {
        let server = Answers::start_cut_short();
        let failed = client(&server.address(), None)
            .send(&Request::read("x"))
            .await;
        assert!(matches!(failed, Err(ClientError::Unreachable { .. })));
    }

    #[tokio::test]
    async fn a_unix_socket_is_an_address() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let server = Answers::start_unix(&path, &[(200, "{}")]);
        let address = format!("unix://{}", path.display());
        let answer = client(&address, None)
            .send(&Request::read("sys/health"))
            .await;
        assert_eq!(answer.unwrap().status, 200);
        assert!(server.asked().remove(0).starts_with("GET /v1/sys/health"));
    }

    #[test]
    fn a_token_with_a_line_break_is_refused_unquoted() {
        let refused = Client::new(ClientConfig {
            token: Some(Secret::new("hvs.\nx".to_owned())),
            address: "http://h".to_owned(),
            ..ClientConfig::default()
        });
        let Err(error) = refused else {
            panic!("it passed");
        };
        assert!(!error.to_string().contains("hvs"));
    }
}
