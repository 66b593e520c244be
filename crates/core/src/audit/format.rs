//! What a device's options make of a line.

use crate::ports::audit::{DeviceOptions, Origin};

/// How the lines of a device look. Devices of one format share their lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Format {
    /// Strings stand in clear: tokens and secrets, too.
    pub raw: bool,
    /// Accessors stand in clear.
    pub clear_accessor: bool,
    /// Of a list only the number of its entries is told.
    pub elide: bool,
    /// Before each line.
    pub prefix: String,
}

impl Format {
    /// Takes what changes a line out of a device's options; the error names the option.
    pub fn take(options: &mut DeviceOptions, origin: Origin<'_>) -> Result<Self, String> {
        match options.remove("format").as_deref() {
            None | Some("" | "json") => {}
            Some(_) => return Err("format: only json is offered".to_owned()),
        }
        let format = Self {
            raw: flag(options, "log_raw")?.unwrap_or(false),
            clear_accessor: !flag(options, "hmac_accessor")?.unwrap_or(true),
            elide: flag(options, "elide_list_responses")?.unwrap_or(false),
            prefix: options.remove("prefix").unwrap_or_default(),
        };
        let allowed = match origin {
            Origin::Operator => true,
            Origin::Api(rules) => rules.prefix,
        };
        if !format.prefix.is_empty() && !allowed {
            return Err("audit log prefixing is not allowed".to_owned());
        }
        // A line is one line.
        if format.prefix.chars().any(char::is_control) {
            return Err("prefix: has a control character".to_owned());
        }
        Ok(format)
    }
}

fn flag(options: &mut DeviceOptions, name: &str) -> Result<Option<bool>, String> {
    match options.remove(name).as_deref() {
        None | Some("") => Ok(None),
        Some(text) => keyfold_api::weak::parse_bool(text)
            .map(Some)
            .ok_or_else(|| format!("{name}: has to be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::audit::ApiRules;

    fn take(pairs: &[(&str, &str)], origin: Origin<'_>) -> Result<(Format, usize), String> {
        let mut options = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let format = Format::take(&mut options, origin)?;
        Ok((format, options.len()))
    }

    #[test]
    fn options_of_the_line_are_taken_and_others_left() {
        let all = [
            ("log_raw", "true"),
            ("hmac_accessor", "0"),
            ("elide_list_responses", "1"),
            ("prefix", "@cee: "),
            ("format", "json"),
            ("file_path", "x"),
        ];
        let wanted = Format {
            raw: true,
            clear_accessor: true,
            elide: true,
            prefix: "@cee: ".to_owned(),
        };
        assert_eq!(take(&all, Origin::Operator), Ok((wanted, 1)));
        assert_eq!(take(&[], Origin::Operator), Ok((Format::default(), 0)));
    }

    #[test]
    fn mistakes_name_the_option() {
        let refused = |name, value| take(&[(name, value)], Origin::Operator).unwrap_err();
        assert!(refused("log_raw", "maybe").starts_with("log_raw:"));
        assert!(refused("hmac_accessor", "no!").starts_with("hmac_accessor:"));
        assert!(refused("format", "jsonx").starts_with("format:"));
        assert!(refused("prefix", "a\nb").starts_with("prefix:"));
    }

    #[test]
    fn a_prefix_over_the_api_has_to_be_allowed() {
        let mut rules = ApiRules::default();
        assert!(take(&[("prefix", "x")], Origin::Api(&rules)).is_err());
        assert!(take(&[("prefix", "")], Origin::Api(&rules)).is_ok());
        rules.prefix = true;
        assert!(take(&[("prefix", "x")], Origin::Api(&rules)).is_ok());
    }
}
