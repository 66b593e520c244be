//! The configuration language: any text is a body or an error with a line of that text.
#![no_main]

use keyfold_api::hcl::{Body, HclError, Value, parse, parse_any};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = text.lines().count().max(1) + 1;
    for read in [parse, parse_any] {
        match read(text) {
            Ok(body) => visit(&body),
            Err(HclError { line, .. }) => assert!((1..=lines).contains(&(line as usize))),
        }
    }
});

/// Asks each item for all that it could be.
fn visit(body: &Body) {
    for item in &body.items {
        let found = body.item(&item.key).map(|found| &found.key);
        assert_eq!(found, Some(&item.key));
        for labels in 0..3 {
            for block in body
                .labelled_blocks(&item.key, labels)
                .into_iter()
                .flatten()
            {
                assert_eq!(block.labels.len(), labels);
            }
        }
        let _ = body.blocks(&item.key);
        value(&item.value);
    }
}

fn value(of: &Value) {
    let _ = (of.as_str(), of.to_text(), of.to_bool(), of.kind());
    of.as_list().into_iter().flatten().for_each(value);
    if let Some(body) = of.as_object() {
        visit(body);
    }
}
