//! A socket in the file system.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

use crate::config::Unix;

/// Binds a socket with the owner and permissions that are configured.
pub async fn bind(settings: &Unix) -> io::Result<UnixListener> {
    let user = settings
        .user
        .as_deref()
        .map(|name| number(name, "/etc/passwd"))
        .transpose()?;
    let group = settings
        .group
        .as_deref()
        .map(|name| number(name, "/etc/group"))
        .transpose()?;
    remove_stale(&settings.path).await?;
    let listener = UnixListener::bind(&settings.path)?;
    if user.is_some() || group.is_some() {
        chown(&settings.path, user, group)?;
    }
    if let Some(mode) = settings.mode {
        fs::set_permissions(&settings.path, fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}

/// Removes a socket that a server left behind when it was killed; one that answers is an error, and
/// so is a file that is no socket.
async fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file is in the way",
            ));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another server listens there",
        )),
        Err(_) => fs::remove_file(path),
    }
}

/// The number of a user or group, from a number or from a name in `/etc/passwd` or `/etc/group`.
fn number(name: &str, table: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    lookup(name, &fs::read_to_string(table)?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no \"{name}\" in {table}")))
}

/// The third field of the line whose first is the name.
fn lookup(name: &str, table: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    fn settings(path: &Path, mode: Option<u32>) -> Unix {
        Unix {
            path: path.to_owned(),
            mode,
            user: None,
            group: None,
            limits: Limits::default(),
            headers: Vec::new(),
        }
    }

    #[tokio::test]
    async fn permissions_stale_sockets_and_things_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = bind(&settings(&path, Some(0o600))).await.unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let taken = bind(&settings(&path, None)).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        bind(&settings(&path, None)).await.unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "precious").unwrap();
        assert_eq!(
            bind(&settings(&file, None)).await.unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn names_become_numbers() {
        let table = "root:x:0:0::/root:/bin/sh\nkeys:x:990:\nbroken\n";
        assert_eq!(lookup("root", table), Some(0));
        assert_eq!(lookup("keys", table), Some(990));
        assert_eq!(lookup("broken", table), None);
        assert_eq!(lookup("nobody", table), None);
        assert_eq!(number("1234", "/nonexistent").unwrap(), 1234);
    }
}
