//! [`KvKeyring`]: a keyring as a secret of a server's KV engine.

use std::io;

use keyfold_envelope::ServiceError;
use keyfold_envelope::keyring::{Change, Keyring, KeyringError, KeyringStore};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::blocking::Blocking;
use crate::transit::service_error;
use crate::{Client, ClientError, Request, Response};

/// What a KV engine says where a write's condition is not met.
const OTHER_VERSION: &str = "did not match the current version";

/// Keeps a keyring in a secret of a KV mount of version 2, whose check-and-set keeps processes
/// apart. Its calls block, from any thread.
///
/// It needs `read`, `create` and `update` on the secret's data path, where it writes seldom: a
/// version of the secret for each DEK made and for each block counted.
pub struct KvKeyring {
    client: Client,
    blocking: Blocking,
    /// `kv:MOUNT/PATH`.
    place: String,
    /// `MOUNT/data/PATH`.
    path: String,
}

impl KvKeyring {
    /// The keyring at `MOUNT/PATH`. Asks the server where the mount ends; where the token may not
    /// know, it is taken to end at the first slash.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Service`] where the server can't be asked or the mount keeps no versions,
    /// [`KeyringError::Io`] where the system gives no thread.
    pub fn open(client: Client, path: &str) -> Result<Self, KeyringError> {
        let (place, path) = (format!("kv:{path}"), path.trim_matches('/'));
        let no_thread = |source: io::Error| KeyringError::Io {
            place: place.clone(),
            source,
        };
        let blocking = Blocking::new().map_err(no_thread)?;
        let mount = mount_of(&client, &blocking, path)?;
        let inside = path.strip_prefix(mount.as_str()).unwrap_or_default();
        let inside = inside.trim_start_matches('/');
        if mount.is_empty() || inside.is_empty() {
            return Err(refused("a keyring is named kv:MOUNT/PATH"));
        }
        Ok(Self {
            path: format!("{mount}/data/{inside}"),
            client,
            blocking,
            place,
        })
    }

    fn read(&self) -> Result<(Keyring, u64), KeyringError> {
        let answer = send(&self.client, &self.blocking, Request::read(&self.path))?;
        let answer = match answer.success() {
            Err(error) if error.status() == Some(404) => {
                return Err(KeyringError::NoKeyring(self.place.clone()));
            }
            answer => answer.map_err(failed)?,
        };
        let found: Found = answer.json().map_err(failed)?;
        let keyring = Keyring::from_json(found.data.data.get().as_bytes())?;
        Ok((keyring, found.data.metadata.version))
    }

    /// Writes the version after `version`, or answers that there is one.
    fn write(&self, keyring: &Keyring, version: u64) -> Result<(), KeyringError> {
        let json = String::from_utf8(keyring.to_json()?).ok();
        let data = json.and_then(|json| RawValue::from_string(json).ok());
        let body = Body {
            data: &data.ok_or_else(|| refused("the keyring is not JSON"))?,
            options: Options { cas: version },
        };
        let request = Request::write(&self.path, &body).map_err(failed)?;
        let answer = send(&self.client, &self.blocking, request)?;
        match answer.success() {
            Ok(_) => Ok(()),
            Err(error) if error.says(OTHER_VERSION) => Err(KeyringError::Changed),
            Err(error) => Err(failed(error)),
        }
    }
}

impl KeyringStore for KvKeyring {
    fn place(&self) -> &str {
        &self.place
    }

    fn load(&self) -> Result<Keyring, KeyringError> {
        Ok(self.read()?.0)
    }

    fn create(&self, keyring: &Keyring) -> Result<(), KeyringError> {
        match self.write(keyring, 0) {
            Err(KeyringError::Changed) => Err(KeyringError::Exists(self.place.clone())),
            result => result,
        }
    }

    fn save(&self, changes: &[Change]) -> Result<(), KeyringError> {
        let (keyring, version) = self.read()?;
        self.write(&keyring.with(changes)?, version)
    }
}

/// The mount that `path` is in, without its slash.
fn mount_of(client: &Client, blocking: &Blocking, path: &str) -> Result<String, KeyringError> {
    let asked = format!("sys/internal/ui/mounts/{path}");
    let answer = send(client, blocking, Request::read(&asked).unwrapped())?;
    let first = || path.split('/').next().unwrap_or_default().to_owned();
    let answer = match answer.success() {
        Err(error) if matches!(error.status(), Some(403 | 404)) => return Ok(first()),
        answer => answer.map_err(failed)?,
    };
    let mount: Mount = answer.json().map_err(failed)?;
    let version = mount.data.options.and_then(|options| options.version);
    if version.as_deref() != Some("2") {
        return Err(refused("a keyring needs a KV mount of version 2"));
    }
    Ok(mount.data.path.trim_matches('/').to_owned())
}

fn send(client: &Client, blocking: &Blocking, request: Request) -> Result<Response, KeyringError> {
    let client = client.clone();
    let answer = blocking.wait(async move { client.send(&request).await });
    let unfinished = || refused("the request was not finished");
    answer.ok_or_else(unfinished)?.map_err(failed)
}

fn failed(error: ClientError) -> KeyringError {
    KeyringError::Service(service_error(&error))
}

fn refused(what: &str) -> KeyringError {
    KeyringError::Service(ServiceError::Other(what.to_owned()))
}

#[derive(Deserialize)]
struct Mount {
    data: MountData,
}

#[derive(Deserialize)]
struct MountData {
    path: String,
    options: Option<MountOptions>,
}

#[derive(Deserialize)]
struct MountOptions {
    version: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    data: FoundData,
}

#[derive(Deserialize)]
struct FoundData {
    data: Box<RawValue>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    data: &'a RawValue,
    options: Options,
}

#[derive(Serialize)]
struct Options {
    cas: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientConfig;
    use crate::testing::Answers;
    use std::time::Duration;

    const MOUNT: (u16, &str) = (
        200,
        r#"{"data":{"path":"team/kv/","options":{"version":"2"}}}"#,
    );
    const EMPTY: &str =
        r#"{"format":"keyfold/1 keyring","service":"pay","key":"transit/pay","deks":[]}"#;

    fn open(server: &Answers, path: &str) -> Result<KvKeyring, KeyringError> {
        let config = ClientConfig {
            address: server.address(),
            retry_pause: Duration::ZERO,
            max_retries: 0,
            ..ClientConfig::default()
        };
        KvKeyring::open(Client::new(config).unwrap(), path)
    }

    fn keyring() -> Keyring {
        Keyring::from_json(EMPTY.as_bytes()).unwrap()
    }

    #[test]
    fn it_is_a_secret_written_under_the_version_it_was_read_at() {
        let found = format!(r#"{{"data":{{"data":{EMPTY},"metadata":{{"version":7}}}}}}"#);
        let server = Answers::start(&[MOUNT, (200, &found), (200, &found), (200, "{}")]);
        let store = open(&server, "team/kv/rings/pay").unwrap();
        assert_eq!(store.place(), "kv:team/kv/rings/pay");
        assert_eq!(store.load().unwrap(), keyring());
        store.save(&[]).unwrap();
        let asked = server.asked();
        assert!(asked[0].starts_with("GET /v1/sys/internal/ui/mounts/team/kv/rings/pay"));
        assert!(asked[1].starts_with("GET /v1/team/kv/data/rings/pay"));
        assert!(asked[3].starts_with("PUT /v1/team/kv/data/rings/pay"));
        assert!(asked[3].contains(r#""options":{"cas":7}"#), "{}", asked[3]);
        assert!(asked[3].contains("keyfold/1 keyring"));
    }

    #[test]
    fn who_comes_second_is_told() {
        let refused = r#"{"errors":["check-and-set parameter did not match the current version"]}"#;
        let found = format!(r#"{{"data":{{"data":{EMPTY},"metadata":{{"version":7}}}}}}"#);
        let server = Answers::start(&[MOUNT, (400, refused), (200, &found), (400, refused)]);
        let store = open(&server, "team/kv/pay").unwrap();
        let exists = store.create(&keyring());
        assert!(matches!(exists, Err(KeyringError::Exists(_))));
        let changed = store.save(&[]);
        assert!(matches!(changed, Err(KeyringError::Changed)));
        assert!(server.asked()[1].contains(r#""options":{"cas":0}"#));
    }

    #[test]
    fn what_is_no_keyring_is_refused() {
        let other = r#"{"data":{"data":{"password":"hunter2"},"metadata":{"version":1}}}"#;
        let deleted = r#"{"data":{"data":null,"metadata":{"version":1}}}"#;
        let server = Answers::start(&[
            MOUNT,
            (200, other),
            (404, deleted),
            (404, r#"{"errors":[]}"#),
            (403, r#"{"errors":["permission denied"]}"#),
        ]);
        let store = open(&server, "team/kv/pay").unwrap();
        let refused = store.load().err().unwrap();
        assert!(matches!(refused, KeyringError::Malformed(_)));
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        for _ in 0..2 {
            assert!(matches!(store.load(), Err(KeyringError::NoKeyring(_))));
        }
        assert!(matches!(
            store.load(),
            Err(KeyringError::Service(ServiceError::Denied))
        ));
    }

    #[test]
    fn the_mount_has_versions_and_a_path_in_it() {
        let plain = r#"{"data":{"path":"kv/","options":null}}"#;
        let server = Answers::start(&[
            (200, plain),
            MOUNT,
            (403, r#"{"errors":["permission denied"]}"#),
        ]);
        for path in ["kv/pay", "team/kv"] {
            assert!(open(&server, path).is_err(), "{path}");
        }
        let guessed = open(&server, "kv/a/b").unwrap();
        assert_eq!(guessed.path, "kv/data/a/b");
    }
}
