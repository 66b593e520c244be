//! Lists and maps of scalars, in all the forms clients send them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};

use super::scalar::{Scalar, integer};

/// A list, a scalar, or text with commas: the texts of its elements.
pub(super) struct Sequence(Vec<String>);

/// `key=value` pairs, or an object of scalars.
pub(super) struct Pairs(pub(super) BTreeMap<String, String>);

impl Sequence {
    pub(super) fn into_strings(self) -> Vec<String> {
        self.0
    }

    pub(super) fn into_ints(self) -> Result<Vec<i64>, &'static str> {
        self.0
            .iter()
            .map(|text| integer(text).ok_or("expected a list of integers"))
            .collect()
    }

    /// `[""]`, the text without anything in it, is the empty list.
    fn split(text: &str) -> Self {
        if text.is_empty() {
            return Self(Vec::new());
        }
        Self(
            text.split(',')
                .map(|element| element.trim().to_owned())
                .collect(),
        )
    }

    fn one(scalar: &Scalar<'_>) -> Self {
        Self::split(&scalar.to_text())
    }
}

impl<'de> Deserialize<'de> for Sequence {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SequenceVisitor)
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PairsVisitor)
    }
}

struct SequenceVisitor;

impl<'de> de::Visitor<'de> for SequenceVisitor {
    type Value = Sequence;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, or text with commas")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(scalar) = seq.next_element::<Scalar<'de>>()? {
            texts.push(scalar.to_text().trim().to_owned());
        }
        Ok(Sequence(texts))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Sequence::split(text))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Sequence::one(&Scalar::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Sequence::one(&Scalar::Int(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Sequence::one(&Scalar::BigInt(number)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Sequence::one(&Scalar::Float(number)))
    }
}

struct PairsVisitor;

impl<'de> de::Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings, or key=value pairs")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<Option<Scalar<'de>>>()?;
            let text = value.map(|scalar| scalar.to_text().into_owned());
            pairs.insert(key, text.unwrap_or_default());
        }
        Ok(Pairs(pairs))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        pairs(SequenceVisitor.visit_seq(seq)?)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        pairs(Sequence::split(text))
    }
}

fn pairs<E: de::Error>(sequence: Sequence) -> Result<Pairs, E> {
    sequence
        .0
        .iter()
        .map(|text| {
            text.split_once('=')
                .ok_or_else(|| E::custom("invalid key pair"))
        })
        .map(|pair| pair.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())))
        .collect::<Result<_, _>>()
        .map(Pairs)
}
