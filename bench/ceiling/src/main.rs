//! ceiling
fn main() {}
