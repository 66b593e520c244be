//! Secrets typed without echo, or read from a pipe.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use std::sync::atomic::{AtomicBool, Ordering};

use keyfold_secret::Secret;

use crate::error::CliError;

/// The longest line that is taken for a key or a token, in bytes.
const LONGEST: u64 = 64 << 10;

/// Nothing is asked for at the terminal, as the command line wishes.
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From here on nothing is asked for at the terminal.
pub(crate) fn forbid() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// The secret that `argument` stands for: itself, `-` for a line of standard input, or, where there
/// is none, what is typed at the terminal.
pub(crate) fn secret(argument: Option<String>, what: &str) -> Result<Secret<String>, CliError> {
    match argument {
        Some(text) if text == "-" => line(what),
        Some(text) => Ok(trimmed(Secret::new(text))),
        None if FORBIDDEN.load(Ordering::Relaxed) => Err(CliError::Usage(format!(
            "-non-interactive: give the {what} as an argument, or `-` and a line of standard input"
        ))),
        None if io::stdin().is_terminal() => typed(what),
        None => Err(CliError::Usage(format!(
            "there is no terminal to type the {what} at: give it as an argument, or `-` and a line \
             of standard input"
        ))),
    }
}

fn typed(what: &str) -> Result<Secret<String>, CliError> {
    let typed = rpassword::prompt_password(format!("{what} (will not be shown): "))
        .map_err(CliError::io(format!("can't read the {what}")))?;
    Ok(trimmed(Secret::new(typed)))
}

fn line(what: &str) -> Result<Secret<String>, CliError> {
    let mut line = Secret::new(String::with_capacity(256));
    io::stdin()
        .lock()
        .take(LONGEST)
        .read_line(line.expose_mut())
        .map_err(CliError::io(format!("can't read the {what}")))?;
    Ok(trimmed(line))
}

fn trimmed(text: Secret<String>) -> Secret<String> {
    Secret::new(text.expose().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_taken_without_white_space() {
        let secret = secret(Some(" abc\n".to_owned()), "key").unwrap();
        assert!(secret.ct_eq(b"abc"));
    }
}
