//! Keys of a name that are gone: `shredded/<name>`, a JSON list, the oldest first.
//!
//! It is what a ciphertext without a key is answered with, and what keeps the number of a version from
//! standing for two keys: a new key of the name begins above all of these.

use keyfold_core::barrier::{View, json};
use keyfold_core::error::Error;
use keyfold_core::ports::storage::{Batch, Revision};
use serde::{Deserialize, Serialize};

use super::super::Transit;
use super::super::key::Settings;

/// Folder of the lists.
pub(super) const FOLDER: &str = "shredded/";

/// A key that was destroyed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Grave {
    /// The id that it had.
    pub id: String,
    /// Its first version that was stored then; those before went earlier.
    pub first: u32,
    /// Its last version.
    pub last: u32,
    /// When, RFC 3339.
    pub time: String,
    /// The id of the receipt.
    pub receipt: String,
}

/// Those of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in super::super) struct Graves(Vec<Grave>);

impl Grave {
    /// What is said of the key: by its name, or as `the key`.
    pub fn text(&self, what: &str) -> String {
        let Self { time, receipt, .. } = self;
        format!(
            "{what} was destroyed on {time} (receipt {receipt}): what it made never opens again"
        )
    }

    /// What is said where it came back.
    pub fn revived(&self) -> Error {
        let Self { time, receipt, .. } = self;
        Error::bad(format!(
            "the key was destroyed on {time} (receipt {receipt}), and an older snapshot brought it \
             back: it does nothing until shred/destroy destroys it again, or shred/cancel keeps it"
        ))
    }
}

impl Graves {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Grave> {
        self.0.iter()
    }

    /// The last version that is gone; 0 for none.
    pub fn last(&self) -> u32 {
        let lasts = self.0.iter().map(|grave| grave.last);
        lasts.max().unwrap_or_default()
    }

    /// The key that a version was of. Where several had it, which only a snapshot from between can
    /// bring about, the one that went last.
    pub fn of(&self, version: i64) -> Option<&Grave> {
        let version = u32::try_from(version).ok().filter(|version| *version > 0)?;
        let mut graves = self.0.iter().rev();
        graves.find(|grave| version <= grave.last && version >= self.before(grave))
    }

    /// The first version that a grave stands for: those of a key that went one by one before it are
    /// its own, too.
    fn before(&self, grave: &Grave) -> u32 {
        let earlier = self.0.iter().map(|other| other.last);
        let below = earlier.filter(|last| *last < grave.last).max();
        below
            .unwrap_or_default()
            .saturating_add(1)
            .min(grave.first.max(1))
    }

    /// The one that went last.
    pub fn newest(&self) -> Option<&Grave> {
        self.0.last()
    }

    /// With one more. Of a key that went before, and came back, it stands for all versions that it ever
    /// had: a snapshot may have lacked some.
    pub fn with(mut self, mut grave: Grave) -> Self {
        for known in self.0.iter().filter(|known| known.id == grave.id) {
            grave.first = grave.first.min(known.first);
            grave.last = grave.last.max(known.last);
        }
        self.0.retain(|known| known.id != grave.id);
        self.0.push(grave);
        self
    }

    /// Without that of a key.
    pub fn without(mut self, id: &str) -> Self {
        self.0.retain(|known| known.id != id);
        self
    }

    /// Those of a name, and the commit that stored them.
    pub async fn load(view: &View, name: &str) -> Result<(Self, Option<Revision>), Error> {
        let stored = view.read::<Self>(&place(name)).await?;
        Ok(match stored {
            Some((graves, revision)) => (graves, Some(revision)),
            None => (Self::default(), None),
        })
    }

    /// Demands that they are those which were read at a revision.
    pub fn demand(name: &str, revision: Option<Revision>, batch: Batch) -> Batch {
        match revision {
            Some(revision) => batch.unchanged(place(name), revision),
            None => batch.absent(place(name)),
        }
    }

    /// Adds them to a batch.
    pub fn put(&self, name: &str, batch: Batch) -> Result<Batch, Error> {
        match self.is_empty() {
            true => Ok(batch.delete(place(name))),
            false => Ok(batch.put(place(name), json(self)?)),
        }
    }
}

impl Settings {
    /// A new key, in the place of those that are gone: its versions begin above theirs.
    pub fn behind(self, graves: Graves) -> Result<Self, Error> {
        if graves.is_empty() {
            return Ok(self);
        }
        let first = graves.last().checked_add(1);
        let first = first.ok_or_else(|| Error::bad("no version is left"))?;
        Ok(Self {
            latest_version: first,
            min_decryption_version: first,
            min_available_version: first,
            graves,
            ..self
        })
    }
}

impl Transit {
    /// What is answered where there is no key of a name: that it was destroyed, or else `text`.
    pub async fn missing(&self, name: &str, text: &str) -> Error {
        match Graves::load(&self.view, name).await {
            Ok((graves, _)) => match graves.newest() {
                Some(grave) => Error::bad(grave.text(&format!("key \"{name}\""))),
                None => Error::bad(text),
            },
            Err(error) => error,
        }
    }
}

fn place(name: &str) -> String {
    format!("{FOLDER}{name}")
}

#[cfg(test)]
mod tests {
    use keyfold_keys::transit::KeyType;

    use super::*;

    fn grave(id: &str, first: u32, last: u32) -> Grave {
        Grave {
            id: id.to_owned(),
            first,
            last,
            ..Grave::default()
        }
    }

    #[test]
    fn a_version_is_of_one_key() {
        let graves = Graves::default()
            .with(grave("a", 2, 3))
            .with(grave("b", 6, 6));
        let of = |version| graves.of(version).map(|grave| &*grave.id);
        for (version, id) in [
            (i64::MIN, None),
            (0, None),
            (1, Some("a")),
            (3, Some("a")),
            (4, Some("b")),
            (6, Some("b")),
            (7, None),
            (i64::MAX, None),
        ] {
            assert_eq!(of(version), id, "{version}");
        }
        let again = graves.clone().with(grave("a", 1, 3));
        assert_eq!(again.iter().count(), 2);
        assert_eq!(again.last(), 6);
        let one = graves.without("b");
        assert_eq!((one.of(4), one.last()), (None, 3));
    }

    #[test]
    fn a_new_key_begins_above() {
        let new = || Settings::new(KeyType::default());
        let first = new().behind(Graves::default()).unwrap();
        assert_eq!((first.latest_version, first.min_available_version), (1, 0));
        let graves = Graves::default().with(grave("a", 1, 3));
        let next = new().behind(graves).unwrap();
        assert_eq!((next.latest_version, next.oldest()), (4, 4));
        let text = next.decryption_version(2).unwrap_err().to_string();
        assert!(text.contains("was destroyed"), "{text}");
        assert!(next.decryption_version(0).is_err());
        assert_eq!(next.decryption_version(4).unwrap(), 4);
        let full = Graves::default().with(grave("a", 1, u32::MAX));
        assert!(new().behind(full).is_err());
    }
}
