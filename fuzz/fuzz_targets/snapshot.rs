//! A snapshot: whole, and in pieces; what is read is written the same again.
#![no_main]

use keyfold_core::snapshot::{Decoder, Encoder, Fault, Inspection, Item, MAGIC, VERSION};
use keyfold_keys::kdf::MacKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, 3));
    // What begins well gets further.
    let begun = [&MAGIC[..], &[VERSION], bytes].concat();
    let _no_panic = read(&begun, 64);
    let mut inspection = Inspection::default();
    if inspection.push(bytes).is_ok() {
        assert_eq!(inspection.finish().is_ok(), whole.is_ok());
    }
    if let Ok(items) = whole {
        // A header has several spellings; what it says, and all else, is the same again.
        let again = read(&write(&items), 64).unwrap();
        let (_, records) = items.split_last().unwrap();
        assert_eq!(again.split_last().unwrap().1, records);
    }
});

fn read(bytes: &[u8], step: usize) -> Result<Vec<Item>, Fault> {
    let mut decoder = Decoder::default();
    let mut items = Vec::new();
    for piece in bytes.chunks(step) {
        decoder.push(piece);
        while let Some(item) = decoder.next_item()? {
            items.push(item);
        }
    }
    decoder.finish()?;
    Ok(items)
}

fn write(items: &[Item]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut out = Vec::new();
    for item in items {
        match item {
            Item::Header(header) => out.extend(encoder.begin(header).unwrap()),
            Item::Record(key, value) => {
                out.extend(
                    encoder
                        .records(&vec![(key.clone(), value.clone())])
                        .unwrap(),
                );
            }
            Item::End(_) => {}
        }
    }
    out.extend(encoder.end(&MacKey::new(b"fuzz")));
    out
}
