//! Objects of a token: found by class, label and id.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use super::fault::{Fault, of};
use super::token::Open;

/// What a key is called. One of the two at least.
pub(crate) struct Named {
    pub label: Option<String>,
    pub id: Option<Vec<u8>>,
}

impl Open {
    /// The one key of a class and a kind with the label and the id; none where there is none.
    pub(crate) fn find(
        &self,
        named: &Named,
        class: ObjectClass,
        kind: KeyType,
    ) -> Result<Option<ObjectHandle>, Fault> {
        let mut wanted = vec![Attribute::Class(class), Attribute::KeyType(kind)];
        if let Some(label) = &named.label {
            wanted.push(Attribute::Label(label.clone().into_bytes()));
        }
        if let Some(id) = &named.id {
            wanted.push(Attribute::Id(id.clone()));
        }
        let found = self.session.find_objects(&wanted).map_err(|e| of(&e))?;
        match found.as_slice() {
            [one] => Ok(Some(*one)),
            [] => Ok(None),
            _ => Err(Fault::Refused(
                "the token has several such keys: name it by id".to_owned(),
            )),
        }
    }

    /// The same where there has to be one.
    pub(crate) fn needed(
        &self,
        named: &Named,
        class: ObjectClass,
        kind: KeyType,
    ) -> Result<ObjectHandle, Fault> {
        let missing = || Fault::Refused("the token has no such key".to_owned());
        self.find(named, class, kind)?.ok_or_else(missing)
    }

    /// Attributes of an object; what it does not tell is left out.
    pub(crate) fn told(
        &self,
        object: ObjectHandle,
        wanted: &[AttributeType],
    ) -> Result<Vec<Attribute>, Fault> {
        let told = self.session.get_attributes(object, wanted);
        told.map_err(|e| of(&e))
    }
}
