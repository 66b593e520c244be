//! The whole of a store at once.

use super::{Stores, commit, is_conflict, value};
use crate::ports::storage::{Batch, Staged, Storage};
use crate::ports::whole::{PORTION, Portion};

/// All entries are there, in order, as they were when it was asked for.
pub(super) async fn shows_one_commit(store: &dyn Storage) {
    commit(
        store,
        Batch::new().put("b/x", "1").put("a", "").put("c", "3"),
    )
    .await;
    let last = commit(store, Batch::new().delete("c").put("b", "2")).await;
    let mut whole = store.whole().await.expect("the whole can be read");
    assert_eq!(whole.revision(), last, "it names the last commit");
    commit(store, Batch::new().put("b", "9").delete("a").put("d", "9")).await;
    let expected = entries(&[("a", ""), ("b", "2"), ("b/x", "1")]);
    let first = whole.next().await.expect("a portion is read");
    assert!(first == expected, "as one commit left it, in byte order");
    for _ in 0..2 {
        let rest = whole.next().await.expect("the end is no error");
        assert!(rest.is_empty(), "the end stays the end");
    }
    drop(whole);
    let mut whole = store.whole().await.expect("the whole can be read again");
    let expected = entries(&[("b", "9"), ("b/x", "1"), ("d", "9")]);
    assert!(
        whole.next().await.expect("a portion is read") == expected,
        "and shows what came since"
    );
}

/// No portion has two entries and more than [`PORTION`] bytes.
pub(super) async fn large_ones_come_in_portions(store: &dyn Storage) {
    let mut batch = Batch::new().put("big", vec![7; 3 * PORTION]);
    for n in 0..200 {
        batch = batch.put(format!("n/{n:03}"), vec![1; 1000]);
    }
    commit(store, batch).await;
    let mut whole = store.whole().await.expect("the whole can be read");
    let mut keys = Vec::new();
    loop {
        let portion = whole.next().await.expect("a portion is read");
        if portion.is_empty() {
            break;
        }
        let bytes: usize = portion.iter().map(|(k, v)| k.len() + v.len()).sum();
        assert!(
            portion.len() == 1 || bytes <= PORTION,
            "a portion of {} entries has {bytes} bytes",
            portion.len()
        );
        keys.extend(portion.into_iter().map(|(key, _)| key));
    }
    assert_eq!(keys.len(), 201, "all of them are there");
    assert!(keys.is_sorted(), "in order");
}

/// Nothing is seen before, everything after; also after a restart.
pub(super) async fn adopted_in_one_step(stores: &dyn Stores) {
    let store = stores.fresh().await;
    let before = commit(&*store, Batch::new().put("old", "1").put("both", "1")).await;
    let mut feed = store.watch();
    let mut staged = stage(&*store).await;
    add(&mut *staged, &[("new", "2"), ("both", "0")]).await;
    add(&mut *staged, &[("both", "2")]).await;
    assert!(
        value(&*store, "both").await.as_deref() == Some(b"1".as_slice())
            && value(&*store, "new").await.is_none(),
        "what is staged is not seen"
    );
    let between = commit(&*store, Batch::new().put("between", "1")).await;
    let revision = staged.adopt().await.expect("a stage is adopted");
    assert!(revision > between && between > before, "it is a commit");
    for gone in ["old", "between"] {
        assert!(value(&*store, gone).await.is_none(), "{gone} is gone");
    }
    let entry = store.get("both").await.expect("get works");
    let entry = entry.expect("what was added is there");
    assert!(entry.value == b"2", "the later of two counts");
    assert!(
        entry.revision > before && entry.revision <= revision,
        "at a revision of its own"
    );
    let page = store.list("", "", 0).await.expect("list works");
    assert_eq!(page.names, ["both", "new"], "and nothing else");

    let first = feed.recv().await.expect("the feed has every commit");
    assert!(!first.replaced, "the commit between is told as ever");
    let second = feed.recv().await.expect("the feed has every commit");
    assert!(second.replaced, "that everything changed is told");
    assert_eq!(second.revision, revision, "with its revision");
    assert!(feed.try_recv().is_err(), "and nothing of the staging is");

    let stale = Batch::new().unchanged("both", before).put("both", "3");
    assert!(is_conflict(&store.commit(stale).await), "checks see it");
    let fresh = Batch::new().unchanged("both", entry.revision).put("x", "");
    let after = commit(&*store, fresh).await;
    let Some(store) = stores.reopen(store).await else {
        return;
    };
    assert!(
        value(&*store, "new").await.as_deref() == Some(b"2".as_slice())
            && value(&*store, "old").await.is_none(),
        "it is durable"
    );
    assert!(
        commit(&*store, Batch::new()).await > after,
        "revisions grow on"
    );
}

/// What was staged and not adopted leaves nothing, now and after a restart.
pub(super) async fn given_up_is_forgotten(stores: &dyn Stores) {
    let store = stores.fresh().await;
    commit(&*store, Batch::new().put("kept", "1")).await;
    let mut staged = stage(&*store).await;
    add(&mut *staged, &[("other", "2")]).await;
    drop(staged);
    let staged = stage(&*store).await;
    staged.adopt().await.expect("nothing is a whole, too");
    let page = store.list("", "", 0).await.expect("list works");
    assert!(
        page.names.is_empty(),
        "nothing of an earlier stage is in it"
    );

    commit(&*store, Batch::new().put("kept", "1")).await;
    let mut staged = stage(&*store).await;
    add(&mut *staged, &[("other", "2")]).await;
    drop(staged);
    let Some(store) = stores.reopen(store).await else {
        return;
    };
    let page = store.list("", "", 0).await.expect("list works");
    assert_eq!(page.names, ["kept"], "the old state is there");
    let mut staged = stage(&*store).await;
    add(&mut *staged, &[("third", "3")]).await;
    staged.adopt().await.expect("a stage is adopted");
    let page = store.list("", "", 0).await.expect("list works");
    assert_eq!(page.names, ["third"], "and nothing of the lost stage");
}

/// A stage ends the one before.
pub(super) async fn the_last_stage_counts(store: &dyn Storage) {
    let mut first = stage(store).await;
    add(&mut *first, &[("a", "1")]).await;
    let mut second = stage(store).await;
    add(&mut *second, &[("b", "2")]).await;
    let late = first.add(entries(&[("a", "2")])).await;
    assert!(is_conflict(&late), "the first is over");
    assert!(is_conflict(&first.adopt().await), "and is not adopted");
    second.adopt().await.expect("the second is adopted");
    let page = store.list("", "", 0).await.expect("list works");
    assert_eq!(page.names, ["b"], "with what is its own");
}

async fn stage(store: &dyn Storage) -> Box<dyn Staged> {
    store.stage().await.expect("a stage begins")
}

async fn add(staged: &mut dyn Staged, of: &[(&str, &str)]) {
    let added = staged.add(entries(of)).await;
    added.expect("entries are staged");
}

fn entries(of: &[(&str, &str)]) -> Portion {
    let own = of.iter();
    own.map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()))
        .collect()
}
