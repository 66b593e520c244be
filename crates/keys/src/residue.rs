//! A test that reads the process' own memory: a key in use stands in protected pages and nowhere
//! else.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::dek::Dek;
use crate::hierarchy::Wraps;
use crate::keyring::Keyring;
use crate::root_key::RootKey;
use crate::unseal_key::UnsealKey;

const AT: &[u8] = b"core/x";

#[test]
fn keys_in_use_leave_no_copy() {
    let unseal_key = UnsealKey::generate();
    let shares = unseal_key.split(5, 3).ok().unwrap();
    let unseal_key = UnsealKey::from_shares(&shares[1..4]).ok().unwrap();
    let wrapped = unseal_key.wrap(&RootKey::generate(), AT).unwrap();
    let root_key = unseal_key.unwrap(&wrapped, AT).ok().unwrap();
    let wrapped = root_key.wrap(&Keyring::new("now"), AT).unwrap();
    let keyring = root_key
        .unwrap(&wrapped, AT)
        .ok()
        .unwrap()
        .rotate("now")
        .unwrap();
    let kek = &keyring.active().kek;
    let wrapped = kek.wrap(&Dek::generate(), AT).unwrap();
    let dek = kek.unwrap(&wrapped, AT).ok().unwrap();
    let record = dek.seal(1, "mount", "key", b"value");
    assert!(dek.open("mount", "key", &record).is_ok());

    let [whole] = unseal_key
        .split(1, 1)
        .ok()
        .unwrap()
        .try_into()
        .ok()
        .unwrap();
    for (name, key) in [
        ("unseal key", whole.as_bytes()),
        ("share", shares[0].as_bytes()),
        ("root key", root_key.as_bytes()),
        ("KEK", kek.as_bytes()),
        ("DEK", dek.as_bytes()),
    ] {
        assert_eq!(
            copies(&key[..16]),
            0,
            "copies of the first half of the {name}"
        );
        assert_eq!(
            copies(&key[16..32]),
            0,
            "copies of the second half of the {name}"
        );
    }

    // A copy would have been found. Not in a test of its own: that would read this one's memory at
    // the same time, and the buffer it reads into be such a copy.
    let copy = std::hint::black_box(dek.as_bytes().to_vec());
    assert!(copies(&dek.as_bytes()[..16]) > 0);
    assert!(copies(&dek.as_bytes()[16..]) > 0);
    drop(copy);
}

/// How often `pattern` stands in memory outside protected pages.
fn copies(pattern: &[u8]) -> usize {
    const CHUNK: usize = 1 << 20;
    let memory = File::open("/proc/self/mem").unwrap();
    let mut buffer = vec![0; CHUNK + pattern.len()];
    let mut count = 0;
    for (from, to) in ordinary_memory() {
        for start in (from..to).step_by(CHUNK) {
            let len = (to - start).min(buffer.len());
            // Memory that another thread has unmapped meanwhile can't be read, and needs not be.
            let read = memory
                .read_at(&mut buffer[..len], start as u64)
                .unwrap_or(0);
            count += buffer[..read]
                .windows(pattern.len())
                .filter(|&part| part == pattern)
                .count();
            buffer.fill(0);
        }
    }
    count
}

/// The address ranges that can be read and written, but for protected pages: those are the runs
/// with an inaccessible page on either side.
fn ordinary_memory() -> Vec<(usize, usize)> {
    let hex = |text: &str| usize::from_str_radix(text, 16).unwrap();
    let maps: Vec<(usize, usize, String)> = fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            let (from, to) = words.next().unwrap().split_once('-').unwrap();
            (hex(from), hex(to), words.next().unwrap()[..3].to_owned())
        })
        .collect();
    let guard = |from: usize, to: usize| {
        maps.iter()
            .any(|(start, end, rights)| (*start == from || *end == to) && rights == "---")
    };
    maps.iter()
        .filter(|(_, _, rights)| rights.starts_with("rw"))
        .filter(|(from, to, _)| !(to - from == 64 * 1024 && guard(*to, *from)))
        .map(|(from, to, _)| (*from, *to))
        .collect()
}
