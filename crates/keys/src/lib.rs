//! The key hierarchy as types, and its formats. No I/O, no clock, no async.
