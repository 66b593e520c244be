//! What another node has mounted, tuned, moved or unmounted.

use std::sync::Arc;

use super::table::{Mount, Table, Target};
use super::{Mounts, stored, target};
use crate::error::Error;

impl Mounts {
    /// A key of the system view stands for a mount.
    pub(crate) fn is_record(key: &str) -> bool {
        key.starts_with(super::FOLDER)
    }

    /// Takes the table that is stored. An engine goes on as it is where its options are the same.
    pub(crate) async fn reload(&self) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let known = self.table.load_full();
        let mut mounts = Vec::new();
        for record in stored(&self.view).await? {
            let same = known.iter().find(|mount| {
                mount.record.uuid == record.uuid && mount.record.options == record.options
            });
            let target = match same {
                Some(mount) => mount.target.clone(),
                None => {
                    self.barrier.follow_deks(&record.uuid).await?;
                    target(
                        &record,
                        &self.barrier,
                        self.kinds,
                        &self.managed,
                        &self.clock,
                    )?
                }
            };
            mounts.push(Mount { record, target });
        }
        let table = Arc::new(Table::new(mounts));
        self.table.store(table.clone());
        for mount in known.iter() {
            let stays = table.iter().any(|m| m.record.uuid == mount.record.uuid);
            if !stays && matches!(mount.target, Target::Engine { .. }) {
                self.barrier.forget(&mount.record.uuid);
            }
        }
        Ok(())
    }
}
