//! One item or many, on one path: what is asked is decoded, done and answered the same.
//!
//! In a batch a caller's mistake in one item stands in the place of its result, and the others are
//! done. An error of another kind, such as a storage that fails, ends the whole request.

use std::borrow::Cow;

use keyfold_api::base64;
use keyfold_core::error::Error;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::Ciphertext;
use keyfold_secret::Secret;
use serde::Serialize;
use tokio::task::yield_now;

use super::ciphers::Ciphers;
use super::key::Settings;
use super::member::Member;
use super::request::{Form, Item, Request, missing};

/// So many bytes of input are worked on before other requests get their turn.
const SLICE: usize = 1 << 20;
/// So many bytes of input cost what one item under a public key does.
const ASYMMETRIC: usize = SLICE / 16;

/// What was asked, checked as far as it can be without the key.
pub(super) struct Work<'r> {
    form: &'static Form,
    items: &'r [Item<'r>],
    batch: bool,
    on_failure: OnFailure,
    warnings: Vec<String>,
}

/// The status of a batch in which items failed.
pub(super) struct OnFailure {
    /// Some failed: what the caller asked for.
    some: Option<u16>,
    /// Some failed and the caller asked for nothing.
    unasked: u16,
}

/// The results of a request, in the order of its items.
pub(super) struct Results<'r, T> {
    items: Vec<Outcome<'r, T>>,
    failed: usize,
}

#[derive(Serialize)]
struct Outcome<'r, T> {
    #[serde(flatten)]
    done: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    reference: &'r str,
}

impl<'r> Work<'r> {
    /// Checks a request. `unasked` is the status of a batch with failed items when the caller does
    /// not say.
    pub fn of(request: &'r Request<'r>, form: &'static Form, unasked: u16) -> Result<Self, Error> {
        let mut warnings = Vec::new();
        let asked = request.partial_failure_response_code.int(PARTIAL_FAILURE)?;
        let on_failure = OnFailure::of(asked, unasked)?;
        let Some(items) = &request.batch else {
            let items = std::slice::from_ref(&request.single);
            if !request.single.input.is_present() {
                return Err(Error::bad(missing(form)));
            }
            return Ok(Self {
                form,
                items,
                batch: false,
                on_failure,
                warnings,
            });
        };
        if items.is_empty() {
            return Err(Error::bad("missing batch input to process"));
        }
        let with_context = items.iter().filter(|item| has_context(item)).count();
        if with_context != 0 && with_context != items.len() {
            return Err(Error::bad(
                "context should be set either in all the request blocks or in none",
            ));
        }
        let idle = request.single.present(form);
        if !idle.is_empty() {
            warnings.push(format!(
                "with batch_input, these parameters have no effect outside of its items: [{}]",
                idle.join(" ")
            ));
        }
        Ok(Self {
            form,
            items,
            batch: true,
            on_failure,
            warnings,
        })
    }

    /// The call came with a context: all its items have one.
    pub fn has_context(&self) -> bool {
        self.items.first().is_some_and(has_context)
    }

    /// The key versions that the items' ciphertexts name and the key's settings allow.
    pub fn named_versions<'w>(&'w self, settings: &'w Settings) -> impl Iterator<Item = u32> + 'w {
        self.tasks().filter_map(|task| {
            let text = task.ciphertext().ok()?;
            settings
                .decryption_version(Ciphertext::parse(&text).ok()?.version)
                .ok()
        })
    }

    /// The key versions that the items ask to encrypt with and the key's settings allow.
    pub fn asked_versions<'w>(&'w self, settings: &'w Settings) -> impl Iterator<Item = u32> + 'w {
        self.tasks()
            .filter_map(|task| settings.encryption_version(task.key_version().ok()?).ok())
    }

    /// Does every item.
    pub async fn run<T>(
        &self,
        ciphers: &mut Ciphers<'_>,
        mut each: impl FnMut(&Task<'r>, &mut Ciphers<'_>) -> Result<T, Error>,
    ) -> Result<Results<'r, T>, Error> {
        let mut results = Results {
            items: Vec::with_capacity(self.items.len()),
            failed: 0,
        };
        let mut worked = 0;
        let cost = match ciphers.settings().kind.is_symmetric() {
            true => 0,
            false => ASYMMETRIC,
        };
        for task in self.tasks() {
            let (done, error) = match each(&task, ciphers) {
                Ok(done) => (Some(done), None),
                Err(Error::BadRequest(text)) => (None, Some(text)),
                Err(error) => return Err(error),
            };
            results.failed += usize::from(error.is_some());
            results.items.push(Outcome {
                done,
                error,
                reference: task.reference(),
            });
            worked += cost + task.size();
            if worked >= SLICE {
                worked = 0;
                yield_now().await;
            }
        }
        Ok(results)
    }

    /// The answer.
    pub fn reply<T: Serialize>(mut self, results: Results<'r, T>) -> Result<Reply, Error> {
        let mut reply = if self.batch {
            let status = self.on_failure.status(results.failed, results.items.len());
            let reply = Reply::data(&BatchReply {
                batch_results: results.items,
            })?;
            Reply { status, ..reply }
        } else {
            let outcome = results.items.into_iter().next();
            let Outcome { done, error, .. } =
                outcome.ok_or(Error::Bug("a request without item"))?;
            match (done, error) {
                (Some(done), _) => Reply::data(&done)?,
                (None, error) => return Err(Error::BadRequest(error.unwrap_or_default())),
            }
        };
        reply.warnings.append(&mut self.warnings);
        Ok(reply)
    }

    /// The items, one by one.
    pub fn tasks(&self) -> impl Iterator<Item = Task<'r>> + use<'r> {
        let form = self.form;
        let tasks = self.items.iter().enumerate();
        tasks.map(move |(index, item)| Task { item, form, index })
    }
}

impl<T> Results<'_, T> {
    /// At least one item was done.
    pub fn any(&self) -> bool {
        self.failed < self.items.len()
    }
}

impl OnFailure {
    /// What the caller asked for, and what is answered who asked for nothing.
    pub fn of(asked: Option<i64>, unasked: u16) -> Result<Self, Error> {
        let some = partial_failure(asked)?;
        Ok(Self { some, unasked })
    }

    /// The status of a batch of which so many failed.
    pub fn status(&self, failed: usize, of: usize) -> Option<u16> {
        match self.some {
            _ if failed == 0 => None,
            Some(asked) if failed < of => Some(asked),
            Some(_) => Some(400),
            None => Some(self.unasked),
        }
    }
}

/// An item that is being worked on.
pub(super) struct Task<'r> {
    item: &'r Item<'r>,
    form: &'static Form,
    index: usize,
}

impl<'r> Task<'r> {
    /// Refuses associated data that the key can't bind.
    pub fn bindable(&self, settings: &Settings, aad: &[u8]) -> Result<(), Error> {
        if aad.is_empty() || settings.kind.binds() {
            return Ok(());
        }
        Err(Error::bad(format!(
            "'[{}].associated_data' provided for non-AEAD cipher suite {}",
            self.index,
            settings.kind.name()
        )))
    }

    /// The plaintext.
    pub fn plaintext(&self) -> Result<Secret<Vec<u8>>, Error> {
        bytes(&self.item.input, self.form.input).map(Secret::new)
    }

    /// The ciphertext as text.
    pub fn ciphertext(&self) -> Result<Cow<'r, str>, Error> {
        let text = self.item.input.text(self.form.input)?;
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| Error::bad(missing(self.form)))
    }

    /// What the key is to be derived for; empty for nothing.
    pub fn context(&self) -> Result<Vec<u8>, Error> {
        bytes(&self.item.context, "context")
    }

    /// What is authenticated beside the plaintext; empty for nothing.
    pub fn associated_data(&self) -> Result<Vec<u8>, Error> {
        bytes(&self.item.associated_data, "associated_data")
    }

    /// The version to encrypt with; 0 for the latest.
    pub fn key_version(&self) -> Result<i64, Error> {
        Ok(self
            .item
            .key_version
            .int("key_version")?
            .unwrap_or_default())
    }

    /// The key to encrypt under, where it is another one.
    pub fn to_key(&self) -> Result<Option<Cow<'r, str>>, Error> {
        let name = self.item.to_key.text("to_key")?;
        Ok(name.filter(|name| !name.is_empty()))
    }

    fn reference(&self) -> &'r str {
        self.item.reference.as_str()
    }

    /// Characters of its input.
    fn size(&self) -> usize {
        self.item.input.as_str().len()
    }
}

#[derive(Serialize)]
struct BatchReply<'r, T> {
    batch_results: Vec<Outcome<'r, T>>,
}

/// Neither left out nor empty.
fn has_context(item: &Item<'_>) -> bool {
    item.context
        .text("context")
        .is_ok_and(|text| text.is_some_and(|text| !text.is_empty()))
}

/// A member in base64; left out, null and the empty text are no bytes.
fn bytes(member: &Member<'_>, name: &str) -> Result<Vec<u8>, Error> {
    let text = member.text(name)?.unwrap_or_default();
    base64::decode(&text).map_err(|error| Error::field(name, error))
}

const PARTIAL_FAILURE: &str = "partial_failure_response_code";
/// Statuses under which nobody would see the results.
const BODILESS: [u16; 3] = [204, 205, 304];

fn partial_failure(asked: Option<i64>) -> Result<Option<u16>, Error> {
    let Some(asked) = asked.filter(|asked| *asked != 0) else {
        return Ok(None);
    };
    let status = u16::try_from(asked)
        .ok()
        .filter(|status| (200..600).contains(status) && !BODILESS.contains(status));
    status.map(Some).ok_or_else(|| {
        let text = "must be an HTTP status from 200 to 599 whose answers have a body";
        Error::field(PARTIAL_FAILURE, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let asked = OnFailure {
            some: Some(207),
            unasked: 400,
        };
        let unasked = OnFailure {
            some: None,
            unasked: 200,
        };
        assert_eq!(asked.status(0, 3), None);
        assert_eq!(asked.status(1, 3), Some(207));
        assert_eq!(asked.status(3, 3), Some(400));
        assert_eq!(unasked.status(0, 3), None);
        assert_eq!(unasked.status(1, 3), Some(200));
        assert_eq!(unasked.status(3, 3), Some(200));
    }
}
