//! Listeners as used.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use rustls::CipherSuite;

use super::forwarded::Forwarded;
use super::place::{ConfigError, Placed};
use super::raw::{CLOSED_GENERATE_ROOT, CLOSED_REKEY, REQUEST_HEADER, RawHeader, RawListener};
use super::suites;

/// A place to listen.
pub enum Listener {
    /// `listener "tcp"`.
    Tcp(Tcp),
    /// `listener "unix"`.
    Unix(Unix),
}

/// A TCP address.
pub struct Tcp {
    /// `host:port`; `:port` means every address of the machine.
    pub address: String,
    /// Without, HTTP is plain.
    pub tls: Option<Tls>,
    /// What is taken from a client.
    pub limits: Limits,
    /// Proxies that name their clients.
    pub forwarded: Option<Forwarded>,
    /// Additional response headers.
    pub headers: Vec<ExtraHeader>,
}

/// A socket in the file system.
pub struct Unix {
    /// Where.
    pub path: PathBuf,
    /// Its permissions; else what the process's umask leaves.
    pub mode: Option<u32>,
    /// Its owner, by name or number.
    pub user: Option<String>,
    /// Its group, by name or number.
    pub group: Option<String>,
    /// What is taken from a client.
    pub limits: Limits,
    /// Additional response headers.
    pub headers: Vec<ExtraHeader>,
}

/// Files and rules for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM: the certificate, then those that lead to its root.
    pub cert_file: PathBuf,
    /// PEM: its private key.
    pub key_file: PathBuf,
    /// The oldest version that is spoken.
    pub min: TlsVersion,
    /// The newest.
    pub max: TlsVersion,
    /// The suites of TLS 1.2 that are spoken.
    pub suites: Vec<CipherSuite>,
    /// PEM: who may have signed the certificates of clients.
    pub client_ca_file: Option<PathBuf>,
    /// A client without a certificate is refused.
    pub client_cert_required: bool,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

/// What is taken from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest body, bytes.
    pub body: usize,
    /// Strings in a JSON body; 0 for any number.
    pub json_strings: usize,
    /// How long a body may take to come in.
    pub read_timeout: Duration,
    /// How long a connection may do nothing; an unfinished head of a request is nothing.
    pub idle_timeout: Duration,
    /// A request has to have `X-Vault-Request: true`.
    pub request_header: bool,
    /// `sys/metrics` is answered without a token.
    pub open_metrics: bool,
    /// New shares are asked for with a token only.
    pub closed_rekey: bool,
    /// A new root token too.
    pub closed_generate_root: bool,
}

impl Limits {
    /// Whether a path that needs no token is not answered here.
    pub fn close(&self, path: &str) -> bool {
        let Some(below) = path.strip_prefix("sys/") else {
            return false;
        };
        match below.split_once('/') {
            Some(("rekey", call)) => self.closed_rekey && !call.ends_with("backup"),
            Some(("rekey-recovery-key", _)) => self.closed_rekey,
            Some(("generate-root", _)) => self.closed_generate_root,
            _ => false,
        }
    }
}

/// A header for the answers of one status, or one class of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHeader {
    /// Which answers.
    pub on: Statuses,
    /// The header.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

/// Answers by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statuses {
    /// All.
    All,
    /// `2xx`: those whose status divided by 100 is this.
    Class(u16),
    /// Just this.
    One(u16),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 32 * 1024 * 1024,
            // A batch of items with their references has many strings; the body's bound is what
            // protects memory.
            json_strings: 100_000,
            read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            request_header: false,
            open_metrics: false,
            closed_rekey: false,
            closed_generate_root: false,
        }
    }
}

impl Tcp {
    /// Plain HTTP with the default limits.
    pub fn plain(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            tls: None,
            limits: Limits::default(),
            forwarded: None,
            headers: Vec::new(),
        }
    }
}

impl Tls {
    /// All suites of TLS 1.2 that there are.
    pub fn all_suites() -> Vec<CipherSuite> {
        suites::all()
    }
}

impl Statuses {
    /// Whether an answer with this status is meant.
    pub fn contain(self, status: u16) -> bool {
        match self {
            Self::All => true,
            Self::Class(class) => status / 100 == class,
            Self::One(one) => status == one,
        }
    }
}

/// Checks a block and fills in what is not written.
pub fn resolve(
    raw: Placed<RawListener>,
    warnings: &mut Vec<String>,
) -> Result<Listener, ConfigError> {
    let limits = limits(&raw.value)?;
    let headers = headers(&raw.value.headers)?;
    match raw.value.kind.as_str() {
        "tcp" => {
            refuse(
                &raw.value,
                "tcp",
                &["socket_mode", "socket_user", "socket_group"],
            )?;
            let address = text(&raw.value, "address").unwrap_or_else(|| "127.0.0.1:8200".into());
            let tls = tls(&raw, warnings)?;
            Ok(Listener::Tcp(Tcp {
                address: with_port(address),
                tls,
                limits,
                forwarded: raw.value.forwarded,
                headers,
            }))
        }
        "unix" => {
            let tls = ["tls_cert_file", "tls_key_file", "tls_client_ca_file"];
            refuse(&raw.value, "unix", &tls)?;
            if raw.value.forwarded.is_some() {
                return Err(raw.wrong(
                    "\"x_forwarded_for_authorized_addrs\" does not belong in listener \"unix\": \
                     who connects has no address",
                ));
            }
            let Some(path) = text(&raw.value, "address") else {
                return Err(raw.wrong("listener \"unix\" needs an \"address\": a path"));
            };
            let mode = raw.value.texts.get("socket_mode").map(mode).transpose()?;
            Ok(Listener::Unix(Unix {
                path: path.into(),
                mode,
                user: text(&raw.value, "socket_user").filter(|name| !name.is_empty()),
                group: text(&raw.value, "socket_group").filter(|name| !name.is_empty()),
                limits,
                headers,
            }))
        }
        kind => {
            let message = format!("unknown listener \"{kind}\": there are tcp and unix");
            Err(raw.wrong(message))
        }
    }
}

fn tls(raw: &Placed<RawListener>, warnings: &mut Vec<String>) -> Result<Option<Tls>, ConfigError> {
    let listener = &raw.value;
    if flag(listener, "tls_disable") {
        warnings.extend(idle(listener));
        return Ok(None);
    }
    let file = |key: &str| {
        text(listener, key).map(PathBuf::from).ok_or_else(|| {
            raw.wrong(format!(
                "listener \"tcp\" needs a \"{key}\", or tls_disable = true for plain HTTP"
            ))
        })
    };
    let (min, max) = (
        version(listener, "tls_min_version", warnings)?,
        version(listener, "tls_max_version", warnings)?,
    );
    let (min, max) = (
        min.unwrap_or(TlsVersion::Tls12),
        max.unwrap_or(TlsVersion::Tls13),
    );
    if min > max {
        return Err(raw.wrong("\"tls_min_version\" is above \"tls_max_version\""));
    }
    let disabled = flag(listener, "tls_disable_client_certs");
    let required = flag(listener, "tls_require_and_verify_client_cert");
    let client_ca_file = text(listener, "tls_client_ca_file").filter(|file| !file.is_empty());
    if disabled && (required || client_ca_file.is_some()) {
        return Err(raw.wrong(
            "\"tls_disable_client_certs\" contradicts the settings that ask for client certificates",
        ));
    }
    if required && client_ca_file.is_none() {
        return Err(
            raw.wrong("\"tls_require_and_verify_client_cert\" needs a \"tls_client_ca_file\"")
        );
    }
    let suites = suites::resolve(listener.tls_cipher_suites.as_ref())?;
    if let Some(named) = &listener.tls_cipher_suites {
        if suites.is_empty() && max == TlsVersion::Tls12 {
            return Err(named.wrong(
                "\"tls_cipher_suites\" names none of TLS 1.2, and \"tls_max_version\" allows nothing else",
            ));
        }
        if min == TlsVersion::Tls13 && !suites.is_empty() && !named.value.is_empty() {
            let why = "\"tls_min_version\" is tls13, whose suites are all spoken";
            warnings.push(named.remark(format!("\"tls_cipher_suites\" has no effect: {why}")));
        }
    }
    Ok(Some(Tls {
        cert_file: file("tls_cert_file")?,
        key_file: file("tls_key_file")?,
        min,
        max,
        suites,
        client_ca_file: client_ca_file.map(PathBuf::from),
        client_cert_required: required,
    }))
}

/// Remarks on settings that only TLS would heed.
fn idle(listener: &RawListener) -> Vec<String> {
    let why = |key: &str| format!("\"{key}\" has no effect: tls_disable is set");
    let mut remarks = Vec::new();
    for key in ["tls_min_version", "tls_max_version", "tls_client_ca_file"] {
        let given = listener.texts.get(key);
        remarks.extend(
            given
                .filter(|text| !text.value.is_empty())
                .map(|text| text.remark(why(key))),
        );
    }
    let suites = listener.tls_cipher_suites.as_ref();
    let suites = suites.filter(|suites| !suites.value.is_empty());
    remarks.extend(suites.map(|suites| suites.remark(why("tls_cipher_suites"))));
    let key = "tls_require_and_verify_client_cert";
    let required = listener.flags.get(key).filter(|flag| flag.value);
    remarks.extend(required.map(|flag| flag.remark(why(key))));
    remarks
}

fn version(
    listener: &RawListener,
    key: &'static str,
    warnings: &mut Vec<String>,
) -> Result<Option<TlsVersion>, ConfigError> {
    let Some(text) = listener.texts.get(key) else {
        return Ok(None);
    };
    match text.value.as_str() {
        "" => Ok(None),
        "tls12" => Ok(Some(TlsVersion::Tls12)),
        "tls13" => Ok(Some(TlsVersion::Tls13)),
        "tls10" | "tls11" if key == "tls_min_version" => {
            warnings.push(text.remark("TLS before 1.2 is not spoken; taken as tls12"));
            Ok(Some(TlsVersion::Tls12))
        }
        _ => Err(text.wrong(format!("\"{key}\" has to be tls12 or tls13"))),
    }
}

fn limits(raw: &RawListener) -> Result<Limits, ConfigError> {
    let mut limits = Limits::default();
    if let Some(size) = &raw.max_request_size {
        if size.value == 0 {
            return Err(size.wrong("\"max_request_size\" has to be at least 1 byte"));
        }
        limits.body = size.value;
    }
    if let Some(strings) = &raw.max_request_json_strings {
        limits.json_strings = strings.value;
    }
    // As existing servers have it, 0 stands for the default, not for no time at all.
    for (given, limit) in [
        (&raw.http_read_timeout, &mut limits.read_timeout),
        (&raw.http_idle_timeout, &mut limits.idle_timeout),
    ] {
        if let Some(time) = given.as_ref().filter(|time| !time.value.is_zero()) {
            *limit = time.value;
        }
    }
    limits.open_metrics = raw.open_metrics;
    let is_set = |key| raw.flags.get(key).is_some_and(|flag| flag.value);
    limits.request_header = is_set(REQUEST_HEADER);
    limits.closed_rekey = is_set(CLOSED_REKEY);
    limits.closed_generate_root = is_set(CLOSED_GENERATE_ROOT);
    Ok(limits)
}

fn headers(raw: &[Placed<RawHeader>]) -> Result<Vec<ExtraHeader>, ConfigError> {
    raw.iter().map(header).collect()
}

fn header(raw: &Placed<RawHeader>) -> Result<ExtraHeader, ConfigError> {
    let RawHeader {
        status,
        name,
        values,
    } = &raw.value;
    let on = statuses(status).ok_or_else(|| {
        raw.wrong(format!(
            "\"{status}\" is no status: write default, 404 or 4xx"
        ))
    })?;
    if name.to_ascii_lowercase().starts_with("x-vault-") {
        return Err(raw.wrong("headers that begin with X-Vault- are the server's own"));
    }
    let header = name.parse::<HeaderName>();
    let value = HeaderValue::from_str(&values.join("; "));
    match (header, value) {
        (Ok(name), Ok(value)) => Ok(ExtraHeader { on, name, value }),
        _ => Err(raw.wrong(format!(
            "\"{name}\" is no header, or its value can't be one"
        ))),
    }
}

fn statuses(text: &str) -> Option<Statuses> {
    if text == "default" {
        return Some(Statuses::All);
    }
    if let Some(class) = text.strip_suffix("xx") {
        let class = class.parse().ok()?;
        return (1..=5).contains(&class).then_some(Statuses::Class(class));
    }
    let status = text.parse().ok()?;
    (100..=599)
        .contains(&status)
        .then_some(Statuses::One(status))
}

fn mode(text: &Placed<String>) -> Result<u32, ConfigError> {
    u32::from_str_radix(&text.value, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| text.wrong("\"socket_mode\" has to be permissions such as \"0660\""))
}

/// An address without a port gets the one that clients try first.
fn with_port(address: String) -> String {
    let bare_v6 = address.starts_with('[') && address.ends_with(']');
    if bare_v6 || !address.contains(':') {
        format!("{address}:8200")
    } else {
        address
    }
}

fn refuse(listener: &RawListener, kind: &str, keys: &[&str]) -> Result<(), ConfigError> {
    let foreign = keys
        .iter()
        .find_map(|key| Some((key, listener.texts.get(key)?)));
    foreign.map_or(Ok(()), |(key, text)| {
        Err(text.wrong(format!("\"{key}\" does not belong in listener \"{kind}\"")))
    })
}

fn text(listener: &RawListener, key: &str) -> Option<String> {
    listener.texts.get(key).map(|text| text.value.clone())
}

fn flag(listener: &RawListener, key: &str) -> bool {
    listener.flags.get(key).is_some_and(|flag| flag.value)
}
