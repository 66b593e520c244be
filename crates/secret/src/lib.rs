//! Bytes that live in protected pages, zeroize, never print, never clone.
//!
//! | type | where the bytes are | for |
//! |---|---|---|
//! | [`Protected<N>`] | protected pages | a key of `N` bytes |
//! | [`Guarded<T>`] | protected pages | a key in the form a cipher wants it |
//! | [`Secret<T>`] | the heap | plain text, tokens, passwords: any length, wiped when dropped |
//!
//! None of them has `Debug`, `Display`, `Clone`, `PartialEq` or `Serialize`, so a struct that holds
//! one cannot derive them either: a log line or an error that would show a secret does not compile.
//!
//! *Protected pages* come from `memfd_secret(2)`, which takes them out of the kernel's own address
//! space, or else are locked into memory and left out of core dumps; an inaccessible page stands
//! before and after each run of them. See [`pages_locked`] for the one case where that fails.
//!
//! A program adds [`WipingAllocator`] as its global allocator and calls [`harden`] first thing.
//!
//! This is the only crate of the workspace with `unsafe` code: `pages`, `slot`, `wipe`, `process`
//! and `allocator`.
#![deny(unsafe_op_in_unsafe_fn)]

mod allocator;
mod guarded;
mod pages;
mod process;
mod protected;
mod scrub;
mod secret;
mod slot;
mod wipe;

pub use allocator::WipingAllocator;
pub use guarded::Guarded;
pub use pages::locked as pages_locked;
pub use process::{harden, return_large_blocks};
pub use protected::Protected;
pub use scrub::scrub_stack;
pub use secret::Secret;
