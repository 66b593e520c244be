//! The file format of a story.
//!
//! ```toml
//! name = "a key that was rotated still opens what it sealed before"
//!
//! [server]                      # all optional
//! storage = "redb"              # or "inmem"
//! ready = true                  # initialised with one share and unsealed before the first step
//! config = "…"                  # HCL; ${dir} is the temporary folder
//! listener = "…"                # HCL lines for the listener's block
//!
//! [setup]                       # optional; made with the root token before the first step
//! mounts = { transit = "transit", secret = "kv-v2" }
//! policies = { app = 'path "transit/encrypt/k" { capabilities = ["update"] }' }
//! tokens = { app = { policies = ["app"] } }      # captured as `app`, its accessor as `app_accessor`
//!
//! [[step]]
//! id = "encrypt"
//! method = "PUT"
//! path = "/v1/transit/encrypt/k"
//! token = "root"                # a captured name, or "none"; root when left out
//! body = { plaintext = "${b64:hello}" }
//! status = 200
//! expect = { data = { ciphertext = "<starts:vault:v1:>" } }
//! absent = ["$.data.plaintext"]
//! capture = { c = "$.data.ciphertext" }
//! ```
//!
//! [`crate::scope`] says what `${…}` can hold, [`crate::pattern`] what `<…>` stands for. A step with `do` is no
//! request: see [`Action`].

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::server::Storage;

/// Why a file is no story.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// It cannot be read.
    #[error("{0}: {1}")]
    Unreadable(String, io::Error),
    /// It is not in the format.
    #[error("{0}: {1}")]
    Malformed(String, Box<toml::de::Error>),
}

/// One file: a server and what happens to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// One sentence: what this story shows.
    pub name: String,
    /// Says where Keyfold answers otherwise than the peer, and why; `docs/divergences.md` has a line for it.
    pub divergence: Option<String>,
    /// How the server is started.
    #[serde(default)]
    pub server: Server,
    /// What is made before the first step.
    #[serde(default)]
    pub setup: Setup,
    /// In order; the first that fails ends the story.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// The `[server]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Where it keeps its data.
    pub storage: Storage,
    /// Whether it is initialised and unsealed before the first step; then `root` and `key` have values.
    pub ready: bool,
    /// HCL at the end of its configuration.
    pub config: String,
    /// HCL lines in its listener's block.
    pub listener: String,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            storage: Storage::Redb,
            ready: true,
            config: String::new(),
            listener: String::new(),
        }
    }
}

/// The `[setup]` table: what the story takes for granted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Setup {
    /// Path to engine type.
    pub mounts: BTreeMap<String, String>,
    /// Name to policy text.
    pub policies: BTreeMap<String, String>,
    /// Name to the body of `auth/token/create`.
    pub tokens: BTreeMap<String, Value>,
}

/// A request and what must come back, or an action.
#[derive(Debug)]
pub enum Step {
    /// Something other than a request.
    Do(Action),
    /// A request.
    Ask(Box<Ask>),
}

impl<'de> Deserialize<'de> for Step {
    /// By hand, so that a misspelt member is named in the error.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let table = Value::deserialize(input)?;
        let step = if table.get("do").is_some() {
            Action::deserialize(table).map(Self::Do)
        } else {
            Ask::deserialize(table).map(|ask| Self::Ask(Box::new(ask)))
        };
        step.map_err(serde::de::Error::custom)
    }
}

/// What can happen beside requests: `do = "restart"` and so on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "do", rename_all = "lowercase")]
pub enum Action {
    /// SIGTERM, then a new start on the same store.
    Restart,
    /// SIGKILL, then a new start on the same store.
    Crash,
    /// SIGHUP.
    Hup,
    /// Lets time pass, for what expires.
    Wait {
        /// How long.
        seconds: f64,
    },
    /// Puts a symbolic link in the place of a file.
    Link {
        /// The file.
        path: String,
        /// Where the link leads.
        target: String,
    },
    /// Looks into a file.
    File {
        /// The file.
        path: String,
        /// Texts that must be in it.
        #[serde(default)]
        contains: Vec<String>,
        /// Texts that must not be in it.
        #[serde(default)]
        lacks: Vec<String>,
    },
}

/// A request and what must come back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Named in a failure.
    pub id: Option<String>,
    /// As sent.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// The name of the token's value, or `none`.
    #[serde(default = "root")]
    pub token: String,
    /// Sent as JSON, with its content type.
    pub body: Option<Value>,
    /// Sent as it stands, in the place of `body`.
    pub raw_body: Option<String>,
    /// More request headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The status code that must come back.
    pub status: u16,
    /// The status code that a foreign server answers instead; then only the status is compared.
    pub peer_status: Option<u16>,
    /// JSON that the body must hold.
    pub expect: Option<Value>,
    /// Text that the body must hold.
    pub expect_text: Option<String>,
    /// Response headers (lower case) that must be there, with their value.
    #[serde(default)]
    pub expect_headers: BTreeMap<String, String>,
    /// Paths that must not be in the body.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Paths whose values must not be the given ones.
    #[serde(default)]
    pub differs: BTreeMap<String, Value>,
    /// Names for values of the body, used in later steps as `${name}`.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
}

impl Story {
    /// Reads a story from a file.
    pub fn read(path: &Path) -> Result<Self, StoryError> {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| StoryError::Unreadable(shown.clone(), error))?;
        toml::from_str(&text).map_err(|error| StoryError::Malformed(shown, Box::new(error)))
    }
}

fn root() -> String {
    "root".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(step: &str) -> Result<Story, toml::de::Error> {
        toml::from_str(&format!("name = \"n\"\n[[step]]\n{step}"))
    }

    #[test]
    fn steps_are_requests_or_actions() {
        let story = parse("method = \"GET\"\npath = \"/\"\nstatus = 200").unwrap();
        assert!(
            matches!(&story.steps[0], Step::Ask(ask) if ask.token == "root" && ask.body.is_none())
        );
        let story = parse("do = \"wait\"\nseconds = 1").unwrap();
        assert!(matches!(story.steps[0], Step::Do(Action::Wait { seconds }) if seconds == 1.0));
        assert!(story.server.ready);
    }

    #[test]
    fn misspelt_members_are_refused() {
        let error =
            parse("method = \"GET\"\npath = \"/\"\nstatus = 200\nexpects = {}").unwrap_err();
        assert!(error.to_string().contains("expects"), "{error}");
        assert!(parse("do = \"dance\"").is_err());
        assert!(parse("method = \"GET\"\npath = \"/\"").is_err());
    }
}
