//! Policy text to rules.

use keyfold_api::{
    duration::{self, Seconds},
    hcl::{self, Body, Item, Value},
};

use super::{
    PolicyError, Warning,
    capability::{Capabilities, Capability},
    params::Table,
    rule::{Pattern, Permissions, Rule},
};

/// Segments of a path with `+` at most: matching recurses once for each.
const SEGMENTS: usize = 256;

/// Reads all rules of a policy, in order.
pub(super) fn parse(text: &str) -> Result<(Vec<Rule>, Vec<Warning>), PolicyError> {
    let body = hcl::parse_any(text)?;
    for (index, item) in body.items.iter().enumerate() {
        match item.key.as_str() {
            "path" => {}
            "name" if item.labels.is_empty() && item.value.as_str().is_some() => {
                refuse_repeated(&body, index, item)?;
            }
            "name" => return Err(error(item.line, "\"name\" has to be a string")),
            key => return Err(error(item.line, format!("invalid key \"{key}\""))),
        }
    }
    let (mut rules, mut warnings) = (Vec::new(), Vec::new());
    for (path, body, line) in body.blocks("path")? {
        rules.push(rule(path, body, line, &mut warnings)?);
    }
    Ok((rules, warnings))
}

fn rule(
    path: &str,
    body: &Body,
    line: u32,
    warnings: &mut Vec<Warning>,
) -> Result<Rule, PolicyError> {
    let pattern = pattern(path, line, warnings)?;
    let permissions = permissions(body, line)
        .map_err(|e| error(e.line, format!("path \"{path}\": {}", e.message)))?;
    Ok(Rule {
        pattern,
        permissions,
    })
}

fn pattern(path: &str, line: u32, warnings: &mut Vec<Warning>) -> Result<Pattern, PolicyError> {
    let wrong = |what: &str| error(line, format!("path \"{path}\": {what}"));
    if is_templated(path).ok_or_else(|| {
        error(
            line,
            "failed to validate policy templating: unbalanced templating characters",
        )
    })? {
        warnings.push(Warning {
            line,
            message: format!("path \"{path}\": identity templates match nothing on this server"),
        });
        return Ok(Pattern::Templated);
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.contains("+*") {
        return Err(wrong("invalid use of wildcards ('+*' is forbidden)"));
    }
    let useless = |what: &str| {
        let message = format!("path \"{path}\": {what}, here it is an ordinary character");
        Warning { line, message }
    };
    if path.strip_suffix('*').unwrap_or(path).contains('*') {
        warnings.push(useless("'*' is a wildcard only at the end of a path"));
    }
    if path
        .split('/')
        .any(|segment| segment.len() > 1 && segment.contains('+'))
    {
        warnings.push(useless("'+' is a wildcard only as a whole segment"));
    }
    let pattern = Pattern::new(path);
    if matches!(pattern, Pattern::Segments { .. }) && path.split('/').count() > SEGMENTS {
        return Err(wrong("too many segments"));
    }
    Ok(pattern)
}

/// Whether there is a `{{…}}`; `None` when the braces do not pair up.
fn is_templated(path: &str) -> Option<bool> {
    let mut rest = path;
    let mut found = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after.split_once("}}")?;
        if before.contains("}}") || inside.contains("{{") {
            return None;
        }
        found = true;
        rest = after;
    }
    (!rest.contains("}}")).then_some(found)
}

fn permissions(body: &Body, line: u32) -> Result<Permissions, PolicyError> {
    let mut permissions = Permissions::default();
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
            "comment" => {
                string(item, &item.value)?;
            }
            // Taking these without heeding them would permit more than the author meant.
            key @ ("expiration"
            | "control_group"
            | "mfa_methods"
            | "list_scan_response_keys_filter_path") => {
                return Err(error(item.line, format!("\"{key}\" is not supported here")));
            }
            key => return Err(error(item.line, format!("invalid key \"{key}\""))),
        }
    }
    permissions.capabilities = words.into_iter().collect::<Capabilities>();
    match (permissions.min_wrapping_ttl, permissions.max_wrapping_ttl) {
        (Some(min), Some(max)) if max < min => Err(error(
            line,
            "max_wrapping_ttl cannot be less than min_wrapping_ttl",
        )),
        _ => Ok(permissions),
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

fn refuse_repeated(body: &Body, index: usize, item: &Item) -> Result<(), PolicyError> {
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

/// A list's elements; any other value is a list of one.
fn elements(item: &Item) -> Result<&[Value], PolicyError> {
    match &item.value {
        _ if !item.labels.is_empty() => Err(error(
            item.line,
            format!("\"{}\" has to be a list", item.key),
        )),
        Value::List(values) => Ok(values),
        value => Ok(std::slice::from_ref(value)),
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

impl From<hcl::HclError> for PolicyError {
    fn from(error: hcl::HclError) -> Self {
        Self {
            line: error.line,
            message: error.message,
        }
    }
}

fn error(line: u32, message: impl Into<String>) -> PolicyError {
    PolicyError {
        line,
        message: message.into(),
    }
}
