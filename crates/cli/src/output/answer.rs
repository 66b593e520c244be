//! [`Answer`]: the API's response envelope, as commands print it.

use keyfold_client::{ClientError, Response};
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::duration::{is_span, spelled};
use super::table::{Table, text_of};

/// A response, with the members in the order in which existing clients print them.
#[derive(Deserialize, Serialize, Default)]
pub(crate) struct Answer {
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    lease_duration: i64,
    #[serde(default)]
    renewable: bool,
    /// What was asked for.
    pub(crate) data: Option<Map<String, Value>>,
    warnings: Option<Vec<String>>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "auth_members"
    )]
    auth: Option<Map<String, Value>>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "wrap_members"
    )]
    wrap_info: Option<Map<String, Value>>,
}

/// What existing clients print of a token, in their order.
const AUTH_MEMBERS: [&str; 11] = [
    "client_token",
    "accessor",
    "policies",
    "token_policies",
    "identity_policies",
    "metadata",
    "orphan",
    "entity_id",
    "lease_duration",
    "renewable",
    "mfa_requirement",
];
/// And of a wrapping token; what is not there is printed as an empty text.
const WRAP_MEMBERS: [&str; 6] = [
    "token",
    "accessor",
    "ttl",
    "creation_time",
    "creation_path",
    "wrapped_accessor",
];

fn auth_members<S: Serializer>(
    auth: &Option<Map<String, Value>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    members(&AUTH_MEMBERS, &Value::Null, auth.as_ref(), serializer)
}

fn wrap_members<S: Serializer>(
    wrap_info: &Option<Map<String, Value>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let absent = Value::String(String::new());
    members(&WRAP_MEMBERS, &absent, wrap_info.as_ref(), serializer)
}

fn members<S: Serializer>(
    names: &[&str],
    absent: &Value,
    object: Option<&Map<String, Value>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let object = names.iter().map(|name| {
        let value = object.and_then(|object| object.get(*name));
        (*name, value.unwrap_or(absent))
    });
    serializer.collect_map(object)
}

/// Members of `auth` whose row is named otherwise.
const AUTH_ROWS: [(&str, &str); 7] = [
    ("client_token", "token"),
    ("accessor", "token_accessor"),
    ("lease_duration", "token_duration"),
    ("renewable", "token_renewable"),
    ("token_policies", "token_policies"),
    ("identity_policies", "identity_policies"),
    ("policies", "policies"),
];

/// Members of `wrap_info` and their rows.
const WRAP_ROWS: [(&str, &str); 6] = [
    ("token", "wrapping_token"),
    ("accessor", "wrapping_accessor"),
    ("ttl", "wrapping_token_ttl"),
    ("creation_time", "wrapping_token_creation_time"),
    ("creation_path", "wrapping_token_creation_path"),
    ("wrapped_accessor", "wrapped_accessor"),
];

impl Answer {
    /// Reads a response. Where none of the envelope is there, as of `sys/health`, the whole body is
    /// the data; a refusal has none.
    pub(crate) fn of(response: &Response) -> Result<Self, ClientError> {
        let answer: Self = response.json()?;
        if answer.has_content() || !answer.request_id.is_empty() {
            return Ok(answer);
        }
        let body: Map<String, Value> = response.json()?;
        let bare = !body.contains_key("data") && !body.contains_key("errors");
        Ok(Self {
            data: bare.then_some(body),
            ..answer
        })
    }

    /// An answer that holds a token, as if it came from a login.
    pub(crate) fn of_auth(auth: Map<String, Value>) -> Self {
        Self {
            auth: Some(auth),
            ..Self::default()
        }
    }

    /// The token inside, where there is one.
    pub(crate) fn token(&self) -> Option<Secret<String>> {
        let token = self.auth.as_ref()?.get("client_token")?.as_str()?;
        Some(Secret::new(token.to_owned()))
    }

    /// Whether it has anything to say.
    pub(crate) fn has_content(&self) -> bool {
        self.has_data() || !self.warnings().is_empty()
    }

    /// Whether it has more than warnings.
    pub(crate) fn has_data(&self) -> bool {
        self.data.as_ref().is_some_and(|data| !data.is_empty())
            || self.auth.is_some()
            || self.wrap_info.is_some()
    }

    /// Whether the server keeps the answer for whoever has its wrapping token.
    pub(crate) fn is_wrapped(&self) -> bool {
        self.wrap_info.is_some()
    }

    /// What the server remarks.
    pub(crate) fn warnings(&self) -> &[String] {
        self.warnings.as_deref().unwrap_or_default()
    }

    /// A member of `data`.
    pub(crate) fn datum(&self, name: &str) -> Option<&Value> {
        self.data.as_ref()?.get(name)
    }

    /// The value that a field's name stands for: one of the rows of the table, or of `data`.
    pub(crate) fn field(&self, name: &str) -> Option<Value> {
        let auth = self.auth.as_ref();
        if let Some((member, _)) = AUTH_ROWS.iter().find(|(_, row)| *row == name)
            && let Some(value) = auth.and_then(|auth| auth.get(*member))
        {
            return Some(value.clone());
        }
        if let Some((member, _)) = WRAP_ROWS.iter().find(|(_, row)| *row == name)
            && let Some(value) = self.wrap_info.as_ref().and_then(|wrap| wrap.get(*member))
        {
            return Some(value.clone());
        }
        if let Some(value) = self.datum(name) {
            return Some(value.clone());
        }
        match name {
            "request_id" => Some(self.request_id.clone().into()),
            "lease_id" => Some(self.lease_id.clone().into()),
            "lease_duration" => Some(self.lease_duration.into()),
            "lease_renewable" => Some(self.renewable.into()),
            "data" => self.data.clone().map(Value::Object),
            _ => None,
        }
    }

    /// Lease, token and data in rows.
    pub(crate) fn table(&self) -> Table {
        let mut rows = Vec::new();
        let mut row = |key: &str, value: String| rows.push((key.to_owned(), value));
        if !self.lease_id.is_empty() {
            row("lease_id", self.lease_id.clone());
            row("lease_duration", spelled(self.lease_duration));
            row("lease_renewable", self.renewable.to_string());
        } else if self.lease_duration > 0 {
            row("refresh_interval", spelled(self.lease_duration));
        }
        if let Some(wrap) = &self.wrap_info {
            for (member, key) in WRAP_ROWS {
                if let Some(value) = wrap.get(member) {
                    row(key, cell(member, value));
                }
            }
        }
        if let Some(auth) = &self.auth {
            for (member, key) in AUTH_ROWS {
                if let Some(value) = auth.get(member) {
                    row(key, cell(key, value));
                }
            }
            let metadata = auth.get("metadata").and_then(Value::as_object);
            for (name, value) in metadata.into_iter().flatten() {
                row(&format!("token_meta_{name}"), text_of(value));
            }
        }
        for (name, value) in self.data.iter().flatten() {
            row(name, cell(name, value));
        }
        Table::of_pairs(rows)
    }
}

fn cell(name: &str, value: &Value) -> String {
    match value.as_i64() {
        // A token without end.
        Some(0) if name == "token_duration" => "∞".to_owned(),
        Some(seconds) if is_span(name) => spelled(seconds),
        _ => text_of(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(value: Value) -> Answer {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_read_is_a_table_of_its_data() {
        let read = answer(json!({
            "request_id": "r", "lease_duration": 2_764_800, "data": {"ttl": 90, "a": "", "n": null},
        }));
        assert_eq!(
            read.table().to_string(),
            "Key                 Value\n---                 -----\nrefresh_interval    768h\n\
             a                   n/a\nn                   <nil>\nttl                 1m30s\n"
        );
        assert_eq!(read.field("ttl"), Some(json!(90)));
        assert_eq!(read.field("nope"), None);
    }

    #[test]
    fn a_token_has_rows_of_its_own() {
        let login = answer(json!({"auth": {
            "client_token": "hvs.x", "accessor": "a", "lease_duration": 0, "renewable": false,
            "policies": ["root"], "metadata": {"team": "x"},
        }}));
        let table = login.table().to_string();
        for row in [
            "token              hvs.x",
            "token_duration     ∞",
            "policies           [root]",
            "token_meta_team    x",
        ] {
            assert!(table.contains(row), "{row} is not in\n{table}");
        }
        assert_eq!(login.field("token"), Some(json!("hvs.x")));
    }

    #[test]
    fn json_has_the_members_of_existing_clients() {
        let text =
            serde_json::to_string(&answer(json!({"request_id": "r", "data": {"a": 1}}))).unwrap();
        assert_eq!(
            text,
            r#"{"request_id":"r","lease_id":"","lease_duration":0,"renewable":false,"data":{"a":1},"warnings":null}"#
        );
    }
}
