//! Password policies: what generated passwords look like.
//!
//! ```text
//! length = 20
//! rule "charset" {
//!   charset   = "abcdefghijklmnopqrstuvwxyz"
//!   min-chars = 1
//! }
//! ```
//!
//! Its text is stored as it was written; the name is case-sensitive and may hold slashes.

mod recipe;

use crate::barrier::{View, json};
use crate::error::Error;
use crate::policies::{decode, encode, listed};
use crate::ports::storage::Batch;

pub use self::recipe::{Recipe, RecipeError};

const FOLDER: &str = "password-policy/";

/// The password policies of a vault.
pub struct PasswordPolicies {
    view: View,
}

impl PasswordPolicies {
    /// Over core's own view.
    pub fn new(view: View) -> Self {
        Self { view }
    }

    /// The text of a policy.
    pub async fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let stored = self.view.read::<String>(&key(name)).await?;
        Ok(stored.map(|(text, _)| text))
    }

    /// The recipe that a policy's text is.
    pub async fn recipe(&self, name: &str) -> Result<Option<Recipe>, Error> {
        let Some(text) = self.read(name).await? else {
            return Ok(None);
        };
        let damaged = |_| Error::corrupt(format!("sys/{}", key(name)));
        Recipe::parse(&text).map(Some).map_err(damaged)
    }

    /// Writes a policy.
    pub async fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        Recipe::parse(text).map_err(|error| {
            Error::bad(match error {
                RecipeError::Bounds => format!("1 error occurred:\n\t* {error}\n\n"),
                error => format!(
                    "1 error occurred:\n\t* invalid password policy: 1 error occurred:\n\t* \
                     {error}\n\n\n\n"
                ),
            })
        })?;
        let batch = Batch::new().put(key(name), json(&text)?);
        self.view.commit(batch).await.map(|_| ())
    }

    /// Removes a policy; one that is not there is no error.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let batch = Batch::new().delete(key(name));
        self.view.commit(batch).await.map(|_| ())
    }

    /// All names.
    pub async fn list(&self) -> Result<Vec<String>, Error> {
        let stored = self.view.list(FOLDER, "", 0).await?.names;
        let mut names: Vec<String> = stored.iter().map(|name| decode(name)).collect();
        names.sort_by(|one, other| listed(one, other));
        Ok(names)
    }
}

fn key(name: &str) -> String {
    format!("{FOLDER}{}", encode(name))
}
