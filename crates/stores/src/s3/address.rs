//! Addresses of objects: `s3://bucket/key`.

use keyfold_envelope::SUFFIX;
use object_store::path::Path;

use crate::OpenError;

const SCHEME: &str = "s3://";

/// A bucket, and a key or the beginning of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Address {
    pub(super) fn is_one(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Reads an address. All that follows the bucket is the key, as it is.
    pub(super) fn parse(text: &str) -> Result<Self, OpenError> {
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| refused("it starts with s3://"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains(['@', ':']) {
            return Err(refused(
                "keys to it do not belong in it: use AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL",
            ));
        }
        let is_good = |letter: u8| letter.is_ascii_alphanumeric() || b".-_".contains(&letter);
        if bucket.is_empty() || !bucket.bytes().all(is_good) {
            return Err(refused(
                "the bucket's name is letters, digits, dots and hyphens",
            ));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The keys of one object's payload and header.
    pub(super) fn object(&self) -> Result<(Path, Path), OpenError> {
        if self.key.ends_with(SUFFIX) {
            return Err(refused("it names the payload, without .kf"));
        }
        let payload = exact(&self.key).filter(|key| !key.as_ref().is_empty());
        let header = exact(&format!("{}{SUFFIX}", self.key));
        payload.zip(header).ok_or_else(|| {
            refused("a key has no empty part between slashes, no . or .. and no control character")
        })
    }
}

/// A key as it is; `None` for one that would become another on its way.
pub(super) fn exact(key: &str) -> Option<Path> {
    Path::parse(key).ok().filter(|path| path.as_ref() == key)
}

fn refused(reason: &str) -> OpenError {
    OpenError::Address {
        place: "bucket",
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_as_it_is() {
        let address = Address::parse("s3://data.example/a b/c?d=e#f%20").unwrap();
        assert_eq!(address.bucket, "data.example");
        assert_eq!(address.key, "a b/c?d=e#f%20");
        let (payload, header) = address.object().unwrap();
        assert_eq!(payload.as_ref(), "a b/c?d=e#f%20");
        assert_eq!(header.as_ref(), "a b/c?d=e#f%20.kf");
        assert_eq!(Address::parse("s3://data").unwrap().key, "");
    }

    #[test]
    fn what_is_no_bucket_is_refused_and_not_repeated() {
        for text in [
            "s3:///key",
            "s3://",
            "data/key",
            "s3://AKIA:hunter2@data/key",
            "s3://a b/c",
        ] {
            let refused = Address::parse(text).unwrap_err().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn a_key_that_would_become_another_names_no_object() {
        for key in [
            "", "a/", "/a", "a//b", "a/../b", "./a", "a/..", "a\nb", "a.kf",
        ] {
            let address = Address::parse(&format!("s3://data/{key}")).unwrap();
            assert!(address.object().is_err(), "{key:?}");
        }
    }
}
