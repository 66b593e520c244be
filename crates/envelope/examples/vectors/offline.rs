//! Slots that need no server, put together here from their description and not by the crate.

use argon2::{Algorithm, Argon2, Params, Version};
use keyfold_envelope::header::Prelude;
use keyfold_envelope::slot::{SLOT_LEN, Sector, Slot, SlotTable, TYPE_PASSPHRASE, TYPE_X_WING};
use keyfold_envelope::{Recipient as _, identities_of, recipients_of};
use keyfold_keys::kem::Kem;
use keyfold_secret::Protected;
use serde_json::{Value, json};

use crate::{Anything, TIME, filler, seal_dek};

/// What was written last. The encapsulation of an offline key is random, so its slots are kept as
/// they are while they open.
const LAST: &str = include_str!("../../testdata/vectors.json");
const X_WING_AT: usize = 1;
const PASSPHRASE_AT: usize = 4;

/// A slot, its sector, and what tells how it is opened.
pub(crate) struct Offline {
    pub(crate) sector: usize,
    pub(crate) slot: Slot,
    pub(crate) told: Value,
}

/// A slot for an offline key and one for a passphrase.
pub(crate) fn slots(name: &str, prelude: &Prelude, dek: &[u8; 32]) -> Anything<Vec<Offline>> {
    Ok(vec![
        x_wing(name, prelude, dek)?,
        passphrase(name, prelude, dek)?,
    ])
}

fn x_wing(name: &str, prelude: &Prelude, dek: &[u8; 32]) -> Anything<Offline> {
    let seed: [u8; 32] = filler(&format!("seed {name}"));
    let public = Kem::XWing.public(&seed)?;
    let identity = with_crc(&[&[TYPE_X_WING], &seed[..]].concat());
    let identity = format!("KEYFOLD-IDENTITY-{}", hex::encode_upper(identity));
    let recipient = recipient_text(&public);
    let key = identities_of(&identity)?.pop().ok_or("no identity")?;
    let protected = Protected::<32>::init_with(|key| key.copy_from_slice(dek));
    let opens = |slot: &Slot| {
        let opened = key.open(prelude, slot).and_then(Result::ok);
        opened.is_some_and(|found| found.ct_eq(&protected))
    };
    let slot = match last(name).filter(opens) {
        Some(slot) => slot,
        None => {
            let mut recipients = recipients_of(&recipient)?;
            let recipient = recipients.pop().ok_or("no recipient")?;
            Slot {
                wrapped_at: TIME,
                generation: 2,
                ..recipient.wrap(prelude, &protected)?
            }
        }
    };
    let told = json!({"seed_hex": hex::encode(seed), "recipient": recipient, "identity": identity});
    Ok(Offline {
        sector: X_WING_AT,
        slot,
        told,
    })
}

fn passphrase(name: &str, prelude: &Prelude, dek: &[u8; 32]) -> Anything<Offline> {
    let passphrase = format!("correct horse {name}");
    let salt: [u8; 16] = filler(&format!("argon2 salt {name}"));
    let (memory, passes, lanes) = (64u32, 3u32, 4u32);
    let mut kek = [0; 32];
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(|error| error.to_string())?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), &salt, &mut kek)
        .map_err(|error| error.to_string())?;
    let nonce = filler(&format!("nonce {name} passphrase"));
    let wrap = seal_dek(&kek, nonce, &prelude.aad(), dek)?;
    let numbers = [memory, passes, lanes].map(u32::to_be_bytes);
    let slot = Slot {
        wrapped_at: TIME,
        generation: 3,
        ..Slot::new(
            TYPE_PASSPHRASE,
            [numbers.as_flattened(), &salt, &wrap].concat(),
        )
    };
    let told = json!({"passphrase": passphrase, "memory_kib": memory, "passes": passes,
        "lanes": lanes, "kek_hex": hex::encode(kek)});
    Ok(Offline {
        sector: PASSPHRASE_AT,
        slot,
        told,
    })
}

/// The slot of the same name that was written last.
fn last(name: &str) -> Option<Slot> {
    let document: Value = serde_json::from_str(LAST).ok()?;
    let mut vectors = document.get("offline")?.as_array()?.iter();
    let vector = vectors.find(|vector| vector["name"] == name)?;
    let mut slots = vector.get("offline_slots")?.as_array()?.iter();
    let slot = slots.find(|slot| slot["type"] == TYPE_X_WING)?;
    let bytes = hex::decode(slot.get("bytes_hex")?.as_str()?).ok()?;
    match SlotTable::parse(&bytes).sectors().first()? {
        Sector::Slot(slot) if usize::from(slot.span) * SLOT_LEN == bytes.len() => {
            Some((**slot).clone())
        }
        _ => None,
    }
}

fn recipient_text(public: &[u8]) -> String {
    use base64::Engine as _;
    let bytes = with_crc(&[&[TYPE_X_WING], public].concat());
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    format!("keyfold-recipient-{text}")
}

pub(crate) fn with_crc(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32c::crc32c(bytes).to_be_bytes()].concat()
}
