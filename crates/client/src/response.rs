//! [`Response`]: what the server answered.

use keyfold_secret::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ClientError;

/// A complete answer, whatever its status.
///
/// It has no `Debug`: the body of a read is a secret.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body as it came; empty for 204.
    pub body: Secret<Vec<u8>>,
}

#[derive(Deserialize, Default)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

impl Response {
    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// [`ClientError::Decode`], which says where the body breaks, not what it holds.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(self.body.expose()).map_err(|error| ClientError::Decode {
            status: self.status,
            line: error.line(),
            column: error.column(),
        })
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.body.expose().iter().all(u8::is_ascii_whitespace)
    }

    /// This answer, if its status says that the request was done.
    ///
    /// # Errors
    ///
    /// [`ClientError::Api`] for a status of 400 or more (or 3xx), with the server's own words.
    pub fn success(self) -> Result<Self, ClientError> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(self.error())
        }
    }

    /// The answer as an error, for a caller who has looked at it and knows no better.
    pub fn error(&self) -> ClientError {
        let Errors { errors } = self.json().unwrap_or_default();
        ClientError::Api {
            status: self.status,
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response {
            status,
            body: Secret::new(body.as_bytes().to_vec()),
        }
    }

    #[test]
    fn only_2xx_is_success() {
        assert!(response(204, "").success().is_ok());
        assert!(response(307, "").success().is_err());
        let Err(ClientError::Api { status, errors }) =
            response(403, r#"{"errors":["permission denied"]}"#).success()
        else {
            panic!("403 passed");
        };
        assert_eq!(
            (status, errors),
            (403, vec!["permission denied".to_owned()])
        );
    }

    #[test]
    fn an_error_page_of_a_proxy_is_no_api_error_text() {
        let error = response(502, "<html>bad gateway</html>").error();
        assert!(matches!(error, ClientError::Api { status: 502, errors } if errors.is_empty()));
    }

    #[test]
    fn a_body_that_does_not_parse_is_not_quoted() {
        let Err(error) = response(200, r#"{"hunter2"#).json::<serde_json::Value>() else {
            panic!("broken JSON passed");
        };
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
