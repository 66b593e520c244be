//! The attributes of one rule: what stands between its braces.

use std::sync::Arc;

use keyfold_api::{
    duration::{self, Seconds},
    hcl::{Body, Item, Value},
};

use super::{
    PolicyError,
    capability::{Capabilities, Capability},
    keys_filter::KeysFilter,
    params::Table,
    parse::error,
    rule::Rule,
};
use crate::clock::Time;

/// Reads them into a rule; its capabilities as they were written.
pub(super) fn read(body: &Body, rule: &mut Rule) -> Result<Vec<Capability>, PolicyError> {
    let permissions = &mut rule.permissions;
    let mut words: Vec<Capability> = Vec::new();
    for (index, item) in body.items.iter().enumerate() {
        refuse_repeated(body, index, item)?;
        let params = &mut permissions.params;
        match item.key.as_str() {
            "capabilities" => words.extend(capabilities(item)?),
            "policy" => words.extend(old_policy(item)?),
            "allowed_parameters" => params.allowed = table(item)?,
            "denied_parameters" => params.denied = table(item)?,
            "required_parameters" => params.required = required(item)?,
            "min_wrapping_ttl" => permissions.min_wrapping_ttl = ttl(item)?,
            "max_wrapping_ttl" => permissions.max_wrapping_ttl = ttl(item)?,
            "pagination_limit" => permissions.pagination_limit = limit(item)?,
            "expiration" => rule.expires = Some(moment(item)?),
            "list_scan_response_keys_filter_path" => {
                permissions.keys_filters.extend(keys_filter(item)?);
            }
            "comment" => {
                string(item, &item.value)?;
            }
            // Taking these without heeding them would permit more than the author meant.
            key @ ("control_group" | "mfa_methods") => {
                return Err(error(item.line, format!("\"{key}\" is not supported here")));
            }
            key => return Err(error(item.line, format!("invalid key \"{key}\""))),
        }
    }
    permissions.capabilities = words.iter().copied().collect::<Capabilities>();
    match (permissions.min_wrapping_ttl, permissions.max_wrapping_ttl) {
        (Some(min), Some(max)) if max < min => Err(error(
            rule.line,
            "max_wrapping_ttl cannot be less than min_wrapping_ttl",
        )),
        _ => Ok(words),
    }
}

fn capabilities(item: &Item) -> Result<Vec<Capability>, PolicyError> {
    let one = |value| {
        let word = string(item, value)?;
        Capability::from_word(word)
            .ok_or_else(|| error(item.line, format!("invalid capability \"{word}\"")))
    };
    elements(item)?.iter().map(one).collect()
}

/// The one-word form from before there were capabilities.
fn old_policy(item: &Item) -> Result<Vec<Capability>, PolicyError> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    match string(item, &item.value)? {
        "deny" => Ok(vec![Deny]),
        "read" => Ok(vec![Read, List]),
        "write" => Ok(vec![Create, Read, Update, Delete, List]),
        "sudo" => Ok(vec![Create, Read, Update, Delete, List, Sudo]),
        word => Err(error(item.line, format!("invalid policy \"{word}\""))),
    }
}

fn table(item: &Item) -> Result<Table, PolicyError> {
    let wrong = || {
        let key = &item.key;
        error(
            item.line,
            format!("\"{key}\" has to map names to lists of values"),
        )
    };
    let body = match &item.value {
        Value::Object(body) if item.labels.is_empty() => body,
        _ => return Err(wrong()),
    };
    let mut table = Table::new();
    for member in &body.items {
        let values = elements(member)?
            .iter()
            .map(|value| json(value).ok_or_else(wrong));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        if table.insert(member.key.to_lowercase(), values).is_some() {
            return Err(error(
                member.line,
                format!("duplicate key \"{}\"", member.key),
            ));
        }
    }
    Ok(table)
}

/// Names of required parameters; they are compared in lower case.
fn required(item: &Item) -> Result<Vec<String>, PolicyError> {
    let name = |value| Ok(string(item, value)?.to_lowercase());
    elements(item)?.iter().map(name).collect()
}

/// A duration; zero is no limit.
fn ttl(item: &Item) -> Result<Option<Seconds>, PolicyError> {
    let text = item.value.to_text().filter(|_| item.labels.is_empty());
    match text.map(duration::parse) {
        Some(Ok(ttl)) if !ttl.is_negative() => Ok(Some(ttl).filter(|ttl| *ttl != Seconds::ZERO)),
        _ => Err(error(
            item.line,
            format!("error parsing {}: invalid duration", item.key),
        )),
    }
}

/// A number of entries; zero and less is no limit.
fn limit(item: &Item) -> Result<Option<u32>, PolicyError> {
    let number = item.value.to_text().filter(|_| item.labels.is_empty());
    match number.and_then(|text| text.parse::<i64>().ok()) {
        Some(number) if number <= 0 => Ok(None),
        Some(number) => Ok(Some(u32::try_from(number).unwrap_or(u32::MAX))),
        None => Err(error(
            item.line,
            format!("\"{}\" has to be a number", item.key),
        )),
    }
}

/// A moment: RFC 3339, or seconds since 1970.
fn moment(item: &Item) -> Result<Time, PolicyError> {
    let text = item.value.to_text().filter(|_| item.labels.is_empty());
    text.and_then(Time::parse).ok_or_else(|| {
        error(
            item.line,
            "invalid expiration time: not an RFC 3339 timestamp",
        )
    })
}

/// Where the keys of a list lead; the empty text is no filter.
fn keys_filter(item: &Item) -> Result<Option<Arc<KeysFilter>>, PolicyError> {
    let text = string(item, &item.value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let filter = KeysFilter::parse(text);
    let filter = filter.map_err(|what| error(item.line, format!("{} {what}", item.key)))?;
    Ok(Some(Arc::new(filter)))
}

/// One attribute twice is a typing error: nobody can tell which was meant.
pub(super) fn refuse_repeated(body: &Body, index: usize, item: &Item) -> Result<(), PolicyError> {
    if body
        .items
        .iter()
        .take(index)
        .any(|earlier| earlier.key == item.key)
    {
        return Err(error(item.line, format!("duplicate key \"{}\"", item.key)));
    }
    Ok(())
}

fn elements(item: &Item) -> Result<&[Value], PolicyError> {
    match &item.value {
        Value::List(values) if item.labels.is_empty() => Ok(values),
        _ => Err(error(
            item.line,
            format!("\"{}\" has to be a list", item.key),
        )),
    }
}

fn string<'a>(item: &Item, value: &'a Value) -> Result<&'a str, PolicyError> {
    value
        .as_str()
        .filter(|_| item.labels.is_empty())
        .ok_or_else(|| {
            let key = &item.key;
            error(
                item.line,
                format!("\"{key}\" has to be text, not {}", value.kind()),
            )
        })
}

/// A value of a parameter; objects are none.
fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        Value::List(values) => values.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Value::Object(_) => return None,
    })
}
