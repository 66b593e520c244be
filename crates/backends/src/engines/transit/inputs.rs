//! The inputs of sign, verify, hmac and cmac: one at the top, or many in `batch_input`.
//!
//! A mistake in one input of a batch stands in the place of its result, and the others are done; the
//! batch is answered 200 then unless the caller asks for another status, as clients of existing
//! servers know it.

use keyfold_api::body::Decoded;
use keyfold_api::{base64, weak};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use super::batch::OnFailure;
use super::scheme::Options;

/// One input.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Input {
    #[serde(deserialize_with = "weak::secret_string")]
    input: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::string")]
    context: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    reference: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    pub signature: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    pub hmac: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    pub cmac: Option<String>,
}

/// The members of all four calls, so that a body is parsed once.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Members {
    #[serde(deserialize_with = "weak::secret_string")]
    input: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::string")]
    context: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    signature: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    hmac: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    cmac: Option<String>,
    #[serde(deserialize_with = "weak::objects")]
    batch_input: Option<Vec<Input>>,
    #[serde(deserialize_with = "weak::int")]
    partial_failure_response_code: Option<i64>,
    #[serde(deserialize_with = "weak::int")]
    key_version: Option<i64>,
    #[serde(deserialize_with = "weak::int")]
    mac_length: Option<i64>,
    #[serde(deserialize_with = "weak::string")]
    algorithm: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    hash_algorithm: Option<String>,
    #[serde(deserialize_with = "weak::boolean")]
    prehashed: Option<bool>,
    #[serde(deserialize_with = "weak::string")]
    signature_algorithm: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    marshaling_algorithm: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    salt_length: Option<String>,
}

impl Members {
    /// The names of those that are there and that a call has no use for.
    fn idle(&self, used: &[&str]) -> Vec<String> {
        let present = [
            ("context", self.context.is_some()),
            ("signature", self.signature.is_some()),
            ("hmac", self.hmac.is_some()),
            ("cmac", self.cmac.is_some()),
            ("key_version", self.key_version.is_some()),
            ("mac_length", self.mac_length.is_some()),
            ("algorithm", self.algorithm.is_some()),
            ("hash_algorithm", self.hash_algorithm.is_some()),
            ("prehashed", self.prehashed.is_some()),
            ("signature_algorithm", self.signature_algorithm.is_some()),
            ("marshaling_algorithm", self.marshaling_algorithm.is_some()),
            ("salt_length", self.salt_length.is_some()),
        ];
        let idle = |(name, there): &(&str, bool)| *there && !used.contains(name);
        let idle = present.into_iter().filter(idle);
        idle.map(|(name, _)| name.to_owned()).collect()
    }
}

/// The inputs of a call and what is asked for all of them. `used` are the members that the call has
/// a use for, beside the inputs themselves.
pub(super) fn decode(call: &Call<'_>, used: &[&str]) -> Result<(Inputs, Options), Error> {
    let Decoded {
        value: members,
        mut unknown,
    } = call.body.decode::<Members>()?;
    unknown.extend(members.idle(used));
    call.note_unknown(unknown);
    let single = Input {
        input: members.input,
        context: members.context,
        reference: None,
        signature: members.signature,
        hmac: members.hmac,
        cmac: members.cmac,
    };
    let on_failure = OnFailure::of(members.partial_failure_response_code, 200)?;
    let (list, batch) = match members.batch_input {
        Some(list) if list.is_empty() => return Err(Error::bad("missing batch input to process")),
        Some(list) => (list, true),
        None => (vec![single], false),
    };
    let inputs = Inputs {
        list,
        batch,
        on_failure,
    };
    let options = Options {
        key_version: members.key_version.unwrap_or_default(),
        mac_length: members.mac_length.unwrap_or_default(),
        algorithm: members.algorithm.unwrap_or_default(),
        hash_algorithm: members.hash_algorithm.unwrap_or_default(),
        prehashed: members.prehashed.unwrap_or_default(),
        signature_algorithm: members.signature_algorithm.unwrap_or_default(),
        marshaling_algorithm: members.marshaling_algorithm.unwrap_or_default(),
        salt_length: members.salt_length.unwrap_or_default(),
    };
    Ok((inputs, options))
}

/// All that was asked.
pub(super) struct Inputs {
    pub list: Vec<Input>,
    /// They came as `batch_input`.
    pub batch: bool,
    on_failure: OnFailure,
}

impl Input {
    /// The bytes; `missing` is what a call without any is answered.
    pub fn bytes(&self, missing: &str) -> Result<Secret<Vec<u8>>, Error> {
        let text = self.input.as_ref().ok_or_else(|| Error::bad(missing))?;
        base64::decode(text.expose())
            .map(Secret::new)
            .map_err(|error| Error::bad(format!("unable to decode input as base64: {error}")))
    }

    /// What the key is to be derived for; empty for nothing.
    pub fn context(&self) -> Result<Vec<u8>, Error> {
        base64::decode(self.context.as_deref().unwrap_or_default())
            .map_err(|_| Error::bad("failed to base64-decode context"))
    }
}

impl Inputs {
    /// One of them came with a context.
    pub fn have_context(&self) -> bool {
        let given = |input: &Input| {
            input
                .context
                .as_deref()
                .is_some_and(|text| !text.is_empty())
        };
        self.list.iter().any(given)
    }

    /// Does each and answers. What stands for a result where there is none, is the default.
    pub async fn answer<T: Serialize + Default>(
        &self,
        mut each: impl FnMut(&Input) -> Result<T, Error>,
    ) -> Result<Reply, Error> {
        let [only] = &*self.list else {
            return self.answer_batch(each).await;
        };
        match self.batch {
            true => self.answer_batch(each).await,
            false => Reply::data(&each(only)?),
        }
    }

    async fn answer_batch<T: Serialize + Default>(
        &self,
        mut each: impl FnMut(&Input) -> Result<T, Error>,
    ) -> Result<Reply, Error> {
        let mut batch_results = Vec::with_capacity(self.list.len());
        let mut failed = 0;
        for input in &self.list {
            let (done, error) = match each(input) {
                Ok(done) => (done, None),
                Err(Error::BadRequest(text)) => (T::default(), Some(text)),
                Err(error) => return Err(error),
            };
            failed += usize::from(error.is_some());
            batch_results.push(Outcome {
                done,
                error,
                reference: input.reference.as_deref().unwrap_or_default(),
            });
            // Each may be a signature.
            yield_now().await;
        }
        let status = self.on_failure.status(failed, self.list.len());
        let reply = Reply::data(&Answer { batch_results })?;
        Ok(Reply { status, ..reply })
    }
}

#[derive(Serialize)]
struct Answer<'i, T> {
    batch_results: Vec<Outcome<'i, T>>,
}

#[derive(Serialize)]
struct Outcome<'i, T> {
    #[serde(flatten)]
    done: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    reference: &'i str,
}
