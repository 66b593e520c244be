//! What a record may hold. The store's caches and the answers stay small because of these.

use super::record::Metadata;
use crate::error::Error;
use crate::policies;

/// Longest name of an entity, a group or an alias, bytes.
const NAME: usize = 2048;
/// Pairs of a metadata map.
const PAIRS: usize = 64;
/// Longest key of a metadata map, bytes.
const KEY: usize = 128;
/// Longest value of a metadata map, bytes.
const VALUE: usize = 512;
/// What an auth method may say about somebody, bytes.
const SAID: usize = 16 * 1024;
/// Policies of one entity or group.
const POLICIES: usize = 1024;
/// Entities that one request names, and so the members that it can give to a group.
pub(super) const ENTITIES: usize = 10_000;
/// Groups that one request names as members.
pub(super) const CHILDREN: usize = 1024;
/// Groups that an entity or a group is directly in.
pub(super) const GROUPS: usize = 1024;
/// Groups that an entity is in, with those that its groups are in.
pub(super) const ALL_GROUPS: usize = 4096;
/// Aliases of one entity.
pub(super) const ALIASES: usize = 1024;
/// Entities that were merged into one.
pub(super) const MERGED: usize = 1024;
/// External groups that an auth method may name at a login.
pub(super) const EXTERNAL: usize = 1024;

/// Checks a name; an empty one is none.
pub(super) fn name(field: &str, given: Option<String>) -> Result<Option<String>, Error> {
    let given = given.filter(|name| !name.is_empty());
    if given.as_ref().is_some_and(|name| name.len() > NAME) {
        return Err(too_many(field, NAME, "bytes"));
    }
    Ok(given)
}

/// Folds and checks the policies that an entity or a group is to grant.
pub(super) fn granted(given: Vec<String>) -> Result<Vec<String>, Error> {
    let names = policies::names(given);
    if names.iter().any(|name| name == "root") {
        return Err(Error::bad("policies cannot contain root"));
    }
    policies::check_assignable(&names)?;
    bound("policies", names.len(), POLICIES, "names")?;
    if names.iter().any(|name| name.len() > NAME) {
        return Err(too_many("policies", NAME, "bytes for a name"));
    }
    Ok(names)
}

/// Checks the metadata of an entity or a group.
pub(super) fn metadata(map: &Metadata) -> Result<(), Error> {
    let wrong = |what: &str| Err(Error::field("metadata", what));
    bound("metadata", map.len(), PAIRS, "key/value pairs")?;
    for (key, value) in map {
        if key.is_empty() {
            return wrong("key cannot be blank");
        }
        if key.len() > KEY {
            return wrong("key is too long (limit: 128 characters)");
        }
        let fit = |b: u8| b.is_ascii_alphanumeric() || b"=/+-_".contains(&b);
        if !key.bytes().all(fit) {
            return wrong("key contains invalid characters");
        }
        if value.len() > VALUE {
            return wrong("value is too long (limit: 512 characters)");
        }
    }
    Ok(())
}

/// Checks the custom metadata of an alias.
pub(super) fn custom_metadata(map: &Metadata) -> Result<(), Error> {
    let wrong = |what: &str| Err(Error::field("custom_metadata", what));
    bound("custom_metadata", map.len(), PAIRS, "keys")?;
    for (key, value) in map {
        if key.is_empty() || key.len() > KEY {
            return wrong("length of a key must be 0 < len(key) <= 128");
        }
        if value.is_empty() || value.len() > VALUE {
            return wrong("length of a value must be 0 < len(value) <= 512");
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return wrong("contains unprintable characters");
        }
    }
    Ok(())
}

/// Checks what an auth method says about somebody: it is kept in memory with their entity.
pub(super) fn said(map: &Metadata) -> Result<(), Error> {
    let bytes = map.iter().map(|(key, value)| key.len() + value.len()).sum();
    bound("metadata", bytes, SAID, "bytes")
}

/// Refuses more than `most` of something.
pub(super) fn bound(field: &str, count: usize, most: usize, what: &str) -> Result<(), Error> {
    if count > most {
        return Err(too_many(field, most, what));
    }
    Ok(())
}

fn too_many(field: &str, most: usize, what: &str) -> Error {
    Error::field(
        field,
        format_args!("cannot contain more than {most} {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Metadata {
        let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn metadata_has_limits_and_errors_tell_no_value() {
        assert!(metadata(&map(&[("a-B_1=/+", ""), ("b", "any\u{0}text")])).is_ok());
        let long = "hush".repeat(200);
        for wrong in [
            map(&[("", "hush")]),
            map(&[("a b", "hush")]),
            map(&[(&long, "v")]),
            map(&[("a", &long)]),
            (0..65)
                .map(|n| (n.to_string(), "hush".to_owned()))
                .collect(),
        ] {
            let text = metadata(&wrong).unwrap_err().to_string();
            assert!(
                text.starts_with("field \"metadata\": ") && !text.contains("hush"),
                "{text}"
            );
        }
    }

    #[test]
    fn custom_metadata_has_no_empty_values() {
        assert!(custom_metadata(&map(&[("a b", "v")])).is_ok());
        for wrong in [map(&[("a", "")]), map(&[("a\n", "v")]), map(&[("", "v")])] {
            assert!(custom_metadata(&wrong).is_err());
        }
    }

    #[test]
    fn no_spelling_of_root_is_granted() {
        for name in ["root", "Root", " ROOT "] {
            assert!(granted(vec![name.to_owned()]).is_err());
        }
        assert!(granted(vec!["response-wrapping".to_owned()]).is_err());
        assert_eq!(
            granted(vec!["B".into(), "a".into(), "b".into()]).unwrap(),
            ["a", "b"]
        );
    }
}
