//! Lists, page by page.

use keyfold_core::ports::storage::Batch;

use super::super::record::taken_over;
use super::*;

#[tokio::test]
async fn pages_join_to_the_whole_list() {
    let mount = Mount::new();
    let mut names = vec![".x", "...", "A", "a", "a-", "a/", "z", "zz", "é", "日本/"];
    for name in &names {
        let path = if name.ends_with('/') {
            format!("l/{name}deep")
        } else {
            format!("l/{name}")
        };
        mount.secret(&path, 1).await;
    }
    names.sort_unstable();
    for path in ["metadata/l", "metadata/l/"] {
        for limit in [json!(0), json!(-1), json!(null), json!(100), json!("10")] {
            let all = mount.list(path, json!({"limit": limit})).await.unwrap();
            assert_eq!(all, names, "{path} {limit}");
        }
    }
    for limit in [1, 3, 7] {
        let mut joined = Vec::new();
        while let Ok(page) = mount
            .list(
                "metadata/l",
                json!({"limit": limit, "after": joined.last()}),
            )
            .await
        {
            assert!(page.len() <= limit);
            joined.extend(page);
        }
        assert_eq!(joined, names, "{limit}");
    }
    // A mark need not exist, and one that is deleted does not break the walk.
    mount.delete("metadata/l/a-").await;
    for (after, first) in [
        ("a-", Some("a/")),
        ("a0", Some("z")),
        (".", Some("...")),
        ("日本/", None),
    ] {
        let page = mount
            .list("metadata/l", json!({"after": after, "limit": 1}))
            .await;
        assert_eq!(
            page.ok().and_then(|page| page.first().cloned()).as_deref(),
            first,
            "{after}"
        );
    }
    for odd in [json!("x"), json!("max"), json!(1.5), json!([1])] {
        let refused = mount.list("metadata/l", json!({"limit": odd})).await;
        assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains("\"limit\"")));
    }
    for nothing in ["metadata", "metadata/"] {
        assert_eq!(mount.list(nothing, json!({})).await.unwrap(), ["l/"]);
    }
    for nothing in [
        "metadata/m",
        "metadata/l/z",
        "metadata//l",
        "metadata/l//",
        "metadata//",
    ] {
        let listed = mount.list(nothing, json!({})).await;
        assert!(matches!(listed, Err(Error::NotFound)), "{nothing}");
    }
}

#[tokio::test]
async fn a_policys_page_bound_holds_for_those_who_name_none() {
    let mount = Mount::new();
    for n in 0..5 {
        mount.secret(&format!("s{n}"), 1).await;
    }
    for (asked, given) in [
        (json!({}), 2),
        (json!({"limit": 0}), 2),
        (json!({"limit": "max"}), 2),
        (json!({"limit": 1}), 1),
    ] {
        let caller = Caller {
            page_limit: Some(2),
            ..Caller::anonymous()
        };
        let list = mount
            .ask_as(caller, Op::List, "metadata", &asked.to_string())
            .await;
        assert_eq!(
            list.unwrap().data()["keys"].as_array().unwrap().len(),
            given
        );
    }
}

#[tokio::test]
async fn a_folder_is_read_page_by_page_however_large_it_is() {
    let mount = Mount::new();
    let all: Vec<_> = (0..5_000).map(|n| format!("k{n:05}")).collect();
    for names in all.chunks(500) {
        let batch = names.iter().fold(Batch::new(), |batch, name| {
            taken_over(&format!("l/{name}"), b"{}", NOW, batch).unwrap()
        });
        mount.view.commit(batch).await.unwrap();
    }
    // The first request finds out that there is nothing to take over.
    mount.missing("data/other", json!({})).await;
    let before = mount.store.operations();
    let (mut joined, mut pages) = (Vec::<String>::new(), 0);
    while let Ok(page) = mount
        .list(
            "metadata/l",
            json!({"limit": 1_000, "after": joined.last()}),
        )
        .await
    {
        assert_eq!(page.len(), 1_000);
        joined.extend(page);
        pages += 1;
    }
    assert_eq!((joined, pages), (all, 5));
    assert_eq!(
        mount.store.operations() - before,
        pages + 1,
        "a page asks the store once, for no more than it answers"
    );
}

#[tokio::test]
async fn a_detailed_list_tells_of_secrets_and_not_of_folders() {
    let mount = Mount::new();
    mount.secret("d/x", 2).await;
    mount.secret("d/y/z", 1).await;
    mount
        .write("metadata/d/w", json!({"custom_metadata": {"owner": "me"}}))
        .await;
    let list = async |body: Value| {
        let answer = mount
            .ask(Op::List, "detailed-metadata/d", &body.to_string())
            .await;
        answer.map(|answer| answer.data())
    };
    for path in ["detailed-metadata/d", "detailed-metadata/d/"] {
        let all = mount.ask(Op::List, path, "").await.unwrap().data();
        assert_eq!(all["keys"], json!(["w", "x", "y/"]));
        assert_eq!(all["key_info"]["y/"], json!({}));
        for name in ["w", "x"] {
            let known = mount.read(&format!("metadata/d/{name}"), json!({})).await;
            assert_eq!(all["key_info"][name], known.data());
        }
    }
    let page = list(json!({"after": "x", "limit": 1})).await.unwrap();
    assert_eq!(page, json!({"keys": ["y/"], "key_info": {"y/": {}}}));
    let page = list(json!({"limit": "1"})).await.unwrap();
    assert_eq!(page["keys"], json!(["w"]));
    assert_eq!(page["key_info"].as_object().unwrap().len(), 1);
    assert!(matches!(
        list(json!({"after": "y/"})).await,
        Err(Error::NotFound)
    ));
    let refused = list(json!({"limit": "x"})).await;
    assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains("\"limit\"")));
}

#[tokio::test]
async fn a_scan_goes_however_deep() {
    let mount = Mount::new();
    for path in ["s/9", "s/1/a", "s/1/2/3", "s/1/2b", "s/0/b", "t"] {
        mount.secret(path, 1).await;
    }
    let scan = async |path: &str, body: Value| {
        let answer = mount.ask(Op::Scan, path, &body.to_string()).await;
        answer.map(|answer| answer.data()["keys"].clone())
    };
    for path in ["metadata/s", "metadata/s/", "detailed-metadata/s"] {
        let all = scan(path, json!({})).await.unwrap();
        assert_eq!(all, json!(["9", "1/2b", "1/a", "1/2/3", "0/b"]), "{path}");
    }
    let some = scan("metadata/s", json!({"limit": 2})).await.unwrap();
    assert_eq!(some, json!(["9", "1/2b"]));
    let bound = Caller {
        page_limit: Some(3),
        ..Caller::anonymous()
    };
    let some = mount.ask_as(bound, Op::Scan, "metadata", "").await.unwrap();
    assert_eq!(some.data()["keys"].as_array().unwrap().len(), 3);
    let detailed = mount
        .ask(Op::Scan, "detailed-metadata/s", "")
        .await
        .unwrap();
    let known = mount.read("metadata/s/1/2/3", json!({})).await;
    assert_eq!(detailed.data()["key_info"]["1/2/3"], known.data());
    let nothing = scan("metadata/none", json!({})).await;
    assert!(matches!(nothing, Err(Error::NotFound)));
}
