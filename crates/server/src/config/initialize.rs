//! `initialize "name" { request "name" { … } }`.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use keyfold_api::hcl::{Block, Body, Value};
use keyfold_core::Op;
use keyfold_core::initialize::{Convert, Field, Node, Source, Stanza, Step, decides};

use super::place::ConfigError;
use super::section::Section;

/// What a request may have that has no effect here.
const IDLE: &[&str] = &["namespace"];
/// What a source may have.
const SOURCE: [&str; 8] = [
    "eval_source",
    "eval_type",
    "env_var",
    "path",
    "initialize_name",
    "request_name",
    "response_name",
    "field_selector",
];

/// Reads a stanza.
pub(super) fn read(
    file: &Arc<Path>,
    block: &Block<'_>,
    warnings: &mut Vec<String>,
) -> Result<Stanza, ConfigError> {
    let name = block.labels.first().copied().unwrap_or_default();
    let mut section = Section::new(file, format!("initialize \"{name}\""), block.body);
    let requests = section.blocks("request", 1)?;
    let requests = requests
        .iter()
        .map(|block| step(file, name, block, warnings))
        .collect::<Result<_, _>>()?;
    section.finish(&[], warnings)?;
    Ok(Stanza {
        name: name.to_owned(),
        requests,
    })
}

/// Refuses a stanza with a request that is there already: what was done is known by both names, so
/// the second would be taken for done.
pub(super) fn only_once(before: &[Stanza], stanza: &Stanza) -> Result<(), String> {
    let named = before.iter().filter(|other| other.name == stanza.name);
    let mut known: HashSet<_> = named.flat_map(names).collect();
    match names(stanza).find(|name| !known.insert(*name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "initialize {:?} has two requests {name:?}",
            stanza.name
        )),
    }
}

fn names(stanza: &Stanza) -> impl Iterator<Item = &str> {
    stanza.requests.iter().map(|step| step.name.as_str())
}

fn step(
    file: &Arc<Path>,
    stanza: &str,
    block: &Block<'_>,
    warnings: &mut Vec<String>,
) -> Result<Step, ConfigError> {
    let name = block.labels.first().copied().unwrap_or_default();
    let title = format!("initialize \"{stanza}\" request \"{name}\"");
    let mut section = Section::new(file, title.clone(), block.body);
    let at = section.place(block.line);
    let missing = |key: &str| ConfigError::at(at.clone(), format!("{title} needs \"{key}\""));
    let operation = section
        .text("operation")?
        .ok_or_else(|| missing("operation"))?;
    let op = match operation.value.as_str() {
        "create" | "update" => Op::Write,
        "read" => Op::Read,
        "list" => Op::List,
        "delete" => Op::Delete,
        "patch" => Op::Patch,
        _ => {
            return Err(operation
                .wrong("\"operation\" has to be create, update, read, list, delete or patch"));
        }
    };
    let path = section.text("path")?.ok_or_else(|| missing("path"))?;
    let below = path.value.trim_matches('/').to_owned();
    if below
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err(path.wrong("\"path\" has an empty segment, or one of dots"));
    }
    let allow_failure = section.flag("allow_failure")?;
    let data = members(&mut section, "data")?;
    let headers = members(&mut section, "headers")?;
    if let Node::Object(headers) = &headers {
        check_headers(headers)
            .map_err(|why| ConfigError::at(at.clone(), format!("{title}: {why}")))?;
        if let Some((name, _)) = headers.iter().find(|(name, _)| says_how(name)) {
            warnings.push(format!(
                "{at}: the header {name:?} of {title} has no effect in this server"
            ));
        }
    }
    let token = found(&mut section, "token")?;
    let when = found(&mut section, "when")?;
    if when.as_ref().is_some_and(|when| !decides(when)) {
        let why = format!("{title}: \"when\" has to be true or false, or a source of that");
        return Err(ConfigError::at(at, why));
    }
    section.finish(IDLE, warnings)?;
    Ok(Step {
        name: name.to_owned(),
        op,
        path: below,
        data,
        token,
        headers,
        when,
        allow_failure: allow_failure.is_some_and(|flag| flag.value),
    })
}

/// A block of values; nothing is an empty one.
fn members(section: &mut Section<'_>, key: &'static str) -> Result<Node, ConfigError> {
    let Some((value, line)) = section.value(key)? else {
        return Ok(Node::Object(Vec::new()));
    };
    // A block is a list of one object in the JSON form.
    let value = match value {
        Value::List(values) => match values.as_slice() {
            [value @ Value::Object(_)] => value,
            _ => value,
        },
        value => value,
    };
    match node(value) {
        Ok(node @ Node::Object(_)) => Ok(node),
        Ok(_) => Err(format!("\"{key}\" has to be a block")),
        Err(why) => Err(format!("{key}: {why}")),
    }
    .map_err(|why| ConfigError::at(section.place(line), why))
}

/// One value.
fn found(section: &mut Section<'_>, key: &'static str) -> Result<Option<Node>, ConfigError> {
    let Some((value, line)) = section.value(key)? else {
        return Ok(None);
    };
    let node = node(value).map_err(|why| format!("{key}: {why}"));
    node.map(Some)
        .map_err(|why| ConfigError::at(section.place(line), why))
}

/// Refuses names that no header has, and one that is there in two spellings.
fn check_headers(headers: &[(String, Node)]) -> Result<(), String> {
    let mut known = HashSet::new();
    for (name, _) in headers {
        let parsed = http::HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|_| format!("headers: {name:?} is no name of a header"))?;
        if !known.insert(parsed) {
            return Err(format!("headers: {name:?} is there twice"));
        }
    }
    Ok(())
}

/// A header that says how a request is asked: that stands in the stanza itself.
fn says_how(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("x-vault-")
}

fn node(value: &Value) -> Result<Node, String> {
    Ok(match value {
        Value::Null => Node::Literal(serde_json::Value::Null),
        Value::Bool(flag) => Node::Literal((*flag).into()),
        Value::Number(text) => {
            let number = serde_json::from_str::<serde_json::Number>(text);
            Node::Literal(number.map_err(|_| format!("{text} is no number"))?.into())
        }
        Value::String(text) => Node::Literal(text.clone().into()),
        // A block is a list of one object in the JSON form.
        Value::List(values) => match values.as_slice() {
            [Value::Object(body)] if body.item("eval_source").is_some() => object(body)?,
            values => Node::List(values.iter().map(node).collect::<Result<_, _>>()?),
        },
        Value::Object(body) => object(body)?,
    })
}

fn object(body: &Body) -> Result<Node, String> {
    if body.item("eval_source").is_some() {
        return source(body);
    }
    let mut members: Vec<(String, Node)> = Vec::with_capacity(body.items.len());
    for item in &body.items {
        if members.iter().any(|(name, _)| *name == item.key) {
            return Err(format!("{:?} is there twice", item.key));
        }
        members.push((item.key.clone(), node(&item.value)?));
    }
    Ok(Node::Object(members))
}

fn source(body: &Body) -> Result<Node, String> {
    if let Some(item) = body
        .items
        .iter()
        .find(|item| !SOURCE.contains(&item.key.as_str()))
    {
        return Err(format!("{:?} is not a setting of a source", item.key));
    }
    let text = |key: &str| {
        let item = body.item(key);
        item.and_then(|item| item.value.to_text())
            .unwrap_or_default()
    };
    let need = |key: &str| match text(key) {
        "" => Err(format!("a source {:?} needs {key:?}", text("eval_source"))),
        value => Ok(value.to_owned()),
    };
    let field = |name: &str| {
        Ok::<_, String>(Field {
            initialize: need("initialize_name")?,
            request: need(name)?,
            path: selector(body)?,
        })
    };
    let source = match text("eval_source") {
        "env" => Source::Env(need("env_var")?),
        "file" => Source::File(need("path")?.into()),
        "request" => Source::Request(field("request_name")?),
        "response" => Source::Response(field("response_name")?),
        other => {
            return Err(format!(
                "eval_source {other:?} is not offered: there are env, file, request and response"
            ));
        }
    };
    let convert = Convert::parse(text("eval_type"))
        .ok_or_else(|| "eval_type has to be string, int, float, bool, map or any".to_owned())?;
    Ok(Node::From(source, convert))
}

/// A name, or a list of names.
fn selector(body: &Body) -> Result<Vec<String>, String> {
    let wrong = || "field_selector has to be a name or a list of names".to_owned();
    let Some(item) = body.item("field_selector") else {
        return Ok(Vec::new());
    };
    let names = match item.value.as_list() {
        Some(names) => names.iter().map(|name| name.to_text()).collect(),
        None => vec![item.value.to_text()],
    };
    let names: Option<Vec<_>> = names.into_iter().collect();
    let names = names.ok_or_else(wrong)?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Stanza>, String> {
        let body = keyfold_api::hcl::parse_any(text).map_err(|error| error.to_string())?;
        let file: Arc<Path> = Arc::from(Path::new("k.hcl"));
        let blocks = body.labelled_blocks("initialize", 1);
        let blocks = blocks.map_err(|error| error.to_string())?;
        let mut warnings = Vec::new();
        let stanzas = blocks.iter().map(|block| read(&file, block, &mut warnings));
        stanzas
            .collect::<Result<_, _>>()
            .map_err(|error: ConfigError| error.to_string())
    }

    #[test]
    fn requests_in_order_with_their_sources() {
        let stanzas = read_text(
            r#"
            initialize "people" {
              request "mount" {
                operation = "update"
                path = "sys/auth/userpass"
                data = { type = "userpass" }
              }
              request "ann" {
                operation = "create"
                path = "/auth/userpass/users/ann"
                data = {
                  password = { eval_source = "env" env_var = "PASSWORD" eval_type = "string" }
                  token_policies = ["default", "ann"]
                  token_ttl = 60
                }
                headers = { "X-Why" = ["setup"] }
                when = { eval_source = "env" env_var = "PEOPLE" }
                allow_failure = true
              }
            }
            "#,
        )
        .unwrap();
        let [stanza] = stanzas.as_slice() else {
            panic!("one stanza")
        };
        let [mount, ann] = stanza.requests.as_slice() else {
            panic!("two requests")
        };
        assert_eq!((mount.name.as_str(), mount.allow_failure), ("mount", false));
        assert_eq!(ann.path, "auth/userpass/users/ann");
        assert!(matches!(&ann.headers, Node::Object(headers) if headers[0].0 == "X-Why"));
        assert!(matches!(&ann.when, Some(Node::From(Source::Env(_), _))) && mount.when.is_none());
        let Node::Object(members) = &ann.data else {
            panic!("an object")
        };
        assert!(
            matches!(&members[0].1, Node::From(Source::Env(name), Convert::Text) if name == "PASSWORD")
        );
        assert!(matches!(&members[1].1, Node::List(names) if names.len() == 2));
    }

    #[test]
    fn mistakes_name_their_line() {
        let request = |inner: &str| {
            let text = format!("initialize \"i\" {{\n  request \"r\" {{\n{inner}\n  }}\n}}");
            read_text(&text).err().unwrap_or_default()
        };
        for (inner, wanted) in [
            (
                "path = \"a\"",
                "k.hcl:2: initialize \"i\" request \"r\" needs \"operation\"",
            ),
            (
                "operation = \"eat\"\npath = \"a\"",
                "k.hcl:3: \"operation\" has to be",
            ),
            ("operation = \"read\"", "needs \"path\""),
            (
                "operation = \"update\"\npath = \"a\"\ndata = { a = { eval_source = \"cel\" } }",
                "k.hcl:5: data: eval_source \"cel\" is not offered",
            ),
            (
                "operation = \"update\"\npath = \"a\"\ndata = { a = { eval_source = \"env\" } }",
                "needs \"env_var\"",
            ),
            (
                "operation = \"read\"\npath = \"a\"\nwhy = \"x\"",
                "unknown setting \"why\"",
            ),
            (
                "operation = \"read\"\npath = \"a\"\nwhen = { eval_source = \"cel\" }",
                "k.hcl:5: when: eval_source \"cel\" is not offered",
            ),
            (
                "operation = \"read\"\npath = \"a\"\nheaders = \"x\"",
                "k.hcl:5: \"headers\" has to be a block",
            ),
            (
                "operation = \"read\"\npath = \"a\"\nwhen = \"perhaps\"",
                "\"when\" has to be true or false",
            ),
            (
                "operation = \"read\"\npath = \"a\"\nheaders = { \"X Why\" = \"x\" }",
                "headers: \"X Why\" is no name of a header",
            ),
            (
                "operation = \"read\"\npath = \"a\"\nheaders = { \"X-A\" = \"x\" \"x-a\" = \"y\" }",
                "headers: \"x-a\" is there twice",
            ),
        ] {
            let error = request(inner);
            assert!(error.contains(wanted), "{inner}: {error}");
        }
    }

    #[test]
    fn a_request_is_there_once() {
        let request = |path: &str| {
            format!("request \"m\" {{ operation = \"update\" path = \"{path}\" data = {{}} }}")
        };
        let (first, second) = (request("sys/mounts/a"), request("sys/mounts/b"));
        let apart = format!("initialize \"a\" {{ {first} }}\ninitialize \"b\" {{ {second} }}\n");
        for (text, fine) in [
            (apart.clone(), true),
            (apart.replace("\"b\"", "\"a\""), false),
            (format!("initialize \"a\" {{ {first}\n{second} }}\n"), false),
        ] {
            let text = format!("storage \"inmem\" {{}}\n{text}");
            let read = super::super::raw::Raw::parse(&text, Path::new("k.hcl"));
            let refused = read.err().map(|error| error.to_string());
            let said = |why: &String| why.contains("initialize \"a\" has two requests \"m\"");
            assert!(refused.as_ref().is_none_or(said), "{refused:?}");
            assert_eq!(refused.is_none(), fine, "{text}: {refused:?}");
        }
    }
}
