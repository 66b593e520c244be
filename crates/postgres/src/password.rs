//! The password: from `PGPASSWORD`, or from the file that libpq's programs read.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use keyfold_secret::Secret;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// Gives `config` its password, where there is one.
pub(super) fn find(
    config: &mut Config,
    var: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    if let Some(password) = var("PGPASSWORD").map(Secret::new) {
        config.password(password.expose());
        return Ok(());
    }
    let named = var("PGPASSFILE").map(PathBuf::from);
    let path = named.or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".pgpass")));
    let Some(text) = path.map(|path| read(&path)).transpose()?.flatten() else {
        return Ok(());
    };
    let port = config
        .get_ports()
        .first()
        .copied()
        .unwrap_or(5432)
        .to_string();
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        // What the file calls a socket of the machine.
        _ => "localhost".to_owned(),
    };
    let wanted = [
        host.as_str(),
        &port,
        config.get_dbname().unwrap_or_default(),
        config.get_user().unwrap_or_default(),
    ];
    let password = text
        .expose()
        .lines()
        .find_map(|line| password_of(line, wanted));
    if let Some(password) = password {
        config.password(password.expose());
    }
    Ok(())
}

/// The file, where there is one that only its owner may read.
fn read(path: &Path) -> Result<Option<Secret<String>>, String> {
    let failed = |error: io::Error| format!("can't read {}: {error}", path.display());
    let facts = match fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !facts.is_file() {
        return Ok(None);
    }
    if facts.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "{} can be read by others: chmod 600 it",
            path.display()
        ));
    }
    fs::read_to_string(path)
        .map(|text| Some(Secret::new(text)))
        .map_err(failed)
}

/// The password of a line `host:port:database:user:password`, if it is for what is wanted. `*` stands
/// for anything, a backslash before `:` and before itself.
fn password_of(line: &str, wanted: [&str; 4]) -> Option<Secret<String>> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for wanted in wanted {
        let (field, after) = next_field(rest);
        if field.expose() != "*" && field.expose() != wanted {
            return None;
        }
        rest = after?;
    }
    Some(next_field(rest).0)
}

/// A field, and what follows its colon.
fn next_field(text: &str) -> (Secret<String>, Option<&str>) {
    let mut field = Secret::new(String::with_capacity(text.len()));
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            ':' => return (field, text.get(at.saturating_add(1)..)),
            '\\' => {
                if let Some((_, escaped)) = letters.next() {
                    field.expose_mut().push(escaped);
                }
            }
            other => field.expose_mut().push(other),
        }
    }
    (field, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 4] = ["db", "5432", "shop", "bob"];

    fn password(line: &str) -> Option<String> {
        password_of(line, WANTED).map(|password| password.expose().clone())
    }

    #[test]
    fn a_line_is_for_what_it_names() {
        assert_eq!(password("db:5432:shop:bob:pw").as_deref(), Some("pw"));
        assert_eq!(password("*:*:*:bob:p\\:w\\\\").as_deref(), Some("p:w\\"));
        for line in [
            "other:5432:shop:bob:pw",
            "db:5432:shop:ann:pw",
            "# a:b:c:d:e",
            "db:5432",
            "",
        ] {
            assert_eq!(password(line), None, "{line}");
        }
        let escaped = password_of("a\\:b:1:d:u:pw", ["a:b", "1", "d", "u"]);
        assert!(escaped.is_some());
    }

    fn found(path: &Path, variable: Option<&str>) -> Result<Option<Vec<u8>>, String> {
        let mut config = Config::new();
        config.host("db").user("bob").dbname("shop");
        find(&mut config, &|name| match name {
            "PGPASSWORD" => variable.map(str::to_owned),
            "PGPASSFILE" => path.to_str().map(str::to_owned),
            _ => None,
        })?;
        Ok(config.get_password().map(<[u8]>::to_vec))
    }

    #[test]
    fn the_variable_goes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pgpass");
        assert_eq!(found(&path, None), Ok(None));
        fs::write(&path, "x:1:y:z:no\ndb:5432:shop:bob:from file\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(found(&path, None), Ok(Some(b"from file".to_vec())));
        assert_eq!(found(&path, Some("set")), Ok(Some(b"set".to_vec())));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(found(&path, None).unwrap_err().contains("chmod"));
    }
}
