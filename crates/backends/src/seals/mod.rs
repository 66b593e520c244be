//! Seals: what opens the store without people, a file or a folder each.

mod settings;
mod static_key;

use keyfold_core::ports::seal::SealKind;

/// All of them.
pub static KINDS: [SealKind; 1] = [static_key::KIND];
