//! What a destruction does not reach, said plainly: a server destroys what it has.

use super::super::key::Settings;

/// Sentences about a key; about one that is gone already where there are no settings.
pub(super) fn of(settings: Option<&Settings>) -> Vec<String> {
    let mut told = vec![
        "Snapshots and copies of the store from before still hold the key, wrapped. Each opens by the \
         shares and seals of its time, whatever is rotated later: delete them, or let them expire."
            .to_owned(),
        "The records were deleted; what of them is left on the disk is under the DEK of the mount: \
         `operator rotate-dek` of the mount makes noise of it."
            .to_owned(),
        "Clients that unwrapped a data key may keep it until their caches end, and whoever noted one \
         has it for good. Envelopes with a slot for somebody else open by that slot."
            .to_owned(),
    ];
    let Some(settings) = settings else {
        return told;
    };
    if settings.exportable {
        let backed_up = match &settings.backup {
            Some(copied) => format!(" The last backup was made on {}.", copied.time),
            None => String::new(),
        };
        told.push(format!(
            "The key could be exported: copies that were taken open as before.{backed_up}"
        ));
    }
    if settings.imported {
        told.push("The key was made elsewhere: who made it may have it.".to_owned());
    }
    if settings.is_managed() {
        let kept = settings.managed.values();
        let names: Vec<&str> = kept.map(|kept| &*kept.named.name).collect();
        told.push(format!(
            "The secret parts of the key lie in devices and are not touched: destroy them there \
             (managed keys {})",
            names.join(", ")
        ));
    }
    told
}
