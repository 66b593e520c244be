//! The text of a password policy, and passwords made by it.

use keyfold_api::hcl::{self, Body, HclError, Item, Value};
use keyfold_keys::rng;
use keyfold_secret::Secret;

/// How a password is made: so many characters, of these sets.
#[derive(Debug)]
pub struct Recipe {
    length: usize,
    rules: Vec<Charset>,
    /// The characters of all sets, each once.
    all: Vec<char>,
}

/// Characters, so many of which have to be in a password.
#[derive(Debug)]
struct Charset {
    characters: Vec<char>,
    least: usize,
}

/// The policy's author made a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// Its length is none that passwords have.
    #[error("passwords must be between 4 and 100 characters")]
    Bounds,
    /// No length, or one below one.
    #[error("length must be > 0")]
    Length,
    /// No characters to choose from.
    #[error("no charset specified")]
    NoCharset,
    /// A character that nobody can type.
    #[error("non-printable character in charset")]
    Unprintable,
    /// More characters are demanded than a password has.
    #[error("specified rules require at least {0} characters but {1} is specified")]
    TooMany(usize, usize),
    /// The text is not in the language.
    #[error("{message} on line {line}")]
    Text {
        /// From 1.
        line: u32,
        /// What is wrong there.
        message: String,
    },
}

impl Recipe {
    /// Reads a policy, in HCL or JSON. What it does not know is refused: a misspelt attribute would
    /// make weaker passwords than its author believes.
    pub fn parse(text: &str) -> Result<Self, RecipeError> {
        let body = hcl::parse_any(text)?;
        let mut length = 0;
        for (index, item) in body.items.iter().enumerate() {
            match item.key.as_str() {
                "length" => {
                    once(&body, index, item)?;
                    length = number(item)?;
                }
                "rule" => {}
                key => return Err(wrong(item, format!("invalid key \"{key}\""))),
            }
        }
        let mut rules = Vec::new();
        for (kind, body, line) in body.blocks("rule")? {
            if kind != "charset" {
                let message = format!("unrecognized rule type \"{kind}\"");
                return Err(RecipeError::Text { line, message });
            }
            rules.push(charset(body)?);
        }
        Self::new(length, rules)
    }

    fn new(length: usize, rules: Vec<Charset>) -> Result<Self, RecipeError> {
        let all = rules
            .iter()
            .flat_map(|rule| rule.characters.iter().copied());
        let all = each_once(all);
        let least = rules
            .iter()
            .fold(0_usize, |sum, rule| sum.saturating_add(rule.least));
        let unsatisfiable = |rule: &Charset| rule.characters.is_empty() && rule.least > 0;
        if length == 0 {
            Err(RecipeError::Length)
        } else if all.is_empty() || rules.iter().any(unsatisfiable) {
            Err(RecipeError::NoCharset)
        } else if all.iter().any(|c| c.is_control()) {
            Err(RecipeError::Unprintable)
        } else if least > length {
            Err(RecipeError::TooMany(least, length))
        } else if !(4..=100).contains(&length) {
            Err(RecipeError::Bounds)
        } else {
            Ok(Self { length, rules, all })
        }
    }

    /// A new password: of each set as many characters as it demands, the others from all sets, in
    /// random order.
    pub fn password(&self) -> Secret<String> {
        let mut characters = Vec::with_capacity(self.length);
        for rule in &self.rules {
            characters.extend((0..rule.least).filter_map(|_| draw(&rule.characters)));
        }
        while characters.len() < self.length {
            let Some(character) = draw(&self.all) else {
                break;
            };
            characters.push(character);
        }
        for last in (1..characters.len()).rev() {
            characters.swap(last, below(last + 1));
        }
        Secret::new(characters.into_iter().collect())
    }
}

fn charset(body: &Body) -> Result<Charset, RecipeError> {
    let mut charset = Charset {
        characters: Vec::new(),
        least: 0,
    };
    for (index, item) in body.items.iter().enumerate() {
        once(body, index, item)?;
        match item.key.as_str() {
            "charset" => {
                let text = item.value.as_str().filter(|_| item.labels.is_empty());
                let text = text.ok_or_else(|| wrong(item, "\"charset\" has to be text"))?;
                charset.characters = each_once(text.chars());
            }
            "min-chars" => charset.least = number(item)?,
            key => return Err(wrong(item, format!("invalid key \"{key}\""))),
        }
    }
    Ok(charset)
}

fn once(body: &Body, index: usize, item: &Item) -> Result<(), RecipeError> {
    let mut earlier = body.items.iter().take(index);
    match earlier.any(|earlier| earlier.key == item.key) {
        true => Err(wrong(item, format!("duplicate key \"{}\"", item.key))),
        false => Ok(()),
    }
}

/// A whole number; one below zero is zero.
fn number(item: &Item) -> Result<usize, RecipeError> {
    let number = match &item.value {
        Value::Number(text) if item.labels.is_empty() => text.parse::<i64>().ok(),
        _ => None,
    };
    let number =
        number.ok_or_else(|| wrong(item, format!("\"{}\" has to be a whole number", item.key)))?;
    Ok(usize::try_from(number).unwrap_or(0))
}

fn each_once(characters: impl Iterator<Item = char>) -> Vec<char> {
    let mut once: Vec<char> = characters.collect();
    once.sort_unstable();
    once.dedup();
    once
}

fn draw(characters: &[char]) -> Option<char> {
    characters.get(below(characters.len())).copied()
}

/// A random number less than `limit`, each as likely as the others; zero where there is none.
fn below(limit: usize) -> usize {
    let Ok(limit) = u32::try_from(limit) else {
        return 0;
    };
    if limit < 2 {
        return 0;
    }
    // Values of an incomplete last round would favour the small numbers: draw again.
    let fair = u32::MAX - u32::MAX % limit;
    loop {
        let number = u32::from_be_bytes(rng::bytes::<4>());
        if number < fair {
            return usize::try_from(number % limit).unwrap_or(0);
        }
    }
}

fn wrong(item: &Item, message: impl Into<String>) -> RecipeError {
    RecipeError::Text {
        line: item.line,
        message: message.into(),
    }
}

impl From<HclError> for RecipeError {
    fn from(error: HclError) -> Self {
        Self::Text {
            line: error.line,
            message: error.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> String {
        Recipe::parse(text).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn passwords_keep_to_the_recipe() {
        let text = "length = 12\nrule \"charset\" { charset = \"aab\" min-chars = 3 }\n\
                    rule \"charset\" { charset = \"12é\" min-chars = 9 }";
        let recipe = Recipe::parse(text).unwrap();
        for _ in 0..100 {
            let password = recipe.password();
            let letters = password
                .expose()
                .chars()
                .filter(|c| "ab".contains(*c))
                .count();
            let others = password
                .expose()
                .chars()
                .filter(|c| "12é".contains(*c))
                .count();
            assert_eq!((letters, others), (3, 9));
        }
        // Rules that leave no choice of sets are met at once.
        let hard = "length = 100\nrule \"charset\" { charset = \"a\" min-chars = 100 }\n\
                    rule \"charset\" { charset = \"b\" }";
        assert_eq!(
            *Recipe::parse(hard).unwrap().password().expose(),
            "a".repeat(100)
        );
        let json = r#"{"length": 20, "rule": [{"charset": {"charset": "abc", "min-chars": 1}}]}"#;
        assert_eq!(Recipe::parse(json).unwrap().password().expose().len(), 20);
    }

    #[test]
    fn every_character_comes_and_in_every_place() {
        let text = "length = 4\nrule \"charset\" { charset = \"abcd\" }";
        let recipe = Recipe::parse(text).unwrap();
        let mut seen = [[false; 4]; 4];
        // One is missed with a chance of (3/4)^400.
        for _ in 0..400 {
            for (place, c) in recipe.password().expose().bytes().enumerate() {
                seen[place][usize::from(c - b'a')] = true;
            }
        }
        assert!(seen.iter().flatten().all(|seen| *seen));
    }

    #[test]
    fn mistakes_are_named() {
        let set = |attributes: &str| format!("rule \"charset\" {{ {attributes} }}");
        let ab = set("charset = \"ab\"");
        let table = [
            ("length = 20".to_owned(), "no charset specified"),
            (format!("length = 20\n{}", set("")), "no charset specified"),
            (
                format!("length = 20\n{}", set("charset = \"\"")),
                "no charset specified",
            ),
            (ab.clone(), "length must be > 0"),
            (format!("length = -5\n{ab}"), "length must be > 0"),
            (
                format!("length = 3\n{ab}"),
                "passwords must be between 4 and 100 characters",
            ),
            (
                format!("length = 101\n{ab}"),
                "passwords must be between 4 and 100 characters",
            ),
            (
                format!("length = 20\n{}", set("charset = \"ab\" min-chars = 21")),
                "specified rules require at least 21 characters but 20 is specified",
            ),
            (
                format!("length = 20\n{}", set("charset = \"a\\u0001\"")),
                "non-printable character in charset",
            ),
            (
                format!("length = 20\n{}", set("charset = \"ab\" min_chars = 1")),
                "invalid key \"min_chars\" on line 2",
            ),
            (
                format!("length = 20\nlength = 30\n{ab}"),
                "duplicate key \"length\" on line 2",
            ),
            (
                format!("length = \"20\"\n{ab}"),
                "\"length\" has to be a whole number on line 1",
            ),
            (
                format!("length = 20.5\n{ab}"),
                "\"length\" has to be a whole number on line 1",
            ),
            (
                "length = 20\nrule \"foo\" {}".to_owned(),
                "unrecognized rule type \"foo\" on line 2",
            ),
            (
                "length = 20 size = 3".to_owned(),
                "invalid key \"size\" on line 1",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(mistake(&text), expected, "{text}");
        }
    }
}
