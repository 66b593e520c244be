//! What a policy's author hardly meant: allowed by the language, and without the effect that it
//! seems to have. It is warned of when the policy is written.

use keyfold_api::hcl::Item;

use super::{
    Warning,
    capability::Capability,
    params::Table,
    rule::{Pattern, Rule},
};

/// Remarks on one rule; `words` are its capabilities as they were written.
pub(super) fn of(path: &str, rule: &Rule, words: &[Capability]) -> Vec<String> {
    let mut remarks = match &rule.pattern {
        Pattern::Templated(template) if template.is_idle() => {
            vec!["nothing fills one of its templates: the rule is for no path".to_owned()]
        }
        _ => of_path(path),
    };
    let mut remark = |text: &str| remarks.push(text.to_owned());
    let has = |capability| words.contains(&capability);
    let lists = has(Capability::List) || has(Capability::Scan);
    let permissions = &rule.permissions;
    if words.is_empty() {
        remark("without capabilities it permits nothing, whatever broader paths permit");
    }
    if has(Capability::Deny) && words.iter().any(|word| *word != Capability::Deny) {
        remark("\"deny\" leaves nothing of the other capabilities");
    }
    if words == [Capability::Sudo] {
        remark("\"sudo\" alone permits nothing: it comes on top of another capability");
    }
    if permissions.pagination_limit.is_some() && !lists {
        remark("pagination_limit has no effect without \"list\" or \"scan\"");
    }
    if !permissions.keys_filters.is_empty() && !lists {
        remark("list_scan_response_keys_filter_path has no effect without \"list\" or \"scan\"");
    }
    for table in [&permissions.params.allowed, &permissions.params.denied] {
        remarks.extend(of_values(table));
    }
    remarks
}

/// The name within the text decides nothing.
pub(super) fn of_name(name: &str, item: &Item) -> Option<Warning> {
    let differs = item.value.as_str().is_some_and(|inner| inner != name);
    differs.then(|| Warning {
        line: item.line,
        message: "\"name\" has no effect: the policy is called as it is written".to_owned(),
    })
}

fn of_path(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let stem = path.strip_suffix('*').unwrap_or(path);
    let mut remarks = Vec::new();
    let mut remark = |text: &str| remarks.push(text.to_owned());
    let ordinary = "here it is an ordinary character";
    if stem.contains('*') {
        remark(&format!(
            "'*' is a wildcard only at the end of a path, {ordinary}"
        ));
    }
    if path
        .split('/')
        .any(|part| part.len() > 1 && part.contains('+'))
    {
        remark(&format!(
            "'+' is a wildcard only as a whole segment, {ordinary}"
        ));
    }
    if stem.contains("//") || stem.starts_with('/') {
        remark("no request has an empty segment in its path");
    }
    if stem.split('/').any(|part| matches!(part, "." | "..")) {
        remark("no request has a segment '.' or '..' in its path");
    }
    if stem.starts_with("v1/") {
        remark("paths of policies begin below v1/");
    }
    if stem.trim() != stem {
        remark("the path begins or ends with a space");
    }
    remarks
}

fn of_values(table: &Table) -> impl Iterator<Item = String> {
    let misplaced = |text: &str| text.trim_matches('*').contains('*');
    table
        .iter()
        .filter(move |(_, values)| values.iter().filter_map(|v| v.as_str()).any(misplaced))
        .map(|(name, _)| {
            format!(
                "parameter \"{name}\": '*' is a wildcard only at the ends of a value, within it is \
                 an ordinary character"
            )
        })
}
