//! What the contract demands of a batch, checked before a driver touches anything.

use std::collections::HashSet;

use keyfold_core::ports::storage::{Batch, Check, MAX_KEY, MAX_VALUE, StorageError};
use keyfold_core::ports::whole::Portion;

/// Refuses a batch that breaks the contract.
pub(super) fn check(batch: &Batch) -> Result<(), StorageError> {
    for check in &batch.checks {
        let (Check::Absent(key)
        | Check::Present(key)
        | Check::Unchanged(key, _)
        | Check::Held(key, _)) = check;
        check_key(key)?;
    }
    let mut touched = HashSet::with_capacity(batch.puts.len() + batch.deletes.len());
    for key in batch.touched() {
        check_key(key)?;
        if !touched.insert(key) {
            return invalid(format!("{key} is written twice"));
        }
    }
    batch.puts.iter().try_for_each(|(k, v)| check_value(k, v))
}

/// Refuses entries that no batch could have written.
pub(super) fn check_portion(portion: &Portion) -> Result<(), StorageError> {
    for (key, value) in portion {
        check_key(key)?;
        check_value(key, value)?;
    }
    Ok(())
}

fn check_value(key: &str, value: &[u8]) -> Result<(), StorageError> {
    if value.len() <= MAX_VALUE {
        return Ok(());
    }
    Err(StorageError::TooLong(format!(
        "the value at {key} has {} bytes, the limit is {MAX_VALUE}",
        value.len()
    )))
}

/// Refuses a prefix that is not empty and does not end at a separator.
pub(super) fn check_prefix(prefix: &str) -> Result<(), StorageError> {
    if prefix.is_empty() || prefix.ends_with('/') {
        return Ok(());
    }
    Err(StorageError::Invalid(format!(
        "the prefix {prefix:?} does not end in a slash"
    )))
}

/// Refuses what is no key.
pub(super) fn check_key(key: &str) -> Result<(), StorageError> {
    if key.len() > MAX_KEY {
        return Err(StorageError::TooLong(format!(
            "a key has {} bytes, the limit is {MAX_KEY}",
            key.len()
        )));
    }
    if key.chars().any(char::is_control) {
        return invalid(format!("the key {key:?} has a control character"));
    }
    if key.split('/').any(str::is_empty) {
        return invalid(format!("the key {key:?} has an empty segment"));
    }
    Ok(())
}

fn invalid(cause: String) -> Result<(), StorageError> {
    Err(StorageError::Invalid(cause))
}
