//! `keyfold policy fmt`.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use keyfold_api::hcl;
use keyfold_server::Policy;

use crate::error::CliError;
use crate::output;

/// Writes a policy's file anew in the usual form; standard input goes to standard output. A policy
/// that no server would take is left as it is.
pub(super) fn run(file: &str) -> Result<(), CliError> {
    if file == "-" {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        read.map_err(CliError::io("can't read standard input"))?;
        return output::raw(formatted("standard input", "", &text)?.as_bytes());
    }
    let text = fs::read_to_string(file).map_err(CliError::io(format!("can't read {file}")))?;
    let name = Path::new(file).file_stem().and_then(|stem| stem.to_str());
    let formatted = formatted(file, name.unwrap_or_default(), &text)?;
    if formatted != text {
        fs::write(file, formatted).map_err(CliError::io(format!("can't write {file}")))?;
    }
    output::line(&format!("Success! Formatted policy: {file}"))
}

fn formatted(source: &str, name: &str, text: &str) -> Result<String, CliError> {
    let refused = |why: &dyn std::fmt::Display| CliError::Usage(format!("{source}: {why}"));
    let (_, warnings) = Policy::parse(name, text).map_err(|error| refused(&error))?;
    for warning in warnings {
        output::note(&format!("WARNING: {source}: {warning}"));
    }
    if text.trim_start().starts_with('{') {
        return Err(refused(
            &"a policy in JSON has no other form: only HCL is formatted",
        ));
    }
    hcl::format(text).map_err(|error| refused(&error))
}
