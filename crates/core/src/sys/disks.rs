//! `disk` of `sys/host-info`: the file systems that lie on devices, and how full they are.

use std::fs;

use serde::Serialize;

/// File systems that are told at most.
const MOST: usize = 256;

/// A file system. Sizes in bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disk {
    path: String,
    fstype: String,
    total: u64,
    /// For those who are not root.
    free: u64,
    used: u64,
    used_percent: f64,
    inodes_total: u64,
    inodes_used: u64,
    inodes_free: u64,
    inodes_used_percent: f64,
}

/// What the kernel tells; nothing where it does not.
pub(super) fn disks() -> Vec<Disk> {
    let text = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
    let places = places(&text("self/mounts"), &text("filesystems"));
    places.into_iter().filter_map(disk).collect()
}

/// Path and kind of each mount of a device, each path once.
fn places(mounts: &str, kinds: &str) -> Vec<(String, String)> {
    // Those that are on no device are marked so.
    let on_devices: Vec<&str> = (kinds.lines())
        .filter(|line| !line.starts_with("nodev"))
        .map(str::trim)
        .collect();
    let mut places: Vec<(String, String)> = Vec::new();
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(path), Some(kind)) = (words.next(), words.next()) else {
            continue;
        };
        let path = unescaped(path);
        let known = places.iter().any(|(known, _)| *known == path);
        if on_devices.contains(&kind) && !known && places.len() < MOST {
            places.push((path, kind.to_owned()));
        }
    }
    places
}

fn disk((path, fstype): (String, String)) -> Option<Disk> {
    let told = rustix::fs::statvfs(path.as_str()).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    let (free, used) = (
        bytes(told.f_bavail),
        bytes(told.f_blocks.saturating_sub(told.f_bfree)),
    );
    let inodes_used = told.f_files.saturating_sub(told.f_ffree);
    Some(Disk {
        path,
        fstype,
        total: bytes(told.f_blocks),
        free,
        used,
        used_percent: percent(used, used.saturating_add(free)),
        inodes_total: told.f_files,
        inodes_used,
        inodes_free: told.f_ffree,
        inodes_used_percent: percent(inodes_used, told.f_files),
    })
}

fn percent(part: u64, of: u64) -> f64 {
    match of {
        0 => 0.0,
        of => part as f64 / of as f64 * 100.0,
    }
}

/// The kernel writes a blank in a path as `\040`.
fn unescaped(path: &str) -> String {
    let mut text = path.to_owned();
    for (written, meant) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        text = text.replace(written, meant);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_devices_count_once() {
        let mounts = "/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/b /my\\040disk xfs rw 0 0\n\
                      /dev/c / ext4 rw 0 0\nbroken\n";
        let kinds = "nodev\tproc\n\text4\n\txfs\n";
        let pair = |path: &str, kind: &str| (path.to_owned(), kind.to_owned());
        assert_eq!(
            places(mounts, kinds),
            [pair("/", "ext4"), pair("/my disk", "xfs")]
        );
    }

    #[test]
    fn a_file_system_is_as_full_as_it_is() {
        let disk = disk(("/".to_owned(), "x".to_owned())).unwrap();
        assert!(disk.total >= disk.used);
        assert!((0.0..=100.0).contains(&disk.used_percent));
        assert!((0.0..=100.0).contains(&disk.inodes_used_percent));
    }
}
