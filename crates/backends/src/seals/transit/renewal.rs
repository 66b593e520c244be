//! Keeps the token alive.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::Server;

/// Between two tries when the other server does not answer.
const AGAIN: Duration = Duration::from_secs(30);
/// A token that lives for ever, or can't be renewed, is looked at this often: it may be another one
/// by then.
const SELDOM: Duration = Duration::from_secs(3600);
/// No renewal comes sooner than this after the one before.
const LEAST: Duration = Duration::from_secs(5);

/// Renews the token when half of its time is over, for as long as the seal is there.
pub(super) fn start(server: &Arc<Server>) {
    tokio::spawn(renew(Arc::downgrade(server)));
}

async fn renew(server: Weak<Server>) {
    let mut told = false;
    loop {
        let Some(open) = server.upgrade() else { return };
        let answer = open.post("auth/token/renew-self", &json!({})).await;
        drop(open);
        let pause = match answer.and_then(super::server::Answer::granted) {
            Ok(body) => {
                told = false;
                pause(&body)
            }
            Err(error) => {
                // A root token, or one without a time, can't be renewed and need not be.
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(%error, "the token of a transit seal is not renewed");
                }
                match error.class() {
                    "down" => AGAIN,
                    _ => SELDOM,
                }
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Half of what the token has left.
fn pause(body: &Value) -> Duration {
    let auth = body.get("auth");
    let lasts = auth.and_then(|auth| auth.get("lease_duration")?.as_u64());
    match lasts {
        None | Some(0) => SELDOM,
        Some(seconds) => Duration::from_secs(seconds / 2).clamp(LEAST, SELDOM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_left_within_bounds() {
        let of = |seconds: u64| pause(&json!({"auth": {"lease_duration": seconds}})).as_secs();
        assert_eq!((of(0), of(4), of(60), of(1 << 40)), (3600, 5, 30, 3600));
        assert_eq!(pause(&Value::Null), SELDOM);
    }
}
