//! Writing a policy: one commit, on the condition that the caller named.

use std::time::Duration;

use keyfold_api::Seconds;

use super::names::{encode, is_unassignable};
use super::{FOLDER, Policies, Record, expiry};
use crate::barrier::json;
use crate::clock::Time;
use crate::error::Error;
use crate::policy::{Policy, TemplateValues};
use crate::ports::storage::{Batch, Revision};

/// What is written. What is absent gets its default, or stays as it is in a patch.
#[derive(Clone, Default)]
pub struct Change {
    /// The text.
    pub text: Option<String>,
    /// The version that it is to follow: 0 or -1 for a policy that is not there.
    pub cas: Option<i64>,
    /// Whether later writes have to say what they follow.
    pub cas_required: Option<bool>,
    /// How long it holds.
    pub end: Option<End>,
    /// Whether values of identity templates may hold `*` and `+`.
    pub wildcards: Option<bool>,
    /// Whether they may hold `/`.
    pub slashes: Option<bool>,
}

/// How long a policy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// For ever.
    Never,
    /// Until a moment.
    At(Time),
    /// For some time from now on.
    After(Seconds),
}

impl Policies {
    /// Writes a policy anew; remarks on its text.
    pub async fn write(&self, name: &str, change: &Change) -> Result<Vec<String>, Error> {
        self.change(name, change, |_, record| Ok(record)).await
    }

    /// Changes parts of a policy; remarks on its text.
    pub async fn patch(&self, name: &str, change: &Change) -> Result<Vec<String>, Error> {
        self.change(name, change, |old, _| {
            old.cloned().ok_or_else(|| Error::bad("policy not found"))
        })
        .await
    }

    /// `base` makes what the change is laid upon from the old record and an empty one.
    async fn change(
        &self,
        name: &str,
        change: &Change,
        base: impl Fn(Option<&Record>, Record) -> Result<Record, Error>,
    ) -> Result<Vec<String>, Error> {
        if name == "root" || is_unassignable(name) {
            return Err(Error::bad(format!("cannot update \"{name}\" policy")));
        }
        let attempt = || async {
            let now = self.clock.now();
            let stored = self.stored(name).await?;
            let old = stored.as_ref().map(|(record, _)| record);
            // One that has ended and was not swept yet is not there for anybody.
            let living = old.filter(|record| record.lives(now));
            let mut record = laid_upon(base(living, Record::default())?, change, now)?;
            if name == "default" && record.expires.is_some() {
                return Err(Error::bad(
                    "the default policy cannot expire: it cannot be deleted",
                ));
            }
            check(change, living, &record)?;
            let (policy, mut warnings) = Policy::parse(name, &record.text)
                .map_err(|error| Error::bad(format!("failed to parse policy: {error}")))?;
            warnings.extend(policy.ended(now));
            record.version = living.map_or(0, |record| record.version) + 1;
            record.modified = now;
            self.view.commit(replacing(name, &stored, &record)?).await?;
            Ok(warnings)
        };
        let warnings = self
            .view
            .change(&format!("{FOLDER}{name}"), attempt)
            .await?;
        self.changed(name);
        Ok(warnings.iter().map(ToString::to_string).collect())
    }
}

fn laid_upon(mut record: Record, change: &Change, now: Time) -> Result<Record, Error> {
    if let Some(text) = &change.text {
        record.text.clone_from(text);
    }
    if let Some(required) = change.cas_required {
        record.cas_required = required;
    }
    match change.end {
        None => {}
        Some(End::Never) => record.expires = None,
        Some(End::At(end)) => record.expires = Some(end),
        Some(End::After(ttl)) => {
            record.expires = Some(now.plus(ttl.to_duration().unwrap_or(Duration::ZERO)));
        }
    }
    if change.end.is_some() && !record.lives(now) {
        return Err(Error::bad(
            "refusing to update policy as expiration time has already elapsed",
        ));
    }
    let TemplateValues { wildcards, slashes } = record.templates;
    record.templates = TemplateValues {
        wildcards: change.wildcards.unwrap_or(wildcards),
        slashes: change.slashes.unwrap_or(slashes),
    };
    Ok(record)
}

/// Whether the change follows what it was meant to follow.
fn check(change: &Change, old: Option<&Record>, new: &Record) -> Result<(), Error> {
    let version = old.map_or(0, |record| record.version);
    let refused = match change.cas {
        None if new.cas_required || old.is_some_and(|record| record.cas_required) => {
            "check-and-set parameter required for this call"
        }
        None => return Ok(()),
        Some(-1) if old.is_some() => "check-and-set parameter set to -1 on existing entry",
        Some(-1) => return Ok(()),
        Some(cas) if u64::try_from(cas) == Ok(version) => return Ok(()),
        Some(_) => "check-and-set parameter did not match the current version",
    };
    Err(Error::bad(refused))
}

/// The batch that puts a record in the place of what was read, and its end into the index.
fn replacing(name: &str, old: &Option<(Record, Revision)>, new: &Record) -> Result<Batch, Error> {
    let key = format!("{FOLDER}{}", encode(name));
    let mut batch = Batch::new().put(key.clone(), json(new)?);
    let (ended, ends) = (
        old.as_ref().and_then(|(old, _)| expiry::place(name, old)),
        expiry::place(name, new),
    );
    if ended != ends {
        batch.deletes.extend(ended);
        if let Some(place) = ends {
            batch = batch.put(place, Vec::new());
        }
    }
    Ok(match old {
        Some((_, revision)) => batch.unchanged(key, *revision),
        None => batch.absent(key),
    })
}
