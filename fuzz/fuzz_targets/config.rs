//! A server's configuration: any text is one or an error.
#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../crates/server/src/config/mod.rs"]
mod config;

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(config) = config::Config::parse(text, Path::new("c")) {
        assert!(!config.listeners.is_empty());
        assert!(config.default_lease_ttl <= config.max_lease_ttl);
    }
});
