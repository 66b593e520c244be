//! Everything that is printed: results on stdout as table, JSON or YAML; remarks on stderr.

mod answer;
mod duration;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use clap::error::ErrorKind;
use keyfold_client::Setup;
use serde::Serialize;
use serde_json::Value;

pub(crate) use answer::Answer;
pub(crate) use table::{Table, heading, text_of};

use crate::error::CliError;
use crate::exit::Exit;
use crate::variable;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[value(alias = "pretty")]
    Table,
    /// For programs.
    Json,
    /// For programs.
    #[value(alias = "yml")]
    Yaml,
    /// As the server answers: `read` alone.
    Raw,
}

/// Prints results in the form that was asked for.
#[derive(Clone)]
pub(crate) struct Output {
    format: Format,
    field: Option<String>,
}

impl Output {
    pub(crate) fn new(format: Format, field: Option<String>) -> Self {
        Self { format, field }
    }

    /// Whether people are to read it.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Whether the answer is to be printed as it came.
    pub(crate) fn is_raw(&self) -> bool {
        self.format == Format::Raw
    }

    /// Whether programs are to read it, all of it.
    pub(crate) fn is_for_programs(&self) -> bool {
        !self.is_table() && !self.wants_field()
    }

    /// Whether one member alone is to be printed.
    pub(crate) fn wants_field(&self) -> bool {
        self.field.is_some()
    }

    /// Whether it is this one.
    pub(crate) fn field_is(&self, name: &str) -> bool {
        self.field.as_deref() == Some(name)
    }

    /// Prints a result: for programs `value`, for people `table`; where a field was asked for, that
    /// member of `value` alone.
    pub(crate) fn result<T: Serialize + ?Sized>(
        &self,
        value: &T,
        table: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if let Some(field) = &self.field {
            let value = serde_json::to_value(value).unwrap_or_default();
            return self.field(value.get(field), field);
        }
        match self.format {
            Format::Table => raw(table().as_bytes()),
            _ => self.document(value),
        }
    }

    /// Prints an answer of the API. Its warnings go to stderr, or with it where programs read.
    pub(crate) fn answer(&self, answer: &Answer) -> Result<(), CliError> {
        if let Some(field) = &self.field {
            return self.field(answer.field(field).as_ref(), field);
        }
        if self.is_table() {
            self.warnings(answer.warnings());
            return raw(answer.table().to_string().as_bytes());
        }
        self.document(answer)
    }

    /// Tells people of warnings, on stderr. Programs read them in the answer.
    pub(crate) fn warnings(&self, warnings: &[String]) {
        for warning in warnings.iter().filter(|_| self.is_table()) {
            note(&format!("WARNING: {warning}"));
        }
    }

    /// Prints names: a list for programs, one a line below a heading for people.
    pub(crate) fn names(&self, names: &[String]) -> Result<(), CliError> {
        self.result(names, || {
            let rows = names.iter().map(|name| vec![name.clone()]);
            Table::new(&["Keys"], rows.collect()).to_string()
        })
    }

    /// Prints names without a heading, where existing clients do so.
    pub(crate) fn bare_names(&self, names: &[String]) -> Result<(), CliError> {
        self.result(names, || {
            names.iter().map(|name| format!("{name}\n")).collect()
        })
    }

    /// Says what was done. Where programs read stdout, it goes to stderr: it is no document. (Commands
    /// whose existing forms have no documents at all print it by [`line()`].)
    pub(crate) fn done(&self, sentence: &str) -> Result<(), CliError> {
        if self.is_table() {
            return line(sentence);
        }
        note(sentence);
        Ok(())
    }

    /// Prints one member, as it is where people or scripts read it.
    fn field(&self, value: Option<&Value>, name: &str) -> Result<(), CliError> {
        let value = value.ok_or_else(|| CliError::NoField(name.to_owned()))?;
        if self.format != Format::Table {
            return self.document(value);
        }
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        raw(text.as_bytes())?;
        // A shell's prompt belongs on a line of its own; a file gets the value and nothing else.
        if io::stdout().is_terminal() {
            raw(b"\n")?;
        }
        Ok(())
    }

    /// Prints a value for programs.
    pub(crate) fn document<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CliError> {
        let text = match self.format {
            Format::Yaml => serde_norway::to_string(value).ok(),
            _ => serde_json::to_string_pretty(value)
                .ok()
                .map(|json| json + "\n"),
        };
        raw(text.ok_or(CliError::Answer("printable form"))?.as_bytes())
    }
}

/// The format that the environment asks for.
pub(crate) fn format_of_env() -> Result<Format, CliError> {
    let Some((name, value)) = variable::find("FORMAT") else {
        return Ok(Format::Table);
    };
    value
        .to_str()
        .and_then(|text| Format::from_str(text, true).ok())
        .ok_or_else(|| CliError::Usage(format!("{name} must be table, json, yaml, pretty or raw")))
}

/// Prints bytes on stdout.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(CliError::io("can't write the output"))
}

/// Prints a line on stdout.
pub(crate) fn line(text: &str) -> Result<(), CliError> {
    raw(format!("{text}\n").as_bytes())
}

/// Prints a remark on stderr. Nobody may read it, and that is no error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints an error and the next step, for a client that was set up so, on stderr.
pub(crate) fn report(error: &CliError, setup: &Setup) {
    if matches!(error.exit(), Exit::CLOSED | Exit::OK) {
        return;
    }
    note(&format!("keyfold: {error}"));
    if let Some(hint) = error.hint(setup) {
        note(&format!("  {hint}"));
    }
}

/// Prints what clap has to say: help on stdout, a mistake on stderr.
pub(crate) fn usage(error: &clap::Error) -> Result<Exit, CliError> {
    let text = error.render();
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let styled = io::stdout().is_terminal();
        let text = if styled {
            text.ansi().to_string()
        } else {
            text.to_string()
        };
        raw(text.as_bytes())?;
        return Ok(Exit::OK);
    }
    note(text.to_string().trim_end());
    Ok(Exit::LOCAL)
}
