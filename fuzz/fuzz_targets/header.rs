//! The header of an envelope file, its slots and what stands in them. The bytes are taken as they are, and with every
//! checksum made right.
#![no_main]

use keyfold_envelope::header::{HEADER_LEN, Header};
use keyfold_envelope::slot::{SLOT_COUNT, SLOT_LEN, Slot, SlotTable};
use keyfold_envelope::{Context, Locator, inspect_reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = inspect_reader(bytes);
    let _ = Header::parse_prefix(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(locator) = text.parse::<Locator>()
    {
        assert_eq!(
            format!("{}/{}", locator.mount(), locator.key()),
            locator.as_str()
        );
    }
    let mut whole = [0; HEADER_LEN];
    for (to, from) in whole.iter_mut().zip(bytes) {
        *to = *from;
    }
    if let Ok(header) = Header::parse(&whole) {
        check(&header);
    }
    table(bytes);
});

fn check(header: &Header) {
    let again = header.encode();
    let again = Header::parse(&again).expect("what was read is written so that it can be read");
    assert_eq!(again.prelude.as_bytes(), header.prelude.as_bytes());
    assert_eq!(again.slots.as_bytes(), header.slots.as_bytes());
    let _ = (
        header.prelude.labels(),
        header.prelude.matches(&Context::new()),
    );
}

fn table(bytes: &[u8]) {
    let mut table = [0; SLOT_COUNT * SLOT_LEN];
    for (to, from) in table.iter_mut().zip(bytes) {
        *to = *from;
    }
    let slots = SlotTable::parse(&table);
    assert_eq!(slots.as_bytes(), &table);
    assert_eq!(slots.sectors().len(), SLOT_COUNT);
    let _ = (slots.damaged(), slots.next_generation());
    for (at, slot) in slots.candidates() {
        assert!(
            slots.free_sector(at) != Some(at),
            "the slot that opens the file is kept"
        );
        encode(slot);
    }
}

fn encode(slot: &Slot) {
    let sector = slot.encode().expect("a slot that was read fits a sector");
    let again = SlotTable::parse(&[&sector[..], &[0; SLOT_LEN * (SLOT_COUNT - 1)]].concat());
    assert!(again.slots().next().is_some_and(|(_, read)| read == slot));
}
