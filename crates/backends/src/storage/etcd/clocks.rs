//! Nodes that disagree on the time disagree on what has expired: one whose clock is far from that of
//! the others is not started.

use std::time::Duration;

use keyfold_core::ports::storage::StorageError;

use super::Shared;
use super::commit::Work;
use super::member;

/// Most seconds that two clocks may be apart.
const APART: u64 = 30;
/// Time for the others to say what time it is.
const PATIENCE: Duration = Duration::from_secs(2);

impl Shared {
    /// Asks the others for the time; the inner error says whose is another. Who does not answer in
    /// time is not waited for.
    pub async fn compare_clocks(&self) -> Result<Result<(), String>, StorageError> {
        let own = &self.identity.id;
        let is_alone = self.feed.members(|members| {
            let mut others = members.iter().filter(|(id, _)| *id != own);
            !others.any(|(_, known)| known.answers())
        });
        if is_alone {
            return Ok(Ok(()));
        }
        let asked = self.commit(Work::Ask).await?.0;
        self.heard_of(asked, PATIENCE).await;
        let now = member::now();
        Ok(self.feed.members(|members| {
            for (id, known) in members.iter().filter(|(id, _)| *id != own) {
                let told = known.record.as_ref().filter(|_| known.answers());
                let told = told.filter(|record| record.applied >= asked);
                let Some(record) = told.filter(|record| record.at.abs_diff(now) > APART) else {
                    continue;
                };
                return Err(format!(
                    "the clock of the node {id} ({}) is {} s apart from this machine's, and nodes \
                     that disagree on the time disagree on what has expired: set the clocks",
                    record.host,
                    record.at.abs_diff(now)
                ));
            }
            Ok(())
        }))
    }
}
