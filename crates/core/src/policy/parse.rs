//! Policy text to rules.

use keyfold_api::hcl::{self, Body};

use super::{
    PolicyError, Warning, attributes, remarks,
    rule::{Pattern, Permissions, Rule},
    template::Template,
};

/// Reads all rules of a policy, in order.
pub(super) fn parse(name: &str, text: &str) -> Result<(Vec<Rule>, Vec<Warning>), PolicyError> {
    let body = hcl::parse_any(text)?;
    let mut warnings = Vec::new();
    for (index, item) in body.items.iter().enumerate() {
        match item.key.as_str() {
            "path" => {}
            "name" if item.labels.is_empty() && item.value.as_str().is_some() => {
                attributes::refuse_repeated(&body, index, item)?;
                warnings.extend(remarks::of_name(name, item));
            }
            "name" => return Err(error(item.line, "\"name\" has to be a string")),
            key => return Err(error(item.line, format!("invalid key \"{key}\""))),
        }
    }
    let mut rules = Vec::new();
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
    let pattern = pattern(path, line)?;
    let mut rule = Rule {
        pattern,
        permissions: Permissions::default(),
        line,
        expires: None,
    };
    let words = attributes::read(body, &mut rule)
        .map_err(|e| error(e.line, format!("path \"{path}\": {}", e.message)))?;
    let remarks = remarks::of(path, &rule, &words).into_iter();
    warnings.extend(remarks.map(|what| Warning {
        line,
        message: format!("path \"{path}\": {what}"),
    }));
    Ok(rule)
}

fn pattern(path: &str, line: u32) -> Result<Pattern, PolicyError> {
    let wrong = |what: &str| error(line, format!("path \"{path}\": {what}"));
    if path.contains("+*") {
        return Err(wrong("invalid use of wildcards ('+*' is forbidden)"));
    }
    let unbalanced = "failed to validate policy templating: unbalanced templating characters";
    let template = Template::parse(path).ok_or_else(|| error(line, unbalanced))?;
    if !template.is_plain() {
        return Ok(Pattern::Templated(template));
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    Pattern::checked(path).ok_or_else(|| wrong("too many segments"))
}

impl From<hcl::HclError> for PolicyError {
    fn from(error: hcl::HclError) -> Self {
        Self {
            line: error.line,
            message: error.message,
        }
    }
}

pub(super) fn error(line: u32, message: impl Into<String>) -> PolicyError {
    PolicyError {
        line,
        message: message.into(),
    }
}
