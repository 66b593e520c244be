//! Contexts that nothing is derived for: they look as if they separated one caller's ciphertexts from another's, and
//! do not. A call with one is warned of, as existing servers' clients send them; a mount with the option
//! `strict_context` refuses it.

use std::collections::BTreeMap;

use keyfold_core::error::Error;
use keyfold_core::reply::Reply;

use super::Transit;

const OPTION: &str = "strict_context";
const IDLE: &str =
    "the key is not derived, so context has no effect: it neither separates nor protects anything";

/// What the options of a mount say.
pub(super) fn is_strict(options: &BTreeMap<String, String>) -> Result<bool, Error> {
    match options.get(OPTION).map(String::as_str) {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Error::field(
            &format!("options.{OPTION}"),
            "must be \"true\" or \"false\"",
        )),
    }
}

/// Whether a call came with a context that has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Idle(bool);

impl Idle {
    /// The answer, with its warning.
    pub fn told(self, reply: Reply) -> Reply {
        match self.0 {
            true => reply.warn(IDLE),
            false => reply,
        }
    }
}

impl Transit {
    /// Looks at whether a context was given, and whether a key of the call is derived.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for one without effect where the mount is strict.
    pub(super) fn idle(&self, given: bool, derived: bool) -> Result<Idle, Error> {
        let idle = given && !derived;
        match idle && self.strict {
            true => Err(Error::field("context", IDLE)),
            false => Ok(Idle(idle)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let of = |value: Option<&str>| {
            let options = value.map(|value| (OPTION.to_owned(), value.to_owned()));
            is_strict(&options.into_iter().collect())
        };
        for value in [None, Some(""), Some("false")] {
            assert!(!of(value).unwrap(), "{value:?}");
        }
        assert!(of(Some("true")).unwrap());
        for value in ["1", "TRUE", "yes"] {
            let error = of(Some(value)).unwrap_err().to_string();
            assert!(error.contains("options.strict_context"), "{error}");
        }
    }
}
