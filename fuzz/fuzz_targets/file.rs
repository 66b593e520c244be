//! A whole envelope file, decrypted with a service whose wrap is the DEK itself.
#![no_main]

#[path = "../src/plain_service.rs"]
mod plain_service;

use keyfold_envelope::{Context, DecryptOptions, NoProgress, decrypt_stream};
use libfuzzer_sys::fuzz_target;

use plain_service::PlainService;

fuzz_target!(|bytes: &[u8]| {
    let options = DecryptOptions {
        workers: Some(std::num::NonZeroUsize::MIN),
        ..DecryptOptions::default()
    };
    let mut plain = Vec::new();
    let opened = decrypt_stream(
        &[&PlainService],
        &Context::new(),
        bytes,
        &mut plain,
        &options,
        &NoProgress,
    );
    if let Ok(opened) = opened {
        assert_eq!(opened.plaintext_len, plain.len() as u64);
    }
    assert!(
        plain.is_empty() || plain.len() < bytes.len(),
        "an envelope is longer than what it holds"
    );
});
