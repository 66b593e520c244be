//! `keyfold list`, `scan`, and the same of `kv`: names in a folder, or below it.

use clap::Args;
use keyfold_client::{Method, Request};
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::logical;
use crate::output::{self, Answer, Table, text_of};
use crate::session::Session;
use crate::variable;

/// Arguments of `list` and `scan`.
#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    page: PageArgs,
    /// The path below /v1/
    path: String,
}

/// Which names are told, and what of them.
#[derive(Args)]
pub(crate) struct PageArgs {
    /// Begin behind this name
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// Names at most; all of them where it is not positive
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<i64>,
    /// Show what the server tells of each name [env: VAULT_DETAILED]
    #[arg(long)]
    detailed: bool,
}

/// How deep it goes.
#[derive(Clone, Copy)]
pub(crate) enum Depth {
    /// Names in the folder.
    Folder,
    /// All names below it.
    Below,
}

/// Lists any path of the API.
pub(crate) fn run(session: &Session, args: &ListArgs, depth: Depth) -> Result<(), CliError> {
    let see = logical::above(&args.path);
    show(
        session,
        &args.page.request(&args.path, depth),
        &args.page,
        see,
    )
}

/// Prints the names that a request asks for. `see` is the command to name where there are none.
pub(crate) fn show(
    session: &Session,
    request: &Request,
    page: &PageArgs,
    see: String,
) -> Result<(), CliError> {
    let response = session.send(request)?;
    let found = logical::found(&response, request.path(), see.clone());
    let answer = match found.and_then(|answer| with_names(answer, request.path(), see)) {
        Err(error)
            if session.output.is_for_programs()
                && (response.status == 404 || matches!(error, CliError::NoValue { .. })) =>
        {
            // Existing clients print this of nothing.
            session.output.document(&Map::new())?;
            return Err(error);
        }
        found => found?,
    };
    if answer.is_wrapped() || (page.is_detailed() && session.output.is_for_programs()) {
        return session.output.answer(&answer);
    }
    let names = logical::keys(&answer)?;
    match answer.datum("key_info").and_then(Value::as_object) {
        Some(info) if page.is_detailed() && !session.output.wants_field() => {
            output::raw(detailed(&names, info).to_string().as_bytes())
        }
        _ => session.output.names(&names),
    }
}

/// OpenBao answers a scan of an empty folder with 200, and no names in it.
fn with_names(answer: Answer, path: &str, see: String) -> Result<Answer, CliError> {
    if answer.is_wrapped() || answer.datum("keys").is_some_and(Value::is_array) {
        return Ok(answer);
    }
    let path = path.to_owned();
    Err(CliError::NoValue { path, see })
}

/// A row for each name, and a column for each thing that is told of any.
fn detailed(names: &[String], info: &Map<String, Value>) -> Table {
    let told = info.values().filter_map(Value::as_object);
    let mut columns: Vec<_> = told.flat_map(|of| of.keys().map(String::as_str)).collect();
    columns.sort_unstable();
    columns.dedup();
    let headings: Vec<_> = ["Keys"]
        .into_iter()
        .chain(columns.iter().copied())
        .collect();
    let rows = names.iter().map(|name| {
        let of = info.get(name);
        let cells = columns.iter().map(|column| {
            let cell = of.and_then(|of| of.get(column));
            cell.map(text_of).unwrap_or_default()
        });
        std::iter::once(name.clone()).chain(cells).collect()
    });
    Table::new(&headings, rows.collect())
}

impl PageArgs {
    /// Whether more than names is to be shown.
    pub(crate) fn is_detailed(&self) -> bool {
        let wished = || variable::text("DETAILED");
        self.detailed || wished().is_some_and(|text| matches!(text.as_str(), "1" | "true"))
    }

    /// The request for these names.
    pub(crate) fn request(&self, path: &str, depth: Depth) -> Request {
        let method = match depth {
            Depth::Folder => Method::List,
            Depth::Below => Method::Scan,
        };
        let mut request = Request::new(method, path);
        if let Some(after) = &self.after {
            request = request.with_query("after", after);
        }
        if let Some(limit) = self.limit.filter(|limit| *limit > 0) {
            request = request.with_query("limit", &limit.to_string());
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_column_for_each_thing_that_is_told() {
        let info = json!({"a": {"x": 1}, "b": {"y": "z"}, "c/": {}});
        let names = ["a", "b", "c/"].map(str::to_owned);
        assert_eq!(
            detailed(&names, info.as_object().unwrap()).to_string(),
            "Keys    x      y\n----    -      -\na       1      n/a\nb       n/a    z\nc/      n/a    n/a\n"
        );
    }
}
