//! A seal whose secret lies in a file that is not there: on a stick that nobody plugged in, on a
//! share that is not mounted. It is down like one whose server does not answer, and works as soon as
//! the file can be read.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use keyfold_core::ports::seal::{Blob, Seal, SealError, SealKind, SettingError, Settings};
use keyfold_keys::Share;

/// A seal of that kind, which is made when its files are there.
pub fn awaited(kind: &SealKind, settings: Settings) -> Arc<dyn Seal> {
    Arc::new(Awaited {
        make: kind.make,
        settings: Arc::new(settings),
        made: OnceLock::new(),
    })
}

struct Awaited {
    make: fn(&Settings) -> Result<Arc<dyn Seal>, SettingError>,
    settings: Arc<Settings>,
    made: OnceLock<Arc<dyn Seal>>,
}

impl Awaited {
    /// Tries to make it, where that was not done. Of two that try at once the first one's stays.
    async fn seal(&self) -> Result<&Arc<dyn Seal>, SealError> {
        if let Some(seal) = self.made.get() {
            return Ok(seal);
        }
        let (make, settings) = (self.make, Arc::clone(&self.settings));
        // The file may lie on a disk that takes its time.
        let tried = tokio::task::spawn_blocking(move || make(&settings)).await;
        let seal = tried
            .map_err(|_| SealError::Down("it can't be made now".to_owned()))?
            .map_err(|error| match error.awaited {
                true => SealError::Down(error.to_string()),
                false => SealError::Refused(error.to_string()),
            })?;
        Ok(self.made.get_or_init(|| seal))
    }
}

#[async_trait]
impl Seal for Awaited {
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError> {
        self.seal().await?.wrap(share).await
    }

    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError> {
        self.seal().await?.unwrap(blob).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seals::static_key::KIND;

    #[tokio::test]
    async fn it_works_when_the_file_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let settings = Settings::from([
            (
                "current_key".to_owned(),
                format!("file://{}", path.display()),
            ),
            ("current_key_id".to_owned(), "a".to_owned()),
        ]);
        let error = (KIND.make)(&settings).err().unwrap();
        assert!(error.awaited);
        let seal = awaited(&KIND, settings);
        let share = Share::from_bytes(&[7; 32]).ok().unwrap();
        let down = seal.wrap(&share).await.unwrap_err();
        assert_eq!(down.class(), "down");
        assert!(!down.to_string().contains("key/"), "{down}");
        std::fs::write(&path, [1; 3]).unwrap();
        assert_eq!(seal.wrap(&share).await.unwrap_err().class(), "refused");
        std::fs::write(&path, [1; 32]).unwrap();
        let blob = seal.wrap(&share).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(seal.unwrap(&blob).await.ok().unwrap().ct_eq(&share));
    }
}
