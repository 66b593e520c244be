//! What engines do by themselves: looked for once a minute while the vault is open.

use std::sync::Arc;
use std::time::Duration;

use keyfold_core::Core;
use tokio::sync::watch;

use crate::http::listener::ServerPhase as Phase;

/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(60);

/// Does the chores that are due, until the server stops.
pub async fn run(core: Arc<Core>, mut phase: watch::Receiver<Phase>) {
    loop {
        tokio::select! {
            stopped = phase.wait_for(|phase| *phase != Phase::Serving) => {
                drop(stopped);
                return;
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        if core.is_sealed() {
            continue;
        }
        match core.do_chores().await {
            Ok(0) => {}
            Ok(done) => tracing::info!(done, "did what was due: keys were rotated by themselves"),
            Err(error) => tracing::warn!(%error, "what is due was not looked for"),
        }
    }
}
