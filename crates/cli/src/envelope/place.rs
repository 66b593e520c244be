//! [`Place`]: what a command over many envelopes was given: paths of this machine, or an address.

use std::path::{Path, PathBuf};
use std::time::Instant;

use keyfold_envelope::{Census, Directories, Durability, Progress, Store, census};
use keyfold_stores::{Bucket, Postgres};

use super::scan::Scan;
use crate::error::CliError;
use crate::variable;

/// How an address is written, for the help of commands that take one.
pub(super) const ADDRESSES: &str = "\
In place of paths, one address. Of objects in a bucket, whose headers lie beside them (KEY.kf):
  s3://BUCKET/START-OF-KEYS
Endpoint, region and credentials come from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY …

Of a column of wrapped keys in PostgreSQL:
  pg://USER@HOST/DATABASE?table=TABLE&wrapped=COLUMN&key=MOUNT/NAME
    table=        its name, or schema.name
    wrapped=      the column, text or bytea: vault:v1:…, or an envelope or its header
    key=          the key of wraps that stand alone
    id=           columns of a unique index that name a row; without it, the primary key
    aad=id        the wraps are bound to SHA-256 of their row's key as text
    sslmode=      disable, require or verify-full; without it verify-full, and none on this machine
    sslrootcert=  the authorities' certificates, in PEM
The password comes from PGPASSWORD or ~/.pgpass, what else is missing from PGHOST, PGPORT, PGUSER
and PGDATABASE. Pages go along the index of id, so no other index is needed. One on the column
itself makes each update dearer.";

/// Where the envelopes are.
pub(super) enum Place {
    /// Files and folders.
    Paths(Vec<PathBuf>),
    /// A column of a table.
    Rows(Box<Postgres>),
    /// Objects of a bucket.
    Objects(Box<Bucket>),
}

impl Place {
    /// What `paths` name, opened.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self, CliError> {
        let Some(address) = paths.iter().find_map(|path| address_of(path)) else {
            return Ok(Self::Paths(paths.to_vec()));
        };
        if paths.len() > 1 {
            return Err(CliError::Usage(
                "an address stands alone: give other places to commands of their own".to_owned(),
            ));
        }
        if Bucket::is_address(address) {
            return Ok(Self::Objects(Box::new(Bucket::open(address)?)));
        }
        let rows = Postgres::open(address, &variable::plain)?;
        Ok(Self::Rows(Box::new(rows)))
    }

    /// Counts what lies at each path, or at the address.
    pub(super) fn scan(&self, progress: &dyn Progress) -> Vec<Scan> {
        match self {
            Self::Paths(paths) => {
                let one = |path: &PathBuf| {
                    let store = Directories::new(vec![path.clone()], Durability::File);
                    Scan {
                        path: path.clone(),
                        began: Instant::now(),
                        found: count(&store, progress),
                    }
                };
                paths.iter().map(one).collect()
            }
            Self::Rows(rows) => vec![Scan {
                path: PathBuf::from(rows.address()),
                began: Instant::now(),
                found: count(&**rows, progress),
            }],
            Self::Objects(bucket) => vec![Scan {
                path: PathBuf::from(bucket.address()),
                began: Instant::now(),
                found: count(&**bucket, progress),
            }],
        }
    }

    /// Wraps stand alone there, without an envelope that says their key: the address does.
    pub(super) fn has_wraps_alone(&self) -> bool {
        matches!(self, Self::Rows(rows) if rows.key().is_some())
    }

    /// What to call all of it in an error.
    pub(super) fn subject(&self) -> &Path {
        match self {
            Self::Paths(paths) => paths.first().map_or(Path::new(""), |path| path),
            Self::Rows(rows) => Path::new(rows.address()),
            Self::Objects(bucket) => Path::new(bucket.address()),
        }
    }
}

/// The address that a path is, if it is one.
pub(super) fn address_of(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    (Postgres::is_address(text) || Bucket::is_address(text)).then_some(text)
}

/// Refuses an address, for a command that works on files. `instead` says what is done for what lies there.
pub(super) fn files_only<'a>(
    paths: impl IntoIterator<Item = &'a PathBuf>,
    instead: &str,
) -> Result<(), CliError> {
    match paths.into_iter().any(|path| address_of(path).is_some()) {
        true => Err(CliError::Usage(format!(
            "this command takes files: {instead}"
        ))),
        false => Ok(()),
    }
}

fn count<S: Store>(store: &S, progress: &dyn Progress) -> Census {
    census(store, progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(paths: &[&str]) -> String {
        let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
        Place::of(&paths).err().unwrap().to_string()
    }

    #[test]
    fn an_address_stands_alone_and_has_no_password() {
        assert!(refused(&["pg://h/d?table=t&wrapped=w", "data"]).contains("alone"));
        let refused = refused(&["pg://ann:hunter2@h/d?table=t&wrapped=w"]);
        assert!(
            refused.contains("PGPASSWORD") && !refused.contains("hunter2"),
            "{refused}"
        );
    }

    #[test]
    fn a_path_is_no_address() {
        let paths = [PathBuf::from("data/pg:"), PathBuf::from("x")];
        let place = Place::of(&paths).unwrap();
        assert_eq!(place.subject(), Path::new("data/pg:"));
    }
}
