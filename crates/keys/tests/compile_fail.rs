//! What must not compile: the wrong key around a thing, and a key that prints, copies or hands out
//! its bytes. Each file of `compile_fail/` is one such attempt, beside the compiler's answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[test]
fn wrong_use_of_keys_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
