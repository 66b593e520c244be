//! [`Page`]: how the story looks. Colours and lines on a terminal, plain ASCII elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use super::error::DemoError;
use super::tree::{Art, Tree};
use crate::output;

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Where the story is printed.
pub(super) struct Page {
    colours: bool,
    art: Art,
}

impl Page {
    /// Standard output, as it is.
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let mute = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colours: terminal && !dumb && !mute,
            art: if terminal && !dumb {
                Art::Lines
            } else {
                Art::Ascii
            },
        }
    }

    /// Begins a chapter.
    pub(super) fn chapter(&self, number: usize, title: &str) -> Result<(), DemoError> {
        self.put(&format!(
            "\n{}",
            self.paint(BOLD, &format!("{number}. {title}"))
        ))
    }

    /// What is going on.
    pub(super) fn say(&self, text: &str) -> Result<(), DemoError> {
        self.put(&format!("   {text}"))
    }

    /// Something that was checked and holds.
    pub(super) fn holds(&self, text: &str) -> Result<(), DemoError> {
        let mark = match self.art {
            Art::Lines => self.paint(GREEN, "✓"),
            Art::Ascii => "ok".to_owned(),
        };
        self.put(&format!("   {mark} {text}"))
    }

    /// The hierarchy of keys.
    pub(super) fn tree(&self, tree: &Tree) -> Result<(), DemoError> {
        for line in tree.lines(self.art) {
            let note = match line.note.as_str() {
                "" => String::new(),
                note => format!("  {}", self.paint(DIM, note)),
            };
            self.put(&format!(
                "     {}{}{note}",
                self.paint(DIM, &line.branch),
                line.label
            ))?;
        }
        Ok(())
    }

    /// The last line.
    pub(super) fn end(&self, text: &str) -> Result<(), DemoError> {
        self.put(&format!("\n{}", self.paint(BOLD, text)))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours && !text.is_empty() {
            format!("{colour}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }

    fn put(&self, line: &str) -> Result<(), DemoError> {
        Ok(output::line(&self.art.fit(line))?)
    }
}

/// `8,388,608`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.8 ms`, `12 ms`, `1.3 s`.
pub(super) fn seconds(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    }
}

/// The first 16 digits of a hash, which is plenty to compare by eye.
pub(super) fn short_hex(hash: &[u8; 32]) -> String {
    let mut text = String::new();
    for byte in hash.iter().take(8) {
        text.push_str(&format!("{byte:02x}"));
    }
    text + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (8_388_608, "8,388,608"),
            (100_000, "100,000"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (micros, text) in [(800, "0.8 ms"), (12_300, "12 ms"), (1_300_000, "1.3 s")] {
            assert_eq!(seconds(Duration::from_micros(micros)), text);
        }
        assert_eq!(short_hex(&[0xab; 32]), "abababababababab...");
    }

    #[test]
    fn colour_only_where_it_shows() {
        let page = |colours| Page {
            colours,
            art: Art::Ascii,
        };
        assert_eq!(page(false).paint(BOLD, "x"), "x");
        assert_eq!(page(true).paint(BOLD, "x"), "\x1b[1mx\x1b[0m");
        assert_eq!(page(true).paint(BOLD, ""), "");
    }
}
