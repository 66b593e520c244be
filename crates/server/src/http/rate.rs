//! Rate limits in the headers of an answer.

use http::{HeaderName, HeaderValue, header};
use keyfold_core::quotas::Verdict;

use super::encode::Answer;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Tells a client what is left to it, and one that has nothing left when to try again.
pub fn tell(answer: &mut Answer, verdict: &Verdict) {
    let allowance = &verdict.allowance;
    let headers = answer.headers_mut();
    if verdict.told {
        headers.insert(LIMIT, HeaderValue::from(allowance.limit));
        headers.insert(REMAINING, HeaderValue::from(allowance.remaining));
        headers.insert(RESET, HeaderValue::from(allowance.reset.as_secs()));
    }
    if let Some(retry) = allowance.retry {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry.as_secs()));
    }
}
