//! The life of a vault, driven through its pipeline: what was acknowledged reads back after every
//! crash, and a sealed vault tells nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod auths;
mod away;
mod beside;
mod chores;
mod corners;
mod crash;
mod deks;
mod identity;
mod initialize;
mod life;
mod machine;
mod many;
mod nodes;
mod paused;
mod people;
mod quorum;
mod rekey;
mod renewals;
mod rotation;
mod seals;
mod shelf;
mod shredded;
mod snapshots;
mod strangers;
mod takeover;
mod tokens;
mod trees;
mod uses;
mod wishes;
mod world;
mod wrapping;
