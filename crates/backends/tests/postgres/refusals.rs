//! What is no store for this server is refused at the start, with the reason, and left alone.

use keyfold_backends::storage::Postgres;
use keyfold_core::ports::storage::{Batch, Storage};

use super::cluster::{Cluster, PASSWORD, options};

async fn refused(options: keyfold_backends::storage::postgres::Options) -> String {
    let Err(error) = Postgres::open(options).await else {
        panic!("opened")
    };
    let text = error.to_string();
    assert!(
        !text.contains(PASSWORD) && !text.contains("wrong horse"),
        "{text}"
    );
    text
}

#[tokio::test]
async fn databases_that_will_not_do() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    cluster
        .sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        .await;
    let url = cluster.url("postgres");
    for (url, word) in [
        (
            url.replace("correct", "wrong"),
            "password authentication failed",
        ),
        (
            url.replace("owner", "nobody"),
            "password authentication failed",
        ),
        (
            cluster.url("nowhere"),
            "database \"nowhere\" does not exist",
        ),
        (cluster.url("latin"), "encoded in LATIN1"),
        (format!("{url}?sslmode=require"), "TLS"),
        (
            "postgres://owner:wrong%20horse@127.0.0.1:1/d".to_owned(),
            "127.0.0.1:1/d",
        ),
    ] {
        let mut options = options(&url, "refused");
        options.connect_retries = 0;
        let text = refused(options).await;
        assert!(text.contains(word), "{word}: {text}");
        assert!(text.starts_with("PostgreSQL at 127.0.0.1:"), "{text}");
    }
    let left = cluster
        .sql("SELECT count(*) FROM pg_class WHERE relname ~ '^refused'")
        .await;
    assert_eq!(left, [Some("0".to_owned())]);
}

#[tokio::test]
async fn tables_of_others_and_of_other_versions() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let made = cluster.table();
    let store = cluster.open(&made).await;
    store.commit(Batch::new().put("k", "kept")).await.unwrap();
    drop(store);
    let other = cluster.table();
    for (table, statement, word) in [
        (
            &other,
            "CREATE TABLE t (parent_path text, path text, key text, value bytea)".to_owned(),
            "its columns are parent_path, path, key, value",
        ),
        (
            &made,
            "UPDATE t_meta SET format = 2".to_owned(),
            "has format 2",
        ),
        (
            &made,
            "UPDATE t_meta SET format = 0".to_owned(),
            "has format 0",
        ),
        (
            &made,
            "UPDATE t_meta SET format = 1; ALTER TABLE t_changes RENAME origin TO source"
                .to_owned(),
            "has not the columns revision, origin",
        ),
        (
            &made,
            "ALTER TABLE t_changes RENAME source TO origin; ALTER TABLE t_locks RENAME TO t_kept"
                .to_owned(),
            "it lacks \"t_locks\"",
        ),
        (
            &made,
            "ALTER TABLE t_kept RENAME TO t_locks; UPDATE t_meta SET mark = 'a\" b'".to_owned(),
            "its mark",
        ),
    ] {
        let named = |text: &str| {
            let text = text.replace("TABLE t ", &format!("TABLE {table} "));
            text.replace("t_", &format!("{table}_"))
        };
        // Columns of another program's table may end so, too.
        let theirs = statement.contains("parent_path");
        let statement = match theirs {
            true => statement.replace("TABLE t ", &format!("TABLE {table} ")),
            false => named(&statement),
        };
        cluster.sql(&statement).await;
        let text = refused(cluster.options(table)).await;
        let word = match theirs {
            true => word.to_owned(),
            false => named(word),
        };
        assert!(text.contains(&word), "{word}: {text}");
    }
    cluster
        .sql(&format!("UPDATE {made}_meta SET mark = 'ab', revision = 1"))
        .await;
    let store = cluster.open(&made).await;
    assert!(store.get("k").await.unwrap().unwrap().value == b"kept");
    drop(store);
    cluster.sql(&format!("DELETE FROM {made}_meta")).await;
    let text = refused(cluster.options(&made)).await;
    assert!(text.contains("no row about the store"), "{text}");
}

#[tokio::test]
async fn a_store_belongs_to_one_cluster() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let table = cluster.table();
    let named = |name: Option<&str>| {
        let mut options = cluster.options(&table);
        options.cluster = name.map(str::to_owned);
        options
    };
    for name in [None, Some("north"), Some("north"), None] {
        drop(Postgres::open(named(name)).await.unwrap());
    }
    let text = refused(named(Some("south"))).await;
    assert!(
        text.contains("\"north\"") && text.contains("\"south\""),
        "{text}"
    );
}

#[tokio::test]
async fn tables_are_made_only_where_they_may_be() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let table = cluster.table();
    let mut options = cluster.options(&table);
    options.creates = false;
    let text = refused(options).await;
    assert!(text.contains("skip_create_table"), "{text}");
    drop(cluster.open(&table).await);
    let mut options = cluster.options(&table);
    options.creates = false;
    let store = Postgres::open(options).await.unwrap();
    store.commit(Batch::new().put("k", "")).await.unwrap();
}
