//! What is no store for this server is refused at the start, with the reason, and left alone.

use std::fs;

use keyfold_backends::storage::Etcd;
use keyfold_backends::storage::etcd::{Options, PREFIX, Tls};
use keyfold_core::ports::storage::{Batch, Storage};
use keyfold_secret::Secret;
use serde_json::json;

use super::cluster::{Cluster, bytes};

async fn refused(options: Options) -> String {
    let Err(error) = Etcd::open(options).await else {
        panic!("opened")
    };
    let text = error.to_string();
    assert!(!text.contains("horse"), "{text}");
    text
}

fn with(options: Options, name: &str, password: &str) -> Options {
    options.with_user(name.to_owned(), Secret::new(password.to_owned()))
}

#[tokio::test]
async fn credentials_are_asked_for_and_a_user_sees_its_prefix_only() {
    let Some(cluster) = Cluster::of(1) else {
        return;
    };
    let key = |text: &str| bytes(text.as_bytes());
    for (path, body) in [
        (
            "user/add",
            json!({"name": "root", "password": "root horse"}),
        ),
        ("role/add", json!({"name": "root"})),
        ("user/grant", json!({"user": "root", "role": "root"})),
        (
            "user/add",
            json!({"name": "ann", "password": "correct horse"}),
        ),
        ("role/add", json!({"name": "keys"})),
        (
            "role/grant",
            json!({"name": "keys", "perm": {
                "permType": "READWRITE", "key": key("own/"), "range_end": key("own0"),
            }}),
        ),
        ("user/grant", json!({"user": "ann", "role": "keys"})),
        ("enable", json!({})),
    ] {
        let done = cluster.ask(&format!("auth/{path}"), body).await;
        assert!(done.get("header").is_some(), "{path}: {done}");
    }
    for (options, word) in [
        (cluster.options("own"), "user name is empty"),
        (
            with(cluster.options("own"), "ann", "wrong horse"),
            "authentication failed",
        ),
        (
            with(cluster.options("own"), "bob", "correct horse"),
            "authentication failed",
        ),
        (
            with(cluster.options("other"), "ann", "correct horse"),
            "permission denied",
        ),
    ] {
        let text = refused(options).await;
        assert!(text.contains(word), "{word}: {text}");
    }
    let options = with(cluster.options("own"), "ann", "correct horse");
    let store = Etcd::open(options).await.unwrap();
    store.commit(Batch::new().put("a", "1")).await.unwrap();
    // Its token ends with the member that gave it; another is asked for.
    cluster.kill(0);
    cluster.start(0);
    assert!(store.get("a").await.unwrap().unwrap().value == b"1");
    store.commit(Batch::new().put("a", "2")).await.unwrap();
}

#[tokio::test]
async fn prefixes_that_will_not_do() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let named = |prefix: &str, name: &str| {
        let mut options = cluster.options(prefix);
        options.cluster = Some(name.to_owned());
        options
    };
    let foreign = cluster.prefix();
    cluster.put(&format!("{foreign}/registry/pods"), "x").await;
    let text = refused(cluster.options(&foreign)).await;
    assert!(text.contains("not this program's"), "{text}");
    assert!(text.contains(&format!("{foreign}/")), "{text}");
    assert_eq!(cluster.count(&format!("{foreign}/")).await, 1);

    let newer = cluster.prefix();
    drop(cluster.open(&newer).await);
    let meta = r#"{"format":2,"mark":"m"}"#;
    cluster.put(&format!("{newer}/m"), meta).await;
    let text = refused(cluster.options(&newer)).await;
    assert!(text.contains("format 2"), "{text}");

    let ours = cluster.prefix();
    drop(cluster.open(&ours).await);
    drop(Etcd::open(named(&ours, "a")).await.unwrap());
    let text = refused(named(&ours, "b")).await;
    assert!(text.contains("of the cluster \"a\""), "{text}");
    drop(Etcd::open(named(&ours, "a")).await.unwrap());
    drop(cluster.open(&ours).await);
}

#[tokio::test]
async fn a_clock_that_is_apart_from_that_of_the_others() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let prefix = cluster.prefix();
    let store = cluster.open(&prefix).await;
    store.commit(Batch::new().put("a", "1")).await.unwrap();
    // A node that has joined, and says that it is early in 1970.
    let told = r#"{"host":"old","joined":true,"applied":9000000000000000000,"at":7}"#;
    cluster.put(&format!("{prefix}/f/w/other"), "").await;
    cluster.put(&format!("{prefix}/f/n/other"), told).await;
    let text = refused(cluster.options(&prefix)).await;
    assert!(text.contains("clock of the node other (old)"), "{text}");
    drop(store);
}

#[tokio::test]
async fn what_does_not_answer_and_what_is_two_clusters() {
    let (Some(cluster), Some(other)) = (Cluster::of(1), Cluster::of(1)) else {
        return;
    };
    let plain = |endpoints: &str| Options::new(endpoints, PREFIX, &Tls::default()).unwrap();
    let text = refused(plain("http://127.0.0.1:1")).await;
    assert!(text.starts_with("etcd at http://127.0.0.1:1: "), "{text}");

    // A way that leads nowhere leads to the next one.
    let members = ["http://127.0.0.1:1", &cluster.url(0), &other.url(0)].join(",");
    let store = Etcd::open(plain(&members)).await.unwrap();
    store.commit(Batch::new().put("a", "1")).await.unwrap();
    cluster.kill(0);
    let Err(error) = store.get("a").await else {
        panic!("another cluster was read")
    };
    assert!(error.to_string().contains("of another cluster"), "{error}");
    assert_eq!(other.count("keyfold").await, 0);
}

#[tokio::test]
async fn tls_is_verified_both_ways() {
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (member, client) = (made("127.0.0.1"), made("client"));
    let cluster = Cluster::with(1, "https", |folder| {
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let pems = [
            ("--cert-file", file("m.crt", member.cert.pem())),
            (
                "--key-file",
                file("m.key", member.signing_key.serialize_pem()),
            ),
            ("--trusted-ca-file", file("c.crt", client.cert.pem())),
        ];
        file("c.key", client.signing_key.serialize_pem());
        let flags = pems.map(|(flag, path)| format!("{flag}={path}"));
        let mut flags = flags.to_vec();
        flags.push("--client-cert-auth".to_owned());
        flags
    });
    let Some(cluster) = cluster else { return };
    let file = |name: &str| Some(cluster.file(name));
    let options = |tls: &Tls| Options::new(&cluster.urls(), "tls", tls).unwrap();
    let whole = Tls {
        ca_file: file("m.crt"),
        cert_file: file("c.crt"),
        key_file: file("c.key"),
        server_name: None,
    };
    let store = Etcd::open(options(&whole)).await.unwrap();
    store.commit(Batch::new().put("a", "1")).await.unwrap();
    assert!(store.get("a").await.unwrap().unwrap().value == b"1");

    let stranger = Tls {
        ca_file: file("c.crt"),
        cert_file: file("c.crt"),
        key_file: file("c.key"),
        server_name: None,
    };
    let text = refused(options(&stranger)).await;
    assert!(text.contains("certificate"), "{text}");
    let nobody = Tls {
        ca_file: file("m.crt"),
        ..Tls::default()
    };
    refused(options(&nobody)).await;
    let misnamed = Tls {
        server_name: Some("elsewhere".to_owned()),
        ..whole
    };
    let text = refused(options(&misnamed)).await;
    assert!(text.contains("certificate"), "{text}");
}
