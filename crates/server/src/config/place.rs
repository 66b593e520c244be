//! Where a setting was written, and the error that says so.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// From 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Its line; none when it came from the environment, the command line or a program.
    pub place: Option<Place>,
}

impl<T> Placed<T> {
    /// A value that stands in no file.
    pub fn given(value: T) -> Self {
        Self { value, place: None }
    }

    /// A remark about this value.
    pub fn remark(&self, message: impl fmt::Display) -> String {
        format!("{}{message}", prefix(self.place.as_ref()))
    }

    /// An error about this value.
    pub fn wrong(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::Wrong {
            place: self.place.clone(),
            message: message.into(),
        }
    }
}

/// The configuration is not one that a server can be started with. The operator's mistake.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}{message}", prefix(place.as_ref()))]
    Wrong {
        /// Where.
        place: Option<Place>,
        /// What.
        message: String,
    },
}

impl ConfigError {
    /// An error about a line.
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self::Wrong {
            place: Some(place),
            message: message.into(),
        }
    }

    /// An error about the whole.
    pub fn whole(message: impl Into<String>) -> Self {
        Self::Wrong {
            place: None,
            message: message.into(),
        }
    }
}

fn prefix(place: Option<&Place>) -> String {
    place.map_or_else(String::new, |place| format!("{place}: "))
}
