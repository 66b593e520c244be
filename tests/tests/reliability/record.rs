//! What strace wrote: a line for each call on the store's file. With the bytes of the writes in it one can make the file
//! as a disk would have it.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What a power cut leaves whole, bytes.
const SECTOR: usize = 512;

/// The calls up to the end of strace.
pub struct Record(String);

/// A call on the file.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Write {
        offset: u64,
        bytes: Vec<u8>,
        /// It was made as a whole.
        returned: bool,
    },
    Length(u64),
    Sync,
}

impl Record {
    /// Of a strace that has ended.
    pub fn read(path: &Path) -> io::Result<Self> {
        fs::read_to_string(path).map(Self)
    }

    /// Whether it ends with the end of a process.
    pub fn is_complete(&self) -> bool {
        let last = self.0.lines().last().unwrap_or_default();
        self.0.ends_with('\n') && last.contains("+++ ")
    }

    /// Whether the program was killed.
    pub fn killed(&self) -> bool {
        self.0.contains("+++ killed by SIGKILL")
    }

    /// Whether a call was made to fail.
    pub fn injected(&self) -> bool {
        self.0.contains("(INJECTED)")
    }

    /// Does the first half of the write in which the program was killed.
    pub fn tear(&self, store: &Path) -> io::Result<()> {
        let cut = self.calls().find_map(|call| match call {
            Call::Write {
                offset,
                bytes,
                returned: false,
            } => Some((offset, bytes)),
            _ => None,
        });
        let missing = || io::Error::other("the write that was cut off is not in the record");
        let (offset, bytes) = cut.ok_or_else(missing)?;
        let (half, _) = bytes.split_at(bytes.len() / 2);
        let file = File::options().write(true).open(store)?;
        file.write_all_at(half, offset)
    }

    /// Makes the file as a power cut leaves it: what was synced, and of what was written after it some sectors. `before`
    /// is the file as it was when the record began.
    pub fn cut_power(&self, mut before: Vec<u8>, store: &Path) -> io::Result<()> {
        let calls: Vec<_> = self.calls().collect();
        let synced = calls.iter().rposition(|call| *call == Call::Sync);
        let mut chance = Chance(calls.len() as u64 + 1);
        for (n, call) in calls.iter().enumerate() {
            match call {
                Call::Sync => {}
                Call::Length(length) => before.resize(usize::try_from(*length).unwrap(), 0),
                Call::Write { offset, bytes, .. } => {
                    for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                        if synced.is_some_and(|synced| n < synced) || chance.is_heads() {
                            let at = usize::try_from(*offset).unwrap() + sector * SECTOR;
                            let end = at + part.len();
                            before.resize(before.len().max(end), 0);
                            before[at..end].copy_from_slice(part);
                        }
                    }
                }
            }
        }
        fs::write(store, before)
    }

    fn calls(&self) -> impl Iterator<Item = Call> {
        self.0.lines().filter_map(call)
    }
}

/// `1 pwrite64(9, "\x01\x02", 2, 4096) = 2`; `= ?` or `<unfinished ...>` when it did not return.
fn call(line: &str) -> Option<Call> {
    let (_, rest) = line.split_once(' ')?;
    let (name, rest) = rest.trim_start().split_once('(')?;
    let (_, value) = rest.rsplit_once(" = ").unwrap_or((rest, "?"));
    match name {
        "fdatasync" => (value == "0").then_some(Call::Sync),
        "ftruncate" => {
            let (_, length) = rest.split_once(", ")?;
            let length = digits(length).parse().ok()?;
            (value == "0").then_some(Call::Length(length))
        }
        "pwrite64" => {
            let (_, rest) = rest.split_once(", \"")?;
            let (text, rest) = rest.split_once("\", ")?;
            let (length, offset) = rest.split_once(", ")?;
            let codes = text.split("\\x").skip(1);
            let bytes = codes.map(|code| u8::from_str_radix(code, 16));
            let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().ok()?;
            let whole = length.parse() == Ok(bytes.len());
            whole.then_some(Call::Write {
                offset: digits(offset).parse().ok()?,
                bytes,
                returned: value != "?",
            })
        }
        _ => None,
    }
}

/// What a text begins with.
fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// The same each time (xorshift), so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn is_heads(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 & 0x10 == 0
    }
}

#[test]
fn calls_are_read_from_lines() {
    let write = |returned| {
        Some(Call::Write {
            offset: 4096,
            bytes: vec![1, 255],
            returned,
        })
    };
    let head = r#"7  pwrite64(9, "\x01\xff", 2, 4096"#;
    assert_eq!(call(&format!("{head}) = 2")), write(true));
    assert_eq!(call(&format!("{head}) = ?")), write(false));
    assert_eq!(call(&format!("{head} <unfinished ...>")), write(false));
    assert_eq!(
        call("7  ftruncate(9, 73728)   = 0"),
        Some(Call::Length(73728))
    );
    assert_eq!(call("7  fdatasync(9)      = 0"), Some(Call::Sync));
    for line in [
        r#"7  pwrite64(9, "\x01"..., 2, 4096) = ?"#,
        "7  fdatasync(9) = ?",
        "7  fdatasync(9) = -1 EIO (Input/output error) (INJECTED)",
        "7  +++ killed by SIGKILL +++",
    ] {
        assert_eq!(call(line), None, "{line}");
    }
}

#[test]
fn a_power_cut_keeps_what_was_synced() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let lines = |last: &str| {
        let write = r#"7 pwrite64(9, "\x02\x02", 2, 1) = 2"#;
        Record(format!("{write}\n{last}\n"))
    };
    let synced = lines("7 fdatasync(9) = 0");
    synced.cut_power(vec![1; 3], &store).unwrap();
    assert_eq!(fs::read(&store).unwrap(), [1, 2, 2]);
    let torn = lines(r#"7 pwrite64(9, "\x03\x03\x03\x03", 4, 0) = ?"#);
    torn.cut_power(vec![1; 3], &store).unwrap();
    let found = fs::read(&store).unwrap();
    let whole: [&[u8]; 4] = [&[1, 1, 1], &[1, 2, 2], &[3, 3, 3, 3], &[1, 2, 2, 0]];
    assert!(whole.contains(&found.as_slice()), "{found:?}");
    torn.tear(&store).unwrap();
    assert_eq!(fs::read(&store).unwrap().get(..2), Some([3, 3].as_slice()));
}
