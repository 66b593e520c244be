//! Looks for bytes in the memory of another process.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Bytes of a text that are looked for.
const TEXT_END: usize = 24;

/// What is looked for.
pub struct Needle {
    name: String,
    bytes: Vec<u8>,
}

impl Needle {
    /// A text, of which the end is too much already: hashes leave no more than the last block of what they were given.
    pub fn text(name: &str, text: &str) -> Self {
        let (_, end) = text.split_at(text.len().saturating_sub(TEXT_END));
        Self {
            name: name.to_owned(),
            bytes: end.as_bytes().to_vec(),
        }
    }

    /// A key, of which half is too much already. What is freed may have lost some of its first bytes to the
    /// allocator's lists and hold the rest.
    pub fn halves(name: &str, key: &[u8]) -> [Self; 2] {
        let (first, second) = key.split_at(key.len() / 2);
        [("first", first), ("second", second)].map(|(half, bytes)| Self {
            name: format!("{half} half of {name}"),
            bytes: bytes.to_vec(),
        })
    }
}

/// A process whose memory can be read.
pub struct Process {
    id: u32,
    memory: File,
}

impl Process {
    /// The one that a pid file names, or `None` where the system does not let us.
    pub fn of(pid_file: &Path) -> Option<Self> {
        let id = fs::read_to_string(pid_file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let memory = File::open(format!("/proc/{id}/mem")).ok()?;
        let process = Self { id, memory };
        let readable = process
            .areas()
            .iter()
            .any(|(from, _)| process.memory.read_at(&mut [0; 16], *from).is_ok());
        readable.then_some(process)
    }

    /// The names of the needles that stand somewhere.
    pub fn find(&self, needles: &[Needle]) -> Vec<String> {
        let pairs = Pairs::of(needles);
        let longest = needles
            .iter()
            .map(|needle| needle.bytes.len())
            .max()
            .unwrap_or_default();
        let mut found: Vec<String> = Vec::new();
        let mut buffer = vec![0; CHUNK + longest];
        for (from, to) in self.areas() {
            for start in (from..to).step_by(CHUNK) {
                let len = usize::try_from(to - start).unwrap().min(buffer.len());
                // Protected pages can't be read by anybody but their process, which is their purpose.
                let read = self.memory.read_at(&mut buffer[..len], start).unwrap_or(0);
                let bytes = &buffer[..read];
                for at in pairs.hits(bytes) {
                    let here = needles
                        .iter()
                        .filter(|needle| bytes[at..].starts_with(&needle.bytes));
                    found.extend(here.map(|needle| needle.name.clone()));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// The address ranges that can be written, and so hold something that a run of the program has put there.
    fn areas(&self) -> Vec<(u64, u64)> {
        let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.id)).unwrap();
        let areas = maps.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            rest.starts_with("rw").then(|| (address(from), address(to)))
        });
        areas.collect()
    }
}

/// The pairs of bytes that needles begin with: most places are passed with one look.
struct Pairs(Vec<bool>);

impl Pairs {
    fn of(needles: &[Needle]) -> Self {
        let mut begins = vec![false; 1 << 16];
        for needle in needles {
            begins[index(needle.bytes[0], needle.bytes[1])] = true;
        }
        Self(begins)
    }

    fn hits(&self, bytes: &[u8]) -> impl Iterator<Item = usize> {
        let pairs = bytes.array_windows::<2>().enumerate();
        pairs
            .filter(|(_, [a, b])| self.0[index(*a, *b)])
            .map(|(at, _)| at)
    }
}

fn index(a: u8, b: u8) -> usize {
    usize::from(u16::from_be_bytes([a, b]))
}
