//! The tables of a store: made when there are none, looked at when there are.

use keyfold_keys::rng;
use tokio_postgres::error::SqlState;

use super::failure::Failure;
use super::pool::Link;
use super::tables::Tables;
use super::{Options, unsigned};

/// The format this program writes.
const FORMAT: i32 = 1;

/// What a store says about itself when it is opened.
pub(super) struct Found {
    /// Tells it from other stores of the database.
    pub mark: String,
    /// Its last commit.
    pub revision: u64,
    /// That one's own name, where it is known still.
    pub origin: Option<Vec<u8>>,
}

/// Why the tables are no store for this server.
pub(super) enum Unfit {
    /// The database did not do it.
    Failed(Failure),
    /// They are not what they have to be.
    Refused(String),
}

impl From<Failure> for Unfit {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<tokio_postgres::Error> for Unfit {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Opens the store; makes it if there is none.
pub(super) async fn open(link: &Link, options: &Options) -> Result<Found, Unfit> {
    let tables = &options.tables;
    make(link, options).await?;
    check_format(link, tables).await?;
    check_columns(link, tables).await?;
    check_cluster(link, options).await?;
    let meta = format!("SELECT mark, revision FROM {}", tables.meta);
    let row = link.one(&meta, &[]).await?;
    let (mark, revision): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    if mark.is_empty() || !mark.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Unfit::Refused("its mark is not one of this program".into()));
    }
    let origin = format!(
        "SELECT origin FROM {} WHERE revision = $1::bigint",
        tables.changes
    );
    let origin = link.optional(&origin, &[&revision]).await?;
    Ok(Found {
        mark,
        revision: unsigned(revision),
        origin: origin.map(|row| row.try_get(0)).transpose()?,
    })
}

/// Makes the tables where none of them is there. Of nodes that start at once, one does.
async fn make(link: &Link, options: &Options) -> Result<(), Unfit> {
    let tables = &options.tables;
    link.client.batch_execute("BEGIN").await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))";
    let of_store = format!("keyfold {}", tables.name);
    link.query(lock, &[&of_store]).await?;
    let look = "SELECT to_regclass(t.name) IS NOT NULL \
        FROM unnest($1::text[]) WITH ORDINALITY AS t(name, n) ORDER BY t.n";
    let names: Vec<&str> = tables.all().to_vec();
    let mut missing = Vec::new();
    for (row, name) in link.query(look, &[&names]).await?.iter().zip(tables.all()) {
        if !row.try_get::<_, bool>(0)? {
            missing.push(name);
        }
    }
    if missing.len() == names.len() {
        if !options.creates {
            return Err(Unfit::Refused(
                "it is not there, and skip_create_table says not to make it".into(),
            ));
        }
        link.client.batch_execute(&definition(tables)).await?;
    } else if missing.contains(&tables.meta.as_str()) {
        return Err(foreign(link, tables).await);
    } else if let Some(name) = missing.first() {
        return Err(Unfit::Refused(format!("it lacks {name}")));
    }
    let first = format!(
        "INSERT INTO {} (one, format, mark, revision, stage) \
         SELECT true, {FORMAT}, $1::text, 0, 0 \
         WHERE NOT EXISTS (SELECT FROM {})",
        tables.meta, tables.entries
    );
    // A row that is there is left alone. Without one, entries are nobody's.
    let first = first + " ON CONFLICT (one) DO NOTHING";
    let mark = hex::encode(rng::bytes::<16>());
    match link.execute(&first, &[&mark]).await {
        Ok(_) => {}
        Err(error) if is_other_shape(&error) => return Err(not_ours()),
        Err(error) => return Err(error.into()),
    }
    Ok(link.client.batch_execute("COMMIT").await?)
}

async fn foreign(link: &Link, tables: &Tables) -> Unfit {
    let columns = "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute \
        WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped";
    let columns = link.one(columns, &[&tables.entries]).await;
    let columns = columns.and_then(|row| row.try_get::<_, Option<String>>(0));
    match columns {
        Err(error) => error.into(),
        Ok(None) => not_ours(),
        Ok(Some(columns)) => Unfit::Refused(format!(
            "it is there and was not made by this program (its columns are {columns}): choose another \
             \"table\""
        )),
    }
}

fn not_ours() -> Unfit {
    Unfit::Refused("it was not made by this program: choose another \"table\"".into())
}

/// There is something of that name, with other columns.
fn is_other_shape(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::UNDEFINED_COLUMN)
        || code == Some(&SqlState::INVALID_COLUMN_REFERENCE)
        || code == Some(&SqlState::DATATYPE_MISMATCH)
}

async fn check_format(link: &Link, tables: &Tables) -> Result<(), Unfit> {
    let format = format!("SELECT format FROM {}", tables.meta);
    let Some(row) = link.optional(&format, &[]).await? else {
        return Err(Unfit::Refused(
            "it has entries, and no row about the store: it is damaged, or its parts are not of one \
             store"
                .into(),
        ));
    };
    let found: i32 = row.try_get(0)?;
    match found {
        FORMAT => Ok(()),
        newer if newer > FORMAT => Err(Unfit::Refused(format!(
            "it has format {newer}, this program knows {FORMAT}: use a newer program"
        ))),
        older => Err(Unfit::Refused(format!(
            "it has format {older}, which this program no longer knows: it knows {FORMAT}"
        ))),
    }
}

/// Asks for all columns that are used, so that what is missing is told before it is missed.
async fn check_columns(link: &Link, tables: &Tables) -> Result<(), Unfit> {
    for (table, columns) in [
        (&tables.meta, "one, format, mark, cluster, revision, stage"),
        (&tables.entries, "key, digest, rest, value, revision"),
        (&tables.staged, "stage, key, digest, rest, value"),
        (&tables.changes, "revision, origin, keys, replaced, at"),
        (&tables.locks, "name, fence, until"),
        (
            &tables.nodes,
            "id, host, address, version, until, applied, seen",
        ),
    ] {
        let probe = format!("SELECT {columns} FROM {table} LIMIT 0");
        match link.query(&probe, &[]).await {
            Ok(_) => {}
            Err(error) if is_other_shape(&error) => {
                return Err(Unfit::Refused(format!(
                    "{table} has not the columns {columns}: it is of another program, or was altered"
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The first server that has a name for its cluster gives it to the store; one with another name
/// means another store.
async fn check_cluster(link: &Link, options: &Options) -> Result<(), Unfit> {
    let Some(own) = &options.cluster else {
        return Ok(());
    };
    let meta = &options.tables.meta;
    let claim = format!("UPDATE {meta} SET cluster = $1::text WHERE cluster IS NULL");
    link.execute(&claim, &[own]).await?;
    let row = link
        .one(&format!("SELECT cluster FROM {meta}"), &[])
        .await?;
    let found: String = row.try_get(0)?;
    match found == *own {
        true => Ok(()),
        false => Err(Unfit::Refused(format!(
            "it is the store of the cluster {found:?}, and this server's cluster_name is {own:?}"
        ))),
    }
}

/// What is made at the first start, and by hand where `skip_create_table` is set: the same stands in
/// docs/configuration.md.
fn definition(tables: &Tables) -> String {
    let Tables {
        entries,
        changes,
        meta,
        locks,
        nodes,
        staged,
        ..
    } = tables;
    // Values are ciphertext, which no compression makes smaller. The row about the store changes with
    // each commit, and stays in its page.
    format!(
        "CREATE TABLE {meta} (
    one      boolean PRIMARY KEY CHECK (one),
    format   integer NOT NULL,
    mark     text    NOT NULL,
    cluster  text,
    revision bigint  NOT NULL,
    stage    bigint  NOT NULL
) WITH (fillfactor = 10);
CREATE TABLE {entries} (
    key      text COLLATE \"C\" NOT NULL,
    digest   bytea  NOT NULL,
    rest     text COLLATE \"C\" NOT NULL,
    value    bytea  NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (key, digest)
);
CREATE TABLE {staged} (
    stage    bigint NOT NULL,
    key      text COLLATE \"C\" NOT NULL,
    digest   bytea  NOT NULL,
    rest     text COLLATE \"C\" NOT NULL,
    value    bytea  NOT NULL,
    PRIMARY KEY (stage, key, digest)
);
ALTER TABLE {entries} ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE {staged} ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE TABLE {changes} (
    revision bigint  PRIMARY KEY,
    origin   bytea   NOT NULL,
    keys     text[]  NOT NULL,
    replaced boolean NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE {locks} (
    name     text COLLATE \"C\" PRIMARY KEY,
    fence    bigint      NOT NULL,
    until    timestamptz NOT NULL
);
CREATE TABLE {nodes} (
    id       text PRIMARY KEY,
    host     text        NOT NULL,
    address  text        NOT NULL,
    version  text        NOT NULL,
    until    timestamptz NOT NULL,
    applied  bigint      NOT NULL,
    seen     timestamptz NOT NULL
);
"
    )
}
