//! The statements of one store.
//!
//! `cut(key)` below is what [`super::key`] makes of a key: its head, its digest, its rest.

use super::key::HEAD;
use super::tables::Tables;

/// Revisions whose changes are kept for nodes that fell behind.
pub(super) const KEPT: u64 = 16 * 1024;
/// Changes that are read at once.
pub(super) const PAGE: usize = 1000;

/// Texts, each prepared once on each connection that uses it.
pub(super) struct Sql {
    /// cut(key) → value, revision
    pub get: String,
    /// bound, prefix, limit → the first key of each name
    pub names: String,
    /// → revision, stage; nobody else commits until the transaction ends
    pub begin: String,
    /// cut(keys) → number from 1, revision, of those that are there
    pub found: String,
    /// names → name, fence, of the locks that are held; they stay so until the transaction ends
    pub fences: String,
    /// what a group of batches changes; see the writer
    pub write: String,
    /// revision → forgets changes up to it
    pub trim: String,
    /// revision → the origin of that change
    pub origin: String,
    /// revision → the store's revision, and the changes after the one given
    pub news: String,
    /// → the store's revision
    pub revision: String,
    /// key, rest → key, rest, value of the next portion; bytes and rows that it may have
    pub portion: String,
    /// → the number of a new stage
    pub stage: String,
    pub unstage: String,
    /// stage, cut(keys), values
    pub add: String,
    pub clear: String,
    /// revision, stage
    pub adopt: String,
    /// revision, origin
    pub adopted: String,
    /// name, seconds, a fence that was let go → fence
    pub lock: String,
    /// name, fence
    pub unlock: String,
    /// id, host, address, version, seconds, applied → the database's clock
    pub renew: String,
    /// id, applied, channel, payload
    pub acknowledge: String,
    /// id, revision → how many others have not applied it; the database's clock
    pub behind: String,
    pub members: String,
    /// id
    pub leave: String,
    /// those that were not seen for a day
    pub forget_nodes: String,
}

impl Sql {
    pub fn new(tables: &Tables) -> Self {
        let Tables {
            entries,
            changes,
            meta,
            locks,
            nodes,
            staged,
            ..
        } = tables;
        // A lease runs for a minute at the most, so one that runs for longer is from before the
        // database's clock was set back.
        let alive =
            "until > clock_timestamp() AND until < clock_timestamp() + interval '2 minutes'";
        Self {
            get: format!(
                "SELECT value, revision FROM {entries} WHERE key = $1::text AND digest = $2::bytea"
            ),
            names: names(entries),
            begin: format!("SELECT revision, stage FROM {meta} FOR UPDATE"),
            found: format!(
                "SELECT c.n, e.revision \
                 FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS c(key, digest, n) \
                 JOIN {entries} e ON e.key = c.key AND e.digest = c.digest"
            ),
            fences: format!(
                "SELECT name, fence FROM {locks} \
                 WHERE name = ANY($1::text[]) AND until > clock_timestamp() FOR SHARE"
            ),
            write: format!(
                "WITH gone AS ( \
                     DELETE FROM {entries} e USING unnest($1::text[], $2::bytea[]) AS g(key, digest) \
                     WHERE e.key = g.key AND e.digest = g.digest \
                 ), put AS ( \
                     INSERT INTO {entries} (key, digest, rest, value, revision) \
                     SELECT * FROM unnest($3::text[], $4::bytea[], $5::text[], $6::bytea[], $7::bigint[]) \
                     ON CONFLICT (key, digest) DO UPDATE \
                     SET value = EXCLUDED.value, revision = EXCLUDED.revision \
                 ), told AS ( \
                     INSERT INTO {changes} (revision, origin, keys, replaced) \
                     SELECT c.revision, $10::bytea, string_to_array(c.keys, E'\\n'), false \
                     FROM unnest($8::bigint[], $9::text[]) AS c(revision, keys) \
                 ), noticed AS (SELECT pg_notify($12::text, $11::bigint::text)) \
                 UPDATE {meta} SET revision = $11::bigint FROM noticed"
            ),
            trim: format!("DELETE FROM {changes} WHERE revision <= $1::bigint"),
            origin: format!("SELECT origin FROM {changes} WHERE revision = $1::bigint"),
            news: format!(
                "SELECT m.revision, c.revision, c.origin, c.keys, c.replaced FROM {meta} m \
                 LEFT JOIN LATERAL ( \
                     SELECT * FROM {changes} WHERE revision > $1::bigint ORDER BY revision LIMIT {PAGE} \
                 ) c ON true ORDER BY c.revision"
            ),
            revision: format!("SELECT revision FROM {meta}"),
            portion: format!(
                "SELECT key, rest, value FROM ( \
                     SELECT key, rest, value, \
                         row_number() OVER w AS n, \
                         sum(octet_length(key) + octet_length(rest) + octet_length(value)) OVER w AS bytes \
                     FROM ( \
                         SELECT key, rest, value FROM {entries} \
                         WHERE key >= $1::text AND (key > $1::text OR rest > $2::text) \
                         ORDER BY key, rest LIMIT $4::bigint \
                     ) AS next \
                     WINDOW w AS (ORDER BY key, rest ROWS UNBOUNDED PRECEDING) \
                 ) AS portion WHERE n = 1 OR bytes <= $3::bigint ORDER BY key, rest"
            ),
            stage: format!("UPDATE {meta} SET stage = stage + 1 RETURNING stage"),
            unstage: format!("DELETE FROM {staged}"),
            add: format!(
                "INSERT INTO {staged} (stage, key, digest, rest, value) \
                 SELECT m.stage, a.* \
                 FROM unnest($2::text[], $3::bytea[], $4::text[], $5::bytea[]) AS a, {meta} m \
                 WHERE m.stage = $1::bigint \
                 ON CONFLICT (stage, key, digest) DO UPDATE SET value = EXCLUDED.value"
            ),
            clear: format!("DELETE FROM {entries}"),
            adopt: format!(
                "INSERT INTO {entries} (key, digest, rest, value, revision) \
                 SELECT key, digest, rest, value, $1::bigint FROM {staged} WHERE stage = $2::bigint"
            ),
            adopted: format!(
                "WITH told AS ( \
                     INSERT INTO {changes} (revision, origin, keys, replaced) \
                     VALUES ($1::bigint, $2::bytea, '{{}}', true) \
                 ), noticed AS (SELECT pg_notify($3::text, $1::bigint::text)) \
                 UPDATE {meta} SET revision = $1::bigint, stage = stage + 1 FROM noticed"
            ),
            lock: format!(
                "INSERT INTO {locks} AS l (name, fence, until) \
                 VALUES ($1::text, 1, clock_timestamp() + $2::float8 * interval '1 second') \
                 ON CONFLICT (name) DO UPDATE SET fence = l.fence + 1, until = EXCLUDED.until \
                 WHERE l.until <= clock_timestamp() OR l.fence = $3::bigint \
                 RETURNING fence"
            ),
            unlock: format!(
                "UPDATE {locks} SET until = '-infinity' WHERE name = $1::text AND fence = $2::bigint"
            ),
            renew: format!(
                "INSERT INTO {nodes} (id, host, address, version, until, applied, seen) \
                 VALUES ($1::text, $2::text, $3::text, $4::text, \
                     clock_timestamp() + $5::float8 * interval '1 second', $6::bigint, clock_timestamp()) \
                 ON CONFLICT (id) DO UPDATE SET until = EXCLUDED.until, seen = EXCLUDED.seen, \
                     applied = EXCLUDED.applied \
                 RETURNING extract(epoch FROM clock_timestamp())::float8"
            ),
            acknowledge: format!(
                "WITH noted AS ( \
                     UPDATE {nodes} SET applied = $2::bigint WHERE id = $1::text \
                 ) SELECT pg_notify($3::text, $4::text)"
            ),
            behind: format!(
                "SELECT count(*) FILTER (WHERE id <> $1::text AND applied < $2::bigint AND {alive}), \
                     extract(epoch FROM clock_timestamp())::float8 FROM {nodes}"
            ),
            members: format!(
                "SELECT id, host, address, version, {alive}, applied FROM {nodes} \
                 WHERE seen > clock_timestamp() - interval '1 hour' ORDER BY id"
            ),
            leave: format!("DELETE FROM {nodes} WHERE id = $1::text"),
            forget_nodes: format!(
                "DELETE FROM {nodes} WHERE seen < clock_timestamp() - interval '1 day'"
            ),
        }
    }
}

/// From key to key, each the first after all that is below the name of the one before, so a subtree
/// costs one look into the index. Read no further than the limit.
fn names(entries: &str) -> String {
    let first = least(entries, "$1::text");
    let next = least(entries, "n.bound");
    format!(
        "WITH RECURSIVE found(k) AS ( \
             SELECT ({first}) COLLATE \"C\" \
         UNION ALL \
             SELECT ({next}) COLLATE \"C\" FROM ( \
                 SELECT CASE at WHEN 0 THEN k || chr(1) \
                     ELSE left(k, char_length($2::text) + at - 1) || '0' END AS bound \
                 FROM ( \
                     SELECT k, strpos(substr(k, char_length($2::text) + 1), '/') AS at \
                     FROM found WHERE k IS NOT NULL AND starts_with(k, $2::text) \
                 ) AS here \
             ) AS n \
         ) SELECT k FROM found WHERE k IS NOT NULL AND starts_with(k, $2::text) LIMIT $3::bigint"
    )
}

/// The least key that is not below a bound; NULL where there is none.
fn least(entries: &str, bound: &str) -> String {
    format!(
        "coalesce( \
             CASE WHEN char_length({bound}) >= {HEAD} THEN ( \
                 SELECT min(e.key || e.rest) FROM {entries} e \
                 WHERE e.key = left({bound}, {HEAD}) AND e.rest >= substr({bound}, {HEAD} + 1) \
             ) END, \
             (SELECT CASE WHEN char_length(h.key) < {HEAD} THEN h.key ELSE ( \
                  SELECT min(g.key || g.rest) FROM {entries} g WHERE g.key = h.key \
              ) END \
              FROM (SELECT e.key FROM {entries} e \
                    WHERE e.key >= left({bound}, {HEAD}) \
                        AND (char_length({bound}) < {HEAD} OR e.key > left({bound}, {HEAD})) \
                    ORDER BY e.key LIMIT 1) AS h))"
    )
}
