//! `seal "kind" "name" { … }` and `seals { … }`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use keyfold_api::hcl::{Block, Body, Value};

use super::place::{ConfigError, Placed};
use super::section::Section;

/// The name that the shares have.
const SHARES: &str = "shamir";
/// Longest name of a seal.
const NAME_MAX: usize = 64;

/// A seal that needs no people: `wiring` knows the kinds, the kinds their settings.
#[derive(Debug, Clone)]
pub struct Seal {
    /// `static`, `transit`, …
    pub kind: String,
    /// Names its wrap in the store.
    pub name: String,
    /// Lower ones are asked first.
    pub priority: u32,
    /// It opens what it wrapped, and is given nothing more.
    pub disabled: bool,
    /// By name.
    pub settings: BTreeMap<String, Placed<String>>,
}

/// All that is written of seals.
#[derive(Default)]
pub struct RawSeals {
    /// In order.
    pub stanzas: Vec<Placed<Seal>>,
    /// `shares_unseal`.
    pub shares_unseal: Option<Placed<bool>>,
    /// `require`.
    pub require: Option<Placed<usize>>,
}

/// Reads what one file has.
pub(super) fn read(
    file: &Arc<Path>,
    section: &mut Section<'_>,
    warnings: &mut Vec<String>,
) -> Result<RawSeals, ConfigError> {
    let mut raw = RawSeals::default();
    for block in section.blocks_of_one_or_two("seal")? {
        let place = section.place(block.line);
        for (name, body) in named(&block) {
            let kind = block.labels.first().copied().unwrap_or_default();
            if let Some(seal) = stanza(file, kind, name, body)? {
                raw.stanzas.push(Placed {
                    value: seal,
                    place: Some(place.clone()),
                });
            }
        }
    }
    for (before, block) in section.blocks("seals", 0)?.into_iter().enumerate() {
        if before > 0 {
            let place = section.place(block.line);
            return Err(ConfigError::at(place, "\"seals\" is set twice"));
        }
        let mut seals = Section::new(file, "seals", block.body);
        raw.shares_unseal = seals.flag("shares_unseal")?.or(raw.shares_unseal);
        raw.require = seals.number("require")?.or(raw.require);
        seals.finish(&[], warnings)?;
    }
    Ok(raw)
}

/// The block with its name; where the JSON form has names as objects, each of them.
fn named<'a>(block: &Block<'a>) -> Vec<(Option<&'a str>, &'a Body)> {
    if let Some(name) = block.labels.get(1) {
        return vec![(Some(*name), block.body)];
    }
    let objects = block.body.items.iter().map(|item| match &item.value {
        Value::Object(body) => Some((Some(item.key.as_str()), body)),
        _ => None,
    });
    let objects: Option<Vec<_>> = objects.collect();
    let names = objects.filter(|objects| !objects.is_empty());
    names.unwrap_or_else(|| vec![(None, block.body)])
}

fn stanza(
    file: &Arc<Path>,
    kind: &str,
    name: Option<&str>,
    body: &Body,
) -> Result<Option<Seal>, ConfigError> {
    let title = match name {
        None => format!("seal \"{kind}\""),
        Some(name) => format!("seal \"{kind}\" \"{name}\""),
    };
    let mut section = Section::new(file, title.clone(), body);
    let disabled = section.flag("disabled")?.is_some_and(|flag| flag.value);
    let priority = section.number("priority")?;
    let within = section.text("name")?;
    let mut settings = Section::new(file, title, body).settings()?;
    for own in ["disabled", "priority", "name"] {
        settings.remove(own);
    }
    if kind == SHARES {
        // The shares are always there: a stanza says nothing new.
        return Ok(None);
    }
    let name = match (&within, name) {
        (Some(inner), Some(outer)) if inner.value != outer => {
            return Err(inner.wrong("\"name\" is another one than the block has"));
        }
        (Some(inner), _) => inner.value.clone(),
        (None, outer) => outer.unwrap_or(kind).to_owned(),
    };
    let priority = match priority {
        None => 0,
        Some(placed) => u32::try_from(placed.value)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| placed.wrong("\"priority\" has to be a number from 1 on"))?,
    };
    Ok(Some(Seal {
        kind: kind.to_owned(),
        name,
        priority,
        disabled,
        settings,
    }))
}

/// Adds the seal that the environment alone asks for, as existing servers have it.
pub(super) fn from_environment(raw: &mut RawSeals, kind: &str) {
    let known = raw.stanzas.iter().any(|seal| seal.value.kind == kind);
    if !known && kind != SHARES {
        raw.stanzas.push(Placed::given(Seal {
            kind: kind.to_owned(),
            name: kind.to_owned(),
            priority: 0,
            disabled: false,
            settings: BTreeMap::new(),
        }));
    }
}

/// How many ways have to come together; one is what there is without it.
pub(super) fn require(written: Option<Placed<usize>>) -> Result<Option<u8>, ConfigError> {
    let Some(placed) = written else {
        return Ok(None);
    };
    match u8::try_from(placed.value) {
        Ok(1) => Ok(None),
        Ok(number) if number > 1 => Ok(Some(number)),
        _ => Err(placed.wrong("\"require\" has to be a number from 1 to 255")),
    }
}

/// Checks names; a seal without a priority comes after those before it.
pub(super) fn resolve(mut stanzas: Vec<Placed<Seal>>) -> Result<Vec<Placed<Seal>>, ConfigError> {
    let mut last = 0;
    for at in 0..stanzas.len() {
        let (before, rest) = stanzas.split_at_mut(at);
        let Some(seal) = rest.first_mut() else { break };
        let name = seal.value.name.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
            return Err(seal.wrong(format!(
                "the name of a seal has 1 to {NAME_MAX} letters, digits, '-', '_' and '.'"
            )));
        }
        if name == SHARES {
            return Err(seal.wrong("\"shamir\" is the name of the shares"));
        }
        let twin = before
            .iter()
            .find(|other| other.value.name == name && other.value.disabled == seal.value.disabled);
        if twin.is_some() {
            return Err(seal.wrong(format!(
                "a second seal \"{name}\": give each a name, seal \"KIND\" \"NAME\" {{ … }}"
            )));
        }
        if seal.value.priority == 0 {
            seal.value.priority = last + 1;
        }
        last = last.max(seal.value.priority);
    }
    Ok(stanzas)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn seals(text: &str) -> Result<Config, String> {
        let text =
            format!("storage \"inmem\" {{}}\nlistener \"tcp\" {{ tls_disable = true }}\n{text}");
        Config::parse(&text, Path::new("k.hcl")).map_err(|error| error.to_string())
    }

    #[test]
    fn several_with_names_and_one_without() {
        let config = seals(
            r#"
            seal "static" { current_key_id = "1" current_key = "k" }
            seal "transit" "north" { priority = "7" address = "http://a" disabled = "true" }
            seal "transit" { name = "south" address = "http://b" }
            seal "shamir" {}
            seals {
              shares_unseal = false
              require = 2
            }
            "#,
        )
        .unwrap();
        let shown = config.seals.iter().map(|seal| {
            let seal = &seal.value;
            let words = (seal.kind.as_str(), seal.name.as_str());
            (words.0, words.1, seal.priority, seal.disabled)
        });
        let shown = shown.collect::<Vec<_>>();
        assert_eq!(
            shown,
            [
                ("static", "static", 1, false),
                ("transit", "north", 7, true),
                ("transit", "south", 8, false)
            ]
        );
        assert_eq!(config.seals[1].value.settings.len(), 1);
        assert_eq!((config.shares_unseal, config.require), (false, Some(2)));
    }

    #[test]
    fn json_has_names_or_has_none() {
        let base = r#""storage": {"inmem": {}}, "listener": {"tcp": {"tls_disable": 1}}"#;
        for (json, wanted) in [
            (r#"{"static": {"current_key_id": "1"}}"#, vec!["static"]),
            (
                r#"{"static": {"a": {"current_key_id": "1"}, "b": {"priority": 1}}}"#,
                vec!["a", "b"],
            ),
            (
                r#"[{"static": {"name": "a"}}, {"transit": {}}]"#,
                vec!["a", "transit"],
            ),
        ] {
            let text = format!("{{{base}, \"seal\": {json}}}");
            let config = Config::parse(&text, Path::new("k.json")).unwrap();
            let names: Vec<_> = config
                .seals
                .iter()
                .map(|seal| seal.value.name.as_str())
                .collect();
            assert_eq!(names, wanted, "{json}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, wanted) in [
            (
                "seal \"static\" {}\nseal \"static\" {}",
                "k.hcl:4: a second seal \"static\"",
            ),
            (
                "seal \"static\" \"shamir\" {}",
                "k.hcl:3: \"shamir\" is the name of the shares",
            ),
            (
                "seal \"static\" \"a/b\" {}",
                "k.hcl:3: the name of a seal has",
            ),
            (
                "seal \"static\" { priority = 0 }",
                "k.hcl:3: \"priority\" has to be",
            ),
            (
                "seal \"static\" \"a\" { name = \"b\" }",
                "k.hcl:3: \"name\" is another one",
            ),
            (
                "seal \"static\" { disabled = 3 }",
                "k.hcl:3: \"disabled\" of seal",
            ),
            (
                "seals { require = 2 }\nseals { require = 1 }",
                "k.hcl:4: \"seals\" is set twice",
            ),
            ("seals { require = 0 }", "k.hcl:3: \"require\" has to be"),
            (
                "seals { banana = 1 }",
                "k.hcl:3: unknown setting \"banana\" of seals",
            ),
        ] {
            let error = seals(text).err().unwrap();
            assert!(error.starts_with(wanted), "{text}: {error}");
        }
        let pair = "seal \"static\" { disabled = true }\nseal \"static\" {}";
        assert_eq!(seals(pair).unwrap().seals.len(), 2);
    }
}
