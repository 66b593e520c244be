//! Seals: what opens the store without people, a file or a folder each.

mod awskms;
mod pkcs11;
mod settings;
mod static_key;
mod transit;

use keyfold_core::ports::seal::SealKind;

/// All of them.
pub static KINDS: [SealKind; 4] = [static_key::KIND, transit::KIND, pkcs11::KIND, awskms::KIND];
