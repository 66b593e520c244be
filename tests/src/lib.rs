//! Black-box tests over HTTP: a server process, and stories told to it.
//!
//! A story (`scenarios/*.toml`) is a list of requests with what must come back. `tests/scenarios.rs` makes a test of
//! each; the binary `scenario-runner` tells the same files to any server that is started as
//! `BIN server -config=FILE`, so that another implementation can be asked what it would have answered.
//!
//! | module | what |
//! |---|---|
//! | [`server`] | starts a server on a free port with a store in a temporary folder, ends it on drop |
//! | [`wire`] | one HTTP/1.1 request as it was written, no normalisation |
//! | [`story`] | the file format |
//! | [`scope`] | `${name}` in a story, and the values captured on the way |
//! | [`pattern`] | does this JSON hold what was expected; paths into it |
//! | [`runner`] | tells a story to a server |

#![forbid(unsafe_code)]

pub mod pattern;
pub mod runner;
pub mod scope;
pub mod server;
pub mod story;
pub mod wire;

pub use runner::{Failure, tell};
pub use server::{Binary, Launch, Storage, TestServer};
pub use story::Story;
