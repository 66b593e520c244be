//! Which answers are worth another try, and when.

use std::time::Duration;

use crate::Response;

/// How often and how soon a request is repeated.
#[derive(Clone, Copy)]
pub(crate) struct Retry {
    /// Tries after the first.
    pub(crate) most: u32,
    /// Pause before the first repeat; it doubles each time.
    pub(crate) pause: Duration,
}

impl Retry {
    /// The pause before try number `attempt + 1`, or `None` where `response` is final.
    ///
    /// As existing clients do: 412 (the node lags behind a write of ours) and 5xx are repeated, 501
    /// (not initialised) is not. Neither is "sealed", which no pause of ours will change.
    pub(crate) fn pause_after(&self, response: &Response, attempt: u32) -> Option<Duration> {
        let transient = response.status == 412
            || (response.status >= 500 && response.status != 501 && !response.error().is_sealed());
        if !transient || attempt >= self.most {
            return None;
        }
        Some(self.pause.saturating_mul(1 << attempt.min(6)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_secret::Secret;

    #[test]
    fn transient_answers_are_repeated_a_few_times() {
        let retry = Retry {
            most: 2,
            pause: Duration::from_millis(10),
        };
        let pause = |status: u16, body: &str, attempt| {
            let body = Secret::new(body.as_bytes().to_vec());
            retry.pause_after(&Response { status, body }, attempt)
        };
        assert_eq!(pause(500, "", 0), Some(Duration::from_millis(10)));
        assert_eq!(pause(412, "", 1), Some(Duration::from_millis(20)));
        assert_eq!(pause(500, "", 2), None);
        assert_eq!(pause(501, "", 0), None);
        assert_eq!(pause(400, "", 0), None);
        assert_eq!(pause(200, "", 0), None);
        assert_eq!(pause(503, r#"{"errors":["Vault is sealed"]}"#, 0), None);
        assert!(pause(503, "busy", 0).is_some());
    }
}
