//! Listing: what the names are, their order, and how pages fit together.

use super::{commit, is_invalid};
use crate::ports::storage::{Batch, Page, Storage};

/// Keys whose names sort around the separator, which is where listings go wrong.
const KEYS: [&str; 17] = [
    ".x",
    "a",
    "a-",
    "a-/z",
    "a.b",
    "a/1",
    "a/2/3",
    "a/2/4",
    "a0",
    "aa",
    "b/1",
    "b/2",
    "ä",
    "ä/ö",
    "日/本",
    "\u{10ffff}",
    "z/z/z/z",
];

/// The names of [`KEYS`] directly below the root.
const ROOT: [&str; 14] = [
    ".x",
    "a",
    "a-",
    "a-/",
    "a.b",
    "a/",
    "a0",
    "aa",
    "b/",
    "z/",
    "ä",
    "ä/",
    "日/",
    "\u{10ffff}",
];

async fn filled(store: &dyn Storage) {
    for key in KEYS {
        commit(store, Batch::new().put(key, "v")).await;
    }
}

async fn list(store: &dyn Storage, prefix: &str, after: &str, limit: usize) -> Page {
    store.list(prefix, after, limit).await.expect("list works")
}

/// Names are those directly below the prefix, each once, in byte order.
pub(super) async fn names(store: &dyn Storage) {
    assert_eq!(
        list(store, "", "", 0).await,
        Page::default(),
        "an empty store has no names"
    );
    filled(store).await;
    let page = list(store, "", "", 0).await;
    assert_eq!(page.names, ROOT, "the names below the root");
    assert!(!page.more, "an unbounded page is the whole");
    let below = [
        ("a/", vec!["1", "2/"]),
        ("a/2/", vec!["3", "4"]),
        ("a-/", vec!["z"]),
        ("ä/", vec!["ö"]),
        ("z/z/", vec!["z/"]),
        ("nothing/", vec![]),
        ("a0/", vec![]),
        ("a/1/", vec![]),
    ];
    for (prefix, expected) in below {
        assert_eq!(
            list(store, prefix, "", 0).await.names,
            expected,
            "the names below {prefix}"
        );
    }
    commit(
        store,
        Batch::new().delete("a/1").delete("a/2/3").delete("a/2/4"),
    )
    .await;
    assert!(
        !list(store, "", "", 0)
            .await
            .names
            .contains(&"a/".to_owned()),
        "a name goes with its last key"
    );
}

/// Pages of every size join to the whole, wherever they start.
pub(super) async fn pages(store: &dyn Storage) {
    filled(store).await;
    let whole = list(store, "", "", 0).await.names;
    for limit in [1, 2, 7, whole.len(), 1000] {
        let mut joined: Vec<String> = Vec::new();
        loop {
            let after = joined.last().cloned().unwrap_or_default();
            let page = list(store, "", &after, limit).await;
            assert!(page.names.len() <= limit, "a page keeps its limit");
            assert!(
                !page.names.is_empty() || !page.more,
                "a page before others has names"
            );
            joined.extend(page.names);
            assert_eq!(
                page.more,
                joined.len() < whole.len(),
                "`more` tells the truth"
            );
            if !page.more {
                break;
            }
        }
        assert_eq!(joined, whole, "pages of {limit} join to the whole");
    }
    let starts = [
        "",
        "0",
        "A",
        "a",
        "a!",
        "a-",
        "a-/",
        "a-/q",
        "a/",
        "a/1",
        "a/zzz",
        "a0",
        "ab",
        "b",
        "b/",
        "b0",
        "zz",
        "ä",
        "ä/",
        "日",
        "日/",
        "\u{10ffff}",
        "\u{10ffff}/",
    ];
    for after in starts {
        let expected: Vec<_> = whole
            .iter()
            .filter(|n| n.as_str() > after)
            .cloned()
            .collect();
        assert_eq!(
            list(store, "", after, 0).await.names,
            expected,
            "the names after {after:?}"
        );
    }
}

/// A big folder beside a big subtree: every name once, page by page.
pub(super) async fn ten_thousand(store: &dyn Storage) {
    for chunk in 0..10 {
        let mut batch = Batch::new();
        for n in 0..1000 {
            let n = chunk * 1000 + n;
            batch = batch
                .put(format!("p/k{n:05}"), "")
                .put(format!("p/a/{n:05}"), "");
        }
        commit(store, batch).await;
    }
    let mut expected = vec!["a/".to_owned()];
    expected.extend((0..10_000).map(|n| format!("k{n:05}")));
    let mut joined: Vec<String> = Vec::new();
    loop {
        let after = joined.last().cloned().unwrap_or_default();
        let page = list(store, "p/", &after, 777).await;
        joined.extend(page.names);
        if !page.more {
            break;
        }
    }
    assert!(joined == expected, "pages join to the whole folder");
    assert!(
        list(store, "p/", "", 0).await.names == expected,
        "and it lists at once"
    );
    let top = list(store, "", "", 1).await;
    assert_eq!(
        top,
        Page {
            names: vec!["p/".into()],
            more: false
        },
        "a subtree is one name"
    );
}

/// A prefix is empty or ends at a separator.
pub(super) async fn bad_prefix(store: &dyn Storage) {
    assert!(
        is_invalid(&store.list("a", "", 0).await),
        "half a segment is no prefix"
    );
}
