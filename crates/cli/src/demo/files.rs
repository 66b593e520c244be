//! The file that the story is told with, and how two files are compared.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use keyfold_envelope::slot::SLOT_LEN;

use super::error::{DemoError, claim};
use super::folder::Folder;

/// Bytes of the sample.
const SAMPLE: u64 = 8 * 1024 * 1024;
/// Bytes read at once, a multiple of [`SLOT_LEN`].
const BLOCK: usize = 64 * 1024;

/// The file in clear, which is only read.
pub(super) struct Original {
    pub(super) path: PathBuf,
    /// For people; no control characters.
    pub(super) name: String,
    /// Bytes.
    pub(super) len: u64,
    modified: Option<SystemTime>,
    pub(super) is_sample: bool,
}

impl Original {
    /// The caller's file, or a sample made in the folder.
    pub(super) fn new(file: Option<&Path>, folder: &Folder) -> Result<Self, DemoError> {
        let path = match file {
            Some(path) => path.to_owned(),
            None => sample(folder)?,
        };
        let unreadable = || DemoError::io(format!("can't read {}", path.display()));
        let metadata = File::open(&path)
            .and_then(|file| file.metadata())
            .map_err(unreadable())?;
        if !metadata.is_file() {
            return Err(DemoError::Usage(format!(
                "{} is not a file",
                path.display()
            )));
        }
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy();
        Ok(Self {
            name: name.replace(char::is_control, "?"),
            len: metadata.len(),
            modified: metadata.modified().ok(),
            is_sample: file.is_none(),
            path,
        })
    }

    /// Whether another file has the same bytes.
    pub(super) fn equals(&self, other: &Path) -> Result<bool, DemoError> {
        let difference = difference(&self.path, other)?;
        Ok(difference.sectors == 0 && difference.same_length)
    }

    /// It was read and nothing else.
    pub(super) fn check_untouched(&self) -> Result<(), DemoError> {
        let metadata = fs::metadata(&self.path)
            .map_err(DemoError::io(format!("can't read {}", self.path.display())))?;
        let same = metadata.len() == self.len && metadata.modified().ok() == self.modified;
        claim(same, || format!("{} is as it was", self.name))
    }
}

/// How two files differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Sectors of 512 bytes that are not the same, as far as both files go.
    pub(super) sectors: u64,
    /// Where the last of them ends.
    pub(super) end: u64,
    pub(super) same_length: bool,
}

/// Compares two files, sector by sector.
pub(super) fn difference(one: &Path, other: &Path) -> Result<Difference, DemoError> {
    let failed = |path: &Path| DemoError::io(format!("can't read {}", path.display()));
    let open = |path: &Path| File::open(path).map_err(failed(path));
    let (mut left, mut right) = (open(one)?, open(other)?);
    let (mut left_block, mut right_block) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut difference = Difference {
        sectors: 0,
        end: 0,
        same_length: true,
    };
    let mut at = 0;
    loop {
        let left = fill(&mut left, &mut left_block).map_err(failed(one))?;
        let right = fill(&mut right, &mut right_block).map_err(failed(other))?;
        difference.same_length &= left.len() == right.len();
        for (left, right) in left.chunks(SLOT_LEN).zip(right.chunks(SLOT_LEN)) {
            at += left.len().max(right.len()) as u64;
            if left != right {
                difference.sectors += 1;
                difference.end = at;
            }
        }
        if left.is_empty() || right.is_empty() {
            return Ok(difference);
        }
    }
}

/// Reads until the block is full or the file ends.
fn fill<'a>(file: &mut impl Read, block: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(block.get(..filled).unwrap_or_default())
}

/// Makes a file of bytes that do not repeat.
fn sample(folder: &Folder) -> Result<PathBuf, DemoError> {
    let path = folder.join("sample.bin");
    let failed = || DemoError::io(format!("can't write {}", path.display()));
    let mut file = BufWriter::new(File::create(&path).map_err(failed())?);
    // Marsaglia's xorshift: noise enough to see that nothing is compressed or left in clear.
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..SAMPLE / 8 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        file.write_all(&word.to_le_bytes()).map_err(failed())?;
    }
    file.flush().map_err(failed())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_in_sectors() {
        let folder = Folder::new().unwrap();
        let (one, other) = (folder.join("1"), folder.join("2"));
        let mut bytes = vec![7; 200_000];
        fs::write(&one, &bytes).unwrap();
        let compare = |bytes: &[u8]| {
            fs::write(&other, bytes).unwrap();
            let found = difference(&one, &other).unwrap();
            (found.sectors, found.end, found.same_length)
        };
        assert_eq!(compare(&bytes), (0, 0, true));
        bytes[600] = 1;
        bytes[700] = 1;
        assert_eq!(compare(&bytes), (1, 1024, true));
        bytes[199_999] = 1;
        assert_eq!(compare(&bytes), (2, 200_000, true));
        assert_eq!(compare(&bytes[..1000]), (1, 1024, false));
        assert_eq!(compare(&[]), (0, 0, false));
    }

    #[test]
    fn the_sample_is_made_and_a_folder_is_no_file() {
        let folder = Folder::new().unwrap();
        let sample = Original::new(None, &folder).unwrap();
        assert_eq!((sample.len, sample.is_sample), (SAMPLE, true));
        assert!(sample.equals(&sample.path).unwrap());
        sample.check_untouched().unwrap();
        fs::write(&sample.path, "x").unwrap();
        assert!(sample.check_untouched().is_err());
        let refused = Original::new(Some(folder.path()), &folder);
        assert!(matches!(refused, Err(DemoError::Usage(_))));
        let absent = Original::new(Some(&folder.join("absent")), &folder);
        assert!(matches!(absent, Err(DemoError::Io { .. })));
    }
}
