//! The members of transit's encrypt, decrypt and rewrap.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// The engine's own files: what they hold is open to their parent alone.
#[allow(dead_code)]
#[path = "."]
mod transit {
    #[path = "../../crates/backends/src/engines/transit/member.rs"]
    mod member;
    #[path = "../../crates/backends/src/engines/transit/request.rs"]
    mod request;

    use request::{Form, Request};

    const FORMS: [Form; 2] = [
        Form {
            input: "plaintext",
            key_version: true,
            creates: true,
            moves: false,
        },
        Form {
            input: "ciphertext",
            key_version: false,
            creates: false,
            moves: true,
        },
    ];

    pub fn read(body: &[u8]) {
        for form in &FORMS {
            let Ok(request) = Request::parse(body, form) else {
                continue;
            };
            for item in [&request.single]
                .into_iter()
                .chain(request.batch.iter().flatten())
            {
                let _ = item.present(form);
                let _ = (
                    item.input.text("a"),
                    item.context.text("b"),
                    item.key_version.int("c"),
                );
                let _ = (item.associated_data.text("d"), item.reference.text("e"));
            }
        }
    }
}

fuzz_target!(|body: &[u8]| transit::read(body));
