//! [`Bar`]: how far a long command is, on a terminal only.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use keyfold_envelope::Progress;

const BYTES: &str = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
const FILES: &str = "{msg} {bar:30} {pos}/{len} files {per_sec} {eta}";
const RECORDS: &str = "{msg} {bar:30} {pos}/{len} records {per_sec} {eta}";

/// A bar on stderr. Where stderr is no terminal it draws nothing.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar that counts bytes.
    pub(crate) fn bytes(what: &'static str) -> Self {
        Self::new(what, BYTES)
    }

    /// A bar that counts files.
    pub(crate) fn files(what: &'static str) -> Self {
        Self::new(what, FILES)
    }

    /// A bar that counts records of a server, which says how many it has passed.
    pub(crate) fn records() -> Self {
        Self::new("", RECORDS)
    }

    /// What is being done, and how much of it is.
    pub(crate) fn show(&self, what: &str, passed: u64, records: u64) {
        self.0.set_message(what.to_owned());
        self.0.set_length(records);
        self.0.set_position(passed);
    }

    /// Does `print`, which writes to stderr, in lines above the bar.
    pub(crate) fn above(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    fn new(what: &'static str, template: &str) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(bar)
    }
}

impl Progress for Bar {
    fn total(&self, amount: u64) {
        self.0.set_length(amount);
    }

    fn advance(&self, amount: u64) {
        self.0.inc(amount);
    }

    fn watches(&self) -> bool {
        !self.0.is_hidden()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [BYTES, FILES, RECORDS] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
