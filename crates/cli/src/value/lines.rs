//! JSON lines: a process that seals and opens values for a program in any language.
//!
//! ```text
//! → {"op":"seal","table":"customers","column":"iban","key":"4711","plaintext":"REUwMg=="}
//! ← {"value":"kf1:AQAAAAG…"}
//! → {"op":"open","table":"customers","column":"iban","key":"4711","value":"kf1:AQAAAAG…"}
//! ← {"plaintext":"REUwMg=="}
//! → {"op":"counters"}
//! ← {"hits":1,"misses":2,…}
//! ```
//!
//! Each line has one answer, in order; what is wrong with a line is an answer, too: `{"error":…,
//! "exit_code":…}`. Plaintext is base64. A key that is no text is `key_base64`.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};

use keyfold_api::base64;
use keyfold_envelope::cache::{CacheCounters, Load};
use keyfold_envelope::keyring::ServiceDeks;
use keyfold_envelope::value::{self, Place, ValueError, ValueKeys as _};
use keyfold_secret::Secret;
use serde::Deserialize;
use serde_json::json;

use crate::error::CliError;
use crate::exit;

/// Longest line, in bytes.
const LONGEST: usize = 64 << 20;
/// Bytes that are read at once: some hundred values.
const BATCH: usize = 256 << 10;

/// Answers each line of `input` until it ends.
pub(super) fn run(
    deks: &ServiceDeks,
    input: impl Read,
    mut output: impl Write,
) -> Result<(), CliError> {
    let mut input = BufReader::with_capacity(BATCH, input);
    let mut worker = Worker {
        deks,
        plaintext: Secret::new(Vec::new()),
        sealed: Vec::new(),
    };
    let mut line = Secret::new(Vec::new());
    let mut answers = Secret::new(Vec::with_capacity(BATCH));
    loop {
        let more = read_line(&mut input, line.expose_mut());
        let more = more.map_err(CliError::io("can't read standard input"))?;
        if more == Line::End {
            break;
        }
        worker.answer(more, line.expose(), answers.expose_mut());
        // Whoever waits for an answer before he writes the next line gets it now.
        if !input.buffer().contains(&b'\n') || answers.expose().len() >= BATCH {
            write(&mut output, answers.expose_mut())?;
        }
    }
    write(&mut output, answers.expose_mut())
}

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads one line without its end. Of one that is too long nothing is kept.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Line> {
    line.clear();
    let mut kind = Line::End;
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(kind);
        }
        if kind == Line::End {
            kind = Line::Whole;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        if line.len().saturating_add(part.len()) > LONGEST {
            kind = Line::TooLong;
            line.clear();
        }
        if kind == Line::Whole {
            line.extend_from_slice(part);
        }
        let used = part.len().saturating_add(usize::from(end.is_some()));
        input.consume(used);
        if end.is_some() {
            return Ok(kind);
        }
    }
}

fn write(output: &mut impl Write, answers: &mut Vec<u8>) -> Result<(), CliError> {
    let written = output.write_all(answers).and_then(|()| output.flush());
    answers.clear();
    written.map_err(CliError::io("can't write the output"))
}

/// A line's content. `plaintext` is a secret, the rest is not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    table: Cow<'a, str>,
    #[serde(borrow, default)]
    column: Cow<'a, str>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key_base64: Option<Cow<'a, str>>,
    plaintext: Option<Secret<String>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

/// Why a line has no good answer.
enum Fault {
    Line(String),
    Value(ValueError),
}

impl From<ValueError> for Fault {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}

struct Worker<'a> {
    deks: &'a ServiceDeks,
    plaintext: Secret<Vec<u8>>,
    sealed: Vec<u8>,
}

impl Worker<'_> {
    /// Appends the answer to one line.
    fn answer(&mut self, kind: Line, line: &[u8], answers: &mut Vec<u8>) {
        let answered = match kind {
            Line::TooLong => Err(Fault::Line(format!("a line has at most {LONGEST} bytes"))),
            _ => self.work(line, answers),
        };
        if let Err(fault) = answered {
            let (text, code) = match fault {
                Fault::Line(text) => (text, 1),
                Fault::Value(error) => (error.to_string(), exit::of_value(&error).0),
            };
            let fault = json!({"error": text, "exit_code": code});
            answers.extend_from_slice(fault.to_string().as_bytes());
        }
        answers.push(b'\n');
    }

    /// Appends a good answer, or nothing.
    fn work(&mut self, line: &[u8], answers: &mut Vec<u8>) -> Result<(), Fault> {
        let asked: Asked<'_> = serde_json::from_slice(line).map_err(|error| {
            Fault::Line(format!("not a line of this protocol: {}", place(&error)))
        })?;
        match &*asked.op {
            "seal" => {
                let text = self.seal(&asked)?;
                member(answers, "value", &text);
            }
            "open" => {
                self.open(&asked)?;
                let text = Secret::new(base64::encode(self.plaintext.expose()));
                member(answers, "plaintext", text.expose());
            }
            "counters" => {
                let counters = counters(self.deks.counters());
                answers.extend_from_slice(counters.to_string().as_bytes());
            }
            _ => return Err(fault("op is seal, open or counters")),
        }
        Ok(())
    }

    fn seal(&mut self, asked: &Asked<'_>) -> Result<String, Fault> {
        let text = asked.plaintext.as_ref();
        let text = text.ok_or_else(|| fault("seal needs plaintext"))?;
        let plaintext = base64::decode(text.expose());
        let plaintext = plaintext.map_err(|_| fault("plaintext is not base64"))?;
        let plaintext = Secret::new(plaintext);
        let key = asked.key()?;
        let load = Load {
            uses: 1,
            bytes: plaintext.expose().len() as u64,
        };
        let by = self.deks.value_key(load)?;
        by.seal_into(&asked.place(&key), plaintext.expose(), &mut self.sealed)?;
        Ok(value::to_text(&self.sealed))
    }

    fn open(&mut self, asked: &Asked<'_>) -> Result<(), Fault> {
        let text = asked.value.as_ref();
        let text = text.ok_or_else(|| fault("open needs value"))?;
        let sealed = value::from_text(text)?;
        let key = asked.key()?;
        let by = self.deks.key(value::dek_no(&sealed)?)?;
        by.open_into(&asked.place(&key), &sealed, &mut self.plaintext)?;
        Ok(())
    }
}

impl Asked<'_> {
    fn key(&self) -> Result<Cow<'_, [u8]>, Fault> {
        match (&self.key, &self.key_base64) {
            (Some(key), None) => Ok(Cow::Borrowed(key.as_bytes())),
            (None, Some(key)) => base64::decode(key)
                .map(Cow::Owned)
                .map_err(|_| fault("key_base64 is not base64")),
            _ => Err(fault("key or key_base64 is needed, and one of them")),
        }
    }

    fn place<'a>(&'a self, key: &'a [u8]) -> Place<'a> {
        Place {
            table: &self.table,
            column: &self.column,
            key,
        }
    }
}

/// Appends an object with one member whose value needs no escapes.
fn member(answers: &mut Vec<u8>, name: &str, value: &str) {
    for part in ["{\"", name, "\":\"", value, "\"}"] {
        answers.extend_from_slice(part.as_bytes());
    }
}

fn counters(counters: CacheCounters) -> serde_json::Value {
    json!({
        "hits": counters.hits,
        "misses": counters.misses,
        "refreshes": counters.refreshes,
        "failed_refreshes": counters.failed_refreshes,
        "evictions": counters.evictions,
        "refusals": counters.refusals,
        "offline_uses": counters.offline_uses,
        "entries": counters.entries,
    })
}

fn fault(text: &str) -> Fault {
    Fault::Line(text.to_owned())
}

/// Where JSON breaks. The library's own words would quote what it found there.
fn place(error: &serde_json::Error) -> String {
    format!("column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let mut input = BufReader::with_capacity(3, input);
        let (mut line, mut lines) = (Vec::new(), Vec::new());
        loop {
            match read_line(&mut input, &mut line).unwrap() {
                Line::End => return lines,
                kind => lines.push((kind == Line::Whole, line.clone())),
            }
        }
    }

    #[test]
    fn lines_end_with_a_line_feed_or_the_input() {
        let whole = |text: &str| (true, text.as_bytes().to_vec());
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n"), [whole("")]);
        assert_eq!(
            lines(b"abcdef\n\ng"),
            [whole("abcdef"), whole(""), whole("g")]
        );
        let long = [vec![b'x'; LONGEST + 1], b"\nok\n".to_vec()].concat();
        assert_eq!(lines(&long), [(false, Vec::new()), whole("ok")]);
    }
}
