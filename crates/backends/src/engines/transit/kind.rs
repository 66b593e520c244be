//! The type of a key to be made or imported: what the members of a body say of it together.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_keys::transit::{CurveHalf, KeyType, ParameterSet};
use serde::Deserialize;

/// The post-quantum type that a hybrid may have.
pub(super) const PQC: &str = "ml-dsa";

/// The members.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Kind {
    #[serde(rename = "type", deserialize_with = "weak::string")]
    name: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    parameter_set: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    hybrid_key_type_pqc: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    hybrid_key_type_ec: Option<String>,
}

impl Kind {
    /// The name, if there is one.
    pub fn name(&self) -> Option<&str> {
        given(&self.name)
    }

    /// The type, by default the usual one. A member that the type has no use for is refused: whoever
    /// gives it means another type.
    pub fn key_type(&self) -> Result<KeyType, Error> {
        let name = self.name();
        if name != Some("hybrid") {
            refuse(&self.hybrid_key_type_pqc, "hybrid_key_type_pqc", name)?;
            refuse(&self.hybrid_key_type_ec, "hybrid_key_type_ec", name)?;
        }
        match name {
            Some("ml-dsa") => Ok(KeyType::MlDsa(self.parameter_set()?)),
            Some("hybrid") => {
                let set = self.parameter_set()?;
                self.pqc()?;
                Ok(KeyType::Hybrid(set, self.curve()?))
            }
            _ => {
                refuse(&self.parameter_set, "parameter_set", name)?;
                named(name)
            }
        }
    }

    /// The name, where no type has it.
    pub fn unknown(&self) -> Option<&str> {
        let known = |name| matches!(name, "ml-dsa" | "hybrid") || named(Some(name)).is_ok();
        self.name().filter(|name| !known(*name))
    }

    fn parameter_set(&self) -> Result<ParameterSet, Error> {
        given(&self.parameter_set)
            .and_then(ParameterSet::from_name)
            .ok_or_else(|| Error::field("parameter_set", "must be 44, 65 or 87"))
    }

    fn pqc(&self) -> Result<(), Error> {
        match given(&self.hybrid_key_type_pqc) {
            Some(PQC) => Ok(()),
            _ => Err(Error::field("hybrid_key_type_pqc", "must be ml-dsa")),
        }
    }

    fn curve(&self) -> Result<CurveHalf, Error> {
        given(&self.hybrid_key_type_ec)
            .and_then(CurveHalf::from_name)
            .ok_or_else(|| {
                Error::field(
                    "hybrid_key_type_ec",
                    "must be ed25519, ecdsa-p256, ecdsa-p384 or ecdsa-p521",
                )
            })
    }
}

/// The type of a name that says all, by default the usual one.
pub(super) fn named(name: Option<&str>) -> Result<KeyType, Error> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(KeyType::default());
    };
    KeyType::from_name(name).ok_or_else(|| Error::bad(format!("unknown key type {name}")))
}

fn given(member: &Option<String>) -> Option<&str> {
    member.as_deref().filter(|text| !text.is_empty())
}

fn refuse(member: &Option<String>, name: &'static str, kind: Option<&str>) -> Result<(), Error> {
    match given(member) {
        None => Ok(()),
        Some(_) => Err(Error::field(
            name,
            format!(
                "not valid for keys of type {}",
                kind.unwrap_or(KeyType::default().name())
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<KeyType, String> {
        let kind: Kind = serde_json::from_str(json).unwrap();
        kind.key_type().map_err(|error| error.to_string())
    }

    #[test]
    fn members_together() {
        assert_eq!(read("{}"), Ok(KeyType::default()));
        assert_eq!(
            read(r#"{"type":"","parameter_set":""}"#),
            Ok(KeyType::default())
        );
        assert_eq!(read(r#"{"type":"x-wing"}"#), Ok(KeyType::XWing));
        let set = ParameterSet::MlDsa65;
        assert_eq!(
            read(r#"{"type":"ml-dsa","parameter_set":65}"#),
            Ok(KeyType::MlDsa(set))
        );
        let hybrid = r#"{"type":"hybrid","parameter_set":"65","hybrid_key_type_pqc":"ml-dsa",
            "hybrid_key_type_ec":"ecdsa-p384"}"#;
        let half = CurveHalf::EcdsaP384;
        assert_eq!(read(hybrid), Ok(KeyType::Hybrid(set, half)));
    }

    #[test]
    fn mistakes_name_the_member() {
        for (json, member) in [
            (r#"{"type":"nope"}"#, "unknown key type nope"),
            (r#"{"type":"ml-dsa-65"}"#, "unknown key type ml-dsa-65"),
            (r#"{"type":"slh-dsa"}"#, "unknown key type slh-dsa"),
            (r#"{"type":"ml-dsa"}"#, "parameter_set"),
            (r#"{"type":"ml-dsa","parameter_set":"66"}"#, "parameter_set"),
            (r#"{"parameter_set":"44"}"#, "parameter_set"),
            (
                r#"{"type":"ml-dsa","parameter_set":"44","hybrid_key_type_ec":"ed25519"}"#,
                "hybrid_key_type_ec",
            ),
            (
                r#"{"type":"ed25519","hybrid_key_type_pqc":"ml-dsa"}"#,
                "hybrid_key_type_pqc",
            ),
            (r#"{"type":"hybrid"}"#, "parameter_set"),
            (
                r#"{"type":"hybrid","parameter_set":"44"}"#,
                "hybrid_key_type_pqc",
            ),
            (
                r#"{"type":"hybrid","parameter_set":"44","hybrid_key_type_pqc":"slh-dsa"}"#,
                "hybrid_key_type_pqc",
            ),
            (
                r#"{"type":"hybrid","parameter_set":"44","hybrid_key_type_pqc":"ml-dsa",
                    "hybrid_key_type_ec":"rsa-2048"}"#,
                "hybrid_key_type_ec",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(member), "{json}: {error}");
        }
    }
}
