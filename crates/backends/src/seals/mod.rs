//! Seals: what opens the store without people, a file or a folder each.

mod awaited;
mod awskms;
mod pkcs11;
mod settings;
mod static_key;
#[cfg(feature = "tpm2")]
mod tpm2;
mod transit;

use keyfold_core::ports::seal::SealKind;

pub use awaited::awaited;

/// All that this build has.
pub static KINDS: &[SealKind] = &[
    static_key::KIND,
    transit::KIND,
    pkcs11::KIND,
    awskms::KIND,
    #[cfg(feature = "tpm2")]
    tpm2::KIND,
];

/// Kinds that other builds have, each with the feature of its own name.
pub static LEFT_OUT: &[&str] = &[
    #[cfg(not(feature = "tpm2"))]
    "tpm2",
];
