//! Whether a key lets others than the server open what it protects.

use keyfold_envelope::{Locator, ServiceError};
use serde::Deserialize;

use super::{Data, TransitKeys, good, json};
use crate::Request;

#[derive(Deserialize)]
struct Key {
    /// Keyfold's own member; others have none.
    offline_slots_allowed: Option<bool>,
}

impl TransitKeys {
    /// Whether a key allows that envelopes under it are opened without the server, too: its setting
    /// `offline_slots_allowed`, which only Keyfold has. `None` where the token may not read it.
    ///
    /// # Errors
    ///
    /// Where the server can't be asked, or has no such key.
    pub fn offline_slots_allowed(&self, locator: &Locator) -> Result<Option<bool>, ServiceError> {
        let path = format!("{}/keys/{}", locator.mount(), locator.key());
        match good(self.send(Request::read(&path))?) {
            Ok(answer) => {
                let key: Data<Key> = json(&answer)?;
                Ok(Some(key.data.offline_slots_allowed.unwrap_or(true)))
            }
            Err(ServiceError::Denied) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, locator};
    use super::*;
    use crate::testing::Answers;

    #[test]
    fn only_a_key_that_says_so_forbids_them() {
        for (status, text, expected) in [
            (
                200,
                r#"{"data":{"offline_slots_allowed":false}}"#,
                Ok(Some(false)),
            ),
            (
                200,
                r#"{"data":{"offline_slots_allowed":true}}"#,
                Ok(Some(true)),
            ),
            (200, r#"{"data":{"name":"payments"}}"#, Ok(Some(true))),
            (403, r#"{"errors":[]}"#, Ok(None)),
            (404, r#"{"errors":[]}"#, Err(ServiceError::NotFound)),
        ] {
            let server = Answers::start(&[(status, text)]);
            let told = keys(&server).offline_slots_allowed(&locator());
            assert_eq!(told, expected, "{text}");
        }
    }
}
