//! What went wrong at a store on other machines, and how often it is tried again.

use std::time::Duration;

use keyfold_core::ports::storage::StorageError;
use tokio::time::Instant;

/// Why something was not done. Texts name causes, never values.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another try may succeed: the connection was lost, or others were in the way.
    Passing(String),
    /// The same would come again.
    Lasting(String),
}

impl Failure {
    /// A round trip took longer than it is given.
    pub fn silence() -> Self {
        Self::Passing("the store does not answer".to_owned())
    }

    /// The store has what no version of this program wrote.
    pub fn strange(what: &str) -> Self {
        Self::Lasting(format!("the store has {what}"))
    }

    pub fn text(self) -> String {
        match self {
            Self::Passing(text) | Self::Lasting(text) => text,
        }
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.text())
    }
}

/// Time for all of them: a server that starts again, or another one that takes its place, is there
/// by then, and whoever waits still does.
const PATIENCE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The tries of one operation.
pub(super) struct Tries {
    until: Instant,
    pause: Duration,
}

impl Tries {
    pub fn new() -> Self {
        Self::within(PATIENCE)
    }

    fn within(patience: Duration) -> Self {
        Self {
            until: Instant::now() + patience,
            pause: FIRST_PAUSE,
        }
    }

    /// Waits before another try, or gives up.
    pub async fn again(&mut self, failure: Failure) -> Result<(), StorageError> {
        match failure {
            Failure::Passing(_) if Instant::now() + self.pause < self.until => {
                tokio::time::sleep(self.pause).await;
                self.pause = LONGEST_PAUSE.min(self.pause * 2);
                Ok(())
            }
            failure => Err(failure.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_passes_is_tried_for_a_while_and_what_lasts_is_not() {
        let mut tries = Tries::within(Duration::from_millis(100));
        let mut count = 0;
        while tries.again(Failure::silence()).await.is_ok() {
            count += 1;
        }
        assert!((1..5).contains(&count), "{count}");
        let lasting = Tries::new().again(Failure::strange("a hat")).await;
        let Err(StorageError::Failed(text)) = lasting else {
            panic!("tried again")
        };
        assert_eq!(text, "the store has a hat");
    }
}
