//! The format: what goes in comes out, and nothing else does.

use keyfold_keys::kdf::MacKey;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::ports::whole::Portion;

fn key() -> MacKey {
    MacKey::new(&[7; 32])
}

fn header() -> Header {
    Header {
        store: "6ba7b810-9dad-11d1-80b4-00c04fd430c8".into(),
        created: "2030-01-02T03:04:05Z".into(),
        revision: 42,
        program: "keyfold 1".into(),
    }
}

fn written(portions: &[Portion]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut out = encoder.begin(&header()).unwrap();
    for portion in portions {
        out.extend(encoder.records(portion).unwrap());
    }
    out.extend(encoder.end(&key()));
    out
}

fn read(bytes: &[u8], step: usize) -> Result<(Header, Portion, Trailer), Fault> {
    let mut decoder = Decoder::default();
    let (mut header, mut records, mut trailer) = (None, Portion::new(), None);
    for piece in bytes.chunks(step) {
        decoder.push(piece);
        while let Some(item) = decoder.next_item()? {
            match item {
                Item::Header(found) => header = Some(found),
                Item::Record(key, value) => records.push((key, value)),
                Item::End(found) => trailer = Some(found),
            }
        }
    }
    decoder.finish()?;
    Ok((header.unwrap(), records, trailer.unwrap()))
}

fn some() -> Portion {
    vec![
        ("core/format".into(), b"1".to_vec()),
        ("core/seal/shamir".into(), vec![1; 300]),
        ("mount/x/a/b".into(), vec![]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(
        records in btree_map("[a-z/é]{1,12}", vec(any::<u8>(), 0..200), 0..20),
        cut in 0usize..20,
        step in 1usize..300,
    ) {
        let mut first: Portion = records.into_iter().collect();
        let second = first.split_off(cut.min(first.len()));
        let bytes = written(&[first.clone(), second.clone()]);
        let (found, records, trailer) = read(&bytes, step).unwrap();
        let all = [first, second].concat();
        prop_assert_eq!(found, header());
        prop_assert_eq!(trailer.records, all.len() as u64);
        prop_assert!(trailer.is_by(&key()));
        prop_assert!(!trailer.is_by(&MacKey::new(&[8; 32])));
        prop_assert_eq!(records, all);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400), step in 1usize..50) {
        let _no_panic = read(&bytes, step);
        let body = written(&[some()]);
        let at = body.len() - bytes.len().min(body.len());
        let mixed = [&body[..at], &bytes].concat();
        let _no_panic = read(&mixed, step);
    }
}

#[test]
fn every_cut_and_every_flip_is_found() {
    let whole = written(&[some()]);
    for end in 0..whole.len() {
        let fault = read(&whole[..end], 64).unwrap_err();
        let cut = match end {
            0..8 => Fault::Foreign,
            _ => Fault::Truncated(end as u64),
        };
        assert_eq!(fault, cut, "cut at {end}");
    }
    let mac = whole.len() - 32;
    for at in 0..whole.len() {
        for bit in [1u8, 0x80] {
            let mut flipped = whole.clone();
            flipped[at] ^= bit;
            match read(&flipped, 64) {
                // The MAC stands behind the checksum; who has the key looks at it.
                Ok((.., trailer)) => assert!(at >= mac && !trailer.is_by(&key()), "{at}"),
                Err(_) => assert!(at < mac, "{at}"),
            }
        }
    }
}

#[test]
fn what_is_none_is_told_apart() {
    let fault = |bytes: &[u8]| read(bytes, 16).unwrap_err();
    assert_eq!(fault(b"\x1f\x8b\x08\0\0\0\0\0\0\0"), Fault::Raft);
    assert_eq!(fault(b"{\"a\": 1}"), Fault::Foreign);
    let mut newer = written(&[some()]);
    newer[8] = 9;
    assert_eq!(fault(&newer), Fault::Newer(9));
    let longer = [written(&[some()]), vec![0]].concat();
    assert_eq!(fault(&longer), Fault::Longer);
    let unordered = written(&[some(), some()]);
    assert!(matches!(fault(&unordered), Fault::Damaged(_)));
}

#[test]
fn a_summary_counts_by_folder() {
    let mut inspection = Inspection::default();
    for piece in written(&[some()]).chunks(7) {
        inspection.push(piece).unwrap();
    }
    let summary = inspection.finish().unwrap();
    assert_eq!(summary.records, 3);
    assert_eq!(summary.seals, ["shamir"]);
    let names: Vec<_> = summary.folders.keys().map(String::as_str).collect();
    assert_eq!(names, ["core/", "core/seal/", "mount/x/"]);
    assert_eq!(summary.folders["core/seal/"].bytes, 316);
    assert_eq!(
        summary.folders.values().map(|f| f.bytes).sum::<u64>(),
        summary.bytes
    );
}
