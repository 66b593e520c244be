//! The HTTP contract: bodies, response envelope, errors, durations, HCL.
