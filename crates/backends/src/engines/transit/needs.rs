//! What still needs old versions of a key, as far as anybody has told.

use std::collections::BTreeMap;

use keyfold_core::error::Error;
use serde::Serialize;

use super::Transit;
use super::catalogs::{self, Catalog};
use super::census::{Kind, Record, Sums, second, sum};
use super::key::Settings;

/// Needs that one answer tells of.
const TOLD: usize = 100;

/// Why a version is not to go yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Need {
    /// What it is, for programs.
    need: What,
    /// The same, for people.
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    /// Items by version.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    items: BTreeMap<u32, u64>,
    /// The last use, or the scan.
    time: Option<String>,
}

/// Kinds of needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    /// The version was used lately, by more than rewrap.
    RecentUse,
    /// A catalog has items under it.
    Remains,
    /// A catalog is older than the last ciphertext of the version.
    StaleScan,
    /// A scan could not read some files.
    UnreadFiles,
    /// Ciphertexts were made that no rewrap and no catalog accounts for.
    Unaccounted,
}

impl Need {
    fn of(need: What, text: String) -> Self {
        Self {
            need,
            text,
            version: None,
            catalog: None,
            root: None,
            items: BTreeMap::new(),
            time: None,
        }
    }

    fn in_catalog(need: What, text: String, (id, catalog): (&str, &Catalog)) -> Self {
        Self {
            catalog: Some(id.to_owned()),
            root: Some(catalog.root.clone()),
            time: second(catalog.time),
            ..Self::of(need, text)
        }
    }

    /// For people.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What needs the versions of a key below one: the first of them, and how many more there are.
/// A use after the second `since` is a recent one.
pub(super) async fn below(
    transit: &Transit,
    settings: &Settings,
    below: u32,
    since: u64,
) -> Result<(Vec<Need>, usize), Error> {
    let old = settings.min_available_version.max(1)..below;
    let sums = transit.census.of(transit, &settings.id, old).await?;
    let catalogs = catalogs::all(&transit.view, &settings.id).await?;
    let mut needs = find(&sums, &catalogs, below, since);
    let more = needs.len().saturating_sub(TOLD);
    needs.truncate(TOLD);
    Ok((needs, more))
}

fn find(sums: &Sums, catalogs: &[(String, Catalog)], below: u32, since: u64) -> Vec<Need> {
    let mut needs = Vec::new();
    for (id, catalog) in catalogs {
        needs.extend(in_catalog(sums, (id, catalog), below));
    }
    for (version, record) in sums {
        needs.extend(recent(*version, record, since));
        if catalogs.is_empty() {
            needs.extend(unaccounted(*version, record));
        }
    }
    needs
}

fn in_catalog(sums: &Sums, (id, catalog): (&str, &Catalog), below: u32) -> Vec<Need> {
    let (root, mut needs) = (&catalog.root, Vec::new());
    let remains = catalog.remains(|version| version < below);
    let count = sum(remains.values().copied());
    if count > 0 {
        let text = format!("{count} items in {root} (catalog {id}): rewrap them");
        needs.push(Need {
            items: remains,
            ..Need::in_catalog(What::Remains, text, (id, catalog))
        });
    }
    let made = sums.values().map(|record| record.last_of(Kind::seals));
    if made.max().is_some_and(|made| made > catalog.time) {
        let text = format!(
            "catalog {id} of {root} is older than the last ciphertext that was made: scan it again"
        );
        needs.push(Need::in_catalog(What::StaleScan, text, (id, catalog)));
    }
    if catalog.unreadable > 0 {
        let text = format!(
            "{} files in {root} (catalog {id}) could not be read: they may need any version",
            catalog.unreadable
        );
        needs.push(Need::in_catalog(What::UnreadFiles, text, (id, catalog)));
    }
    needs
}

/// Rewrap is the cure, and no need of what it leaves behind.
fn recent(version: u32, record: &Record, since: u64) -> Option<Need> {
    let last = record.last_of(|kind| !matches!(kind, Kind::Rewrap | Kind::RewrapSame));
    if last <= since {
        return None;
    }
    let time = second(last);
    let at = time.as_deref().unwrap_or_default();
    let text = format!("version {version} was used at {at}");
    Some(Need {
        version: Some(version),
        time,
        ..Need::of(What::RecentUse, text)
    })
}

fn unaccounted(version: u32, record: &Record) -> Option<Need> {
    let left = record.sealed().saturating_sub(record.of(Kind::Rewrap));
    if left == 0 {
        return None;
    }
    let text = format!(
        "{left} ciphertexts of version {version} were made that were not rewrapped, and no catalog \
         tells where they are: register one"
    );
    Some(Need {
        version: Some(version),
        items: BTreeMap::from([(version, left)]),
        time: second(record.last_of(Kind::seals)),
        ..Need::of(What::Unaccounted, text)
    })
}

#[cfg(test)]
mod tests {
    use super::super::census::Done;
    use super::*;

    fn used(uses: &[(Kind, u64, u64)]) -> Record {
        let mut record = Record::default();
        for (kind, count, last) in uses {
            let done = Done {
                count: *count,
                last: *last,
            };
            record.operations.insert(kind.name().to_owned(), done);
        }
        record
    }

    fn whats(sums: &Sums, catalogs: &[(String, Catalog)]) -> Vec<What> {
        let needs = find(sums, catalogs, 3, 100);
        needs.iter().map(|need| need.need).collect()
    }

    #[test]
    fn uses() {
        let one = |uses: &[(Kind, u64, u64)]| Sums::from([(1, used(uses))]);
        assert!(whats(&Sums::new(), &[]).is_empty());
        assert_eq!(
            whats(&one(&[(Kind::Decrypt, 1, 101)]), &[]),
            [What::RecentUse]
        );
        assert!(whats(&one(&[(Kind::Decrypt, 1, 100)]), &[]).is_empty());
        assert!(whats(&one(&[(Kind::Rewrap, 1, 500)]), &[]).is_empty());
        // What came back as it was lies where it lay.
        let looked_at = [(Kind::Encrypt, 1, 50), (Kind::RewrapSame, 9, 500)];
        assert_eq!(whats(&one(&looked_at), &[]), [What::Unaccounted]);
        let made = [
            (Kind::Encrypt, 2, 50),
            (Kind::DataKey, 1, 50),
            (Kind::Rewrap, 2, 500),
        ];
        assert_eq!(whats(&one(&made), &[]), [What::Unaccounted]);
        let left = find(&one(&made), &[], 3, 100);
        assert_eq!(left[0].items, BTreeMap::from([(1, 1)]));
    }

    #[test]
    fn scans() {
        let made = Sums::from([(2, used(&[(Kind::Encrypt, 2, 50)]))]);
        let catalog = |items: &[(u32, u64)], unreadable, time| {
            let catalog = Catalog {
                root: "host:/data".to_owned(),
                items: items.iter().copied().collect(),
                unreadable,
                time,
            };
            vec![("c".to_owned(), catalog)]
        };
        assert!(whats(&made, &catalog(&[(3, 9), (2, 0)], 0, 50)).is_empty());
        assert_eq!(whats(&made, &catalog(&[(2, 9)], 0, 50)), [What::Remains]);
        assert_eq!(whats(&made, &catalog(&[], 0, 49)), [What::StaleScan]);
        assert_eq!(whats(&made, &catalog(&[], 1, 50)), [What::UnreadFiles]);
    }
}
