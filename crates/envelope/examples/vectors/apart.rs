//! What lies apart from an envelope: its payload, or the keyring that opens it. Put together here from the format's
//! description and not by the crate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_envelope::Locator;
use keyfold_envelope::header::Prelude;
use keyfold_envelope::slot::{Slot, TYPE_KEYRING, kek_id};
use keyfold_keys::{kdf, xaes};
use serde_json::{Value, json};

use crate::{Anything, CLUSTER, TIME, filler, seal_dek, set, sha256};

const SERVICE: &str = "payments";
const PLACE: &str = "payments.keyring";
const DEK_NO: u32 = 1;

/// A slot of type 2, and the keyring whose DEK it is under.
pub(crate) struct Keyring {
    pub(crate) slot: Slot,
    pub(crate) told: Value,
}

/// The slot and the keyring of a vector.
pub(crate) fn keyring(
    name: &str,
    locator: &str,
    prelude: &Prelude,
    dek: &[u8; 32],
) -> Anything<Keyring> {
    let locator: Locator = locator.parse()?;
    let service_dek: [u8; 32] = filler(&format!("service dek {name}"));
    let dek_id: [u8; 16] = filler(&format!("dek id {name}"));
    let len = (SERVICE.len() as u64).to_be_bytes();

    let aad = [b"keyfold/1 keyring", &len[..], SERVICE.as_bytes(), &dek_id].concat();
    let aad = hex::decode(sha256(&aad))?;
    let nonce = filler(&format!("nonce {name} row"));
    let kek: [u8; 32] = filler("kek 1");
    let wrapped = seal_dek(&kek, nonce, &aad, &service_dek)?;
    let mut commitment = [0; 32];
    let info = [
        b"keyfold/1 commit",
        &len[..],
        SERVICE.as_bytes(),
        &DEK_NO.to_be_bytes(),
        &dek_id,
    ];
    kdf::expand_sha512(&service_dek, &info, &mut commitment)?;

    let mut object_key = [0; xaes::KEY_LEN];
    kdf::expand_sha512(&service_dek, &[b"keyfold/1 objects"], &mut object_key)?;
    let nonce: [u8; xaes::NONCE_LEN] = filler(&format!("nonce {name} keyring"));
    let aad = [&prelude.aad()[..], &dek_id].concat();
    let mut sealed = *dek;
    let tag = xaes::Key::new(&object_key).seal(&nonce, &aad, &mut sealed)?;
    let blob = [&dek_id[..], &nonce, &sealed, &tag, PLACE.as_bytes()].concat();
    let slot = Slot {
        version: DEK_NO,
        wrapped_at: TIME,
        generation: 1,
        ..Slot::new(TYPE_KEYRING, blob)
    };
    let told = json!({
        "sector": 0,
        "bytes_hex": hex::encode(slot.encode()?),
        "kek_hex": hex::encode(kek),
        "service_dek_hex": hex::encode(service_dek),
        "document": {
            "format": "keyfold/1 keyring",
            "service": SERVICE,
            "key": locator.to_string(),
            "deks": [{
                "dek_no": DEK_NO,
                "dek_id": hex::encode(dek_id),
                "state": "active",
                "key": locator.to_string(),
                "kek_id": hex::encode(kek_id(CLUSTER, &locator)),
                "version": 1,
                "wrapped": STANDARD.encode(wrapped),
                "bound": true,
                "created": TIME,
                "commitment": hex::encode(commitment),
                "uses": 1,
                "bytes": 100,
            }],
        },
    });
    Ok(Keyring { slot, told })
}

/// The payload beside a header, in place of what stands behind one.
pub(crate) fn tell_payload(document: &mut Value, message: &[u8]) {
    if let Some(members) = document.as_object_mut() {
        members.remove("file_len");
        members.remove("file_sha256");
    }
    set(document, "payload_len", message.len());
    set(document, "payload_sha256", sha256(message));
}
