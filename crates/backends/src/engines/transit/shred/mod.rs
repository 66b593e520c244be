//! Shredding: a key is destroyed for good, in two steps and by two people.
//!
//! ```text
//!            shred                 approve, by another           destroy, from `until` on
//!   active ─────────► tombstoned ─────────────────────► approved ─────────────────► destroyed
//!     ▲                   │                                │                  one commit: grave, receipt
//!     ├───── cancel ──────┴────────────────────────────────┘                        │
//!     └───── cancel ──── revived ◄──── an older snapshot took the store's place ────┘
//!                           └── destroy, again ──►
//! ```
//!
//! While it waits, the key opens what it made, so that whoever needs it yet has time to notice, and
//! makes nothing more. It is destroyed when somebody says so, not by the clock: what can't be undone
//! is done by a person, who is handed the receipt.
//!
//! The name stays marked: a ciphertext of the key is answered with when it was destroyed, also under a
//! new key of the name, whose versions begin above those that are gone.
//!
//! | key | holds |
//! |---|---|
//! | `policy/<name>` | among the settings the [`Mark`] of a key that is to go |
//! | `shredded/<name>` | the keys of that name that are gone, see [`graves`] |
//! | `receipts/<id>` | what was destroyed, by whom, signed; see [`mod@receipt`] |
//! | `receipts-key` | the key that signs them |
//! | `config/shred` | the shortest delay, see [`mod@rules`] |

mod actor;
mod destroy;
mod graves;
mod mark;
mod receipt;
mod receipts;
mod remains;
mod revival;
mod rules;
mod show;
mod signer;
mod steps;

use self::actor::Actor;
pub(super) use self::destroy::run as destroy;
use self::graves::Grave;
pub(super) use self::graves::Graves;
pub(super) use self::mark::Mark;
pub(super) use self::receipts::{list as receipts, read as receipt};
pub(super) use self::revival::{all as destroyed, revive};
pub(super) use self::rules::{read as rules, write as set_rules};
pub(super) use self::show::read;
pub(super) use self::signer::read as receipts_key;
pub(super) use self::steps::{approve, begin, cancel};
