//! The compact form of a signed token (RFC 7515): `header.payload.signature`, each in base64url.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::signature::Algorithm;

/// A token whose signature is not verified yet: of its payload nothing is told.
pub(super) struct Unverified<'a> {
    /// What the header says it was signed with; none for what no key of ours can sign with.
    pub(super) algorithm: Option<Algorithm>,
    /// Which key the header says it was signed with.
    pub(super) kid: Option<String>,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The claims of a token whose signature was verified.
pub(super) type Claims = Map<String, Value>;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; we understand none.
    crit: Option<Value>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart. The error says what is wrong, in words for the caller.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        const PARTS: &str = "a compact JWS has to have three parts";
        let (signed, signature) = text.rsplit_once('.').ok_or(PARTS)?;
        let (header, payload) = signed.split_once('.').ok_or(PARTS)?;
        if payload.contains('.') {
            return Err(PARTS);
        }
        let decode = |part: &str| {
            let decoded = URL_SAFE_NO_PAD.decode(part);
            decoded.map_err(|_| "a part of the JWS is not base64url without padding")
        };
        let header = serde_json::from_slice::<Header>(&decode(header)?);
        let header = header.map_err(|_| "the header of the JWS is not what it has to be")?;
        // One that demands an extension is as good as one by an unknown algorithm.
        let algorithm = match header.crit {
            None => Algorithm::parse(&header.alg),
            Some(_) => None,
        };
        Ok(Self {
            algorithm,
            kid: header.kid,
            signed,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The claims, when one of the keys has signed them.
    pub(super) fn verified(
        &self,
        mut verifies: impl FnMut(Algorithm, &[u8], &[u8]) -> bool,
    ) -> Result<Claims, &'static str> {
        const UNKNOWN: &str = "no known key successfully validated the token signature";
        let algorithm = self.algorithm.ok_or(UNKNOWN)?;
        if !verifies(algorithm, self.signed.as_bytes(), &self.signature) {
            return Err(UNKNOWN);
        }
        serde_json::from_slice(&self.payload).map_err(|_| "the claims are not a JSON object")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(header: &str, payload: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encode(header), encode(payload), encode("s"))
    }

    #[test]
    fn parts_are_told_apart() {
        let text = token(r#"{"alg":"ES256","kid":"k"}"#, r#"{"a":1}"#);
        let parsed = Unverified::parse(&text).unwrap();
        assert_eq!(parsed.algorithm, Some(Algorithm::ES256));
        assert_eq!(parsed.kid.as_deref(), Some("k"));
        let claims = parsed.verified(|algorithm, signed, signature| {
            assert_eq!(algorithm, Algorithm::ES256);
            assert!(text.as_bytes().starts_with(signed));
            signature == b"s"
        });
        assert_eq!(claims.unwrap().get("a"), Some(&Value::from(1)));
    }

    #[test]
    fn what_no_key_can_have_signed_is_never_asked_of_one() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"ES256","crit":["x"]}"#,
            r#"{"alg":"ES256","crit":[]}"#,
        ] {
            let text = token(header, "{}");
            let parsed = Unverified::parse(&text).unwrap();
            assert!(parsed.verified(|_, _, _| panic!("asked")).is_err());
        }
        for text in ["", "a", "a.b", "a.b.c.d", "..", "e30.e30.", "a=.b.c"] {
            assert!(Unverified::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_or_refused(text in ".{0,200}") {
            let _ = Unverified::parse(&text);
        }

        #[test]
        fn any_parts_are_taken_apart_or_refused(header in ".{0,80}", payload in ".{0,80}") {
            let text = token(&header, &payload);
            if let Ok(parsed) = Unverified::parse(&text) {
                let _ = parsed.verified(|_, _, _| true);
            }
        }
    }
}
