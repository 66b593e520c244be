//! Every story of `scenarios/` as a test of its own name. The list is made by `build.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keyfold_tests::{Binary, Story, tell};

macro_rules! story {
    ($name:ident, $file:literal) => {
        #[test]
        fn $name() {
            run($file);
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/stories.rs"));

fn run(stem: &str) {
    let story = Story::read(&file(stem)).unwrap_or_else(|error| panic!("{error}"));
    let binary = Binary::keyfold().unwrap_or_else(|error| panic!("{error}"));
    if let Err(failure) = tell(&story, &binary) {
        panic!("{stem}.toml: {}\n{failure}", story.name);
    }
}

fn file(stem: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scenarios")
        .join(stem)
        .with_extension("toml")
}

/// A difference from the peer has a line in `docs/divergences.md`, and each line there names a story that shows it.
#[test]
fn divergences_and_their_document_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("../docs/divergences.md")).unwrap();
    let named: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert!(!named.is_empty());
    for stem in &named {
        let story = Story::read(&file(stem)).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            story.divergence.is_some(),
            "{stem}.toml says nothing of a divergence"
        );
    }
    for entry in root.join("scenarios").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|ext| ext == "toml")
            && Story::read(&path)
                .unwrap_or_else(|error| panic!("{error}"))
                .divergence
                .is_some()
        {
            assert!(
                named.contains(&stem.as_str()),
                "docs/divergences.md has no line for {stem}"
            );
        }
    }
}

/// The policies that the documents offer are those that their stories try.
#[test]
fn the_examples_of_policies_are_those_of_their_stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies");
    let mut tried = BTreeMap::new();
    for stem in ["transit-duties", "transit-shred"] {
        let story = Story::read(&file(stem)).unwrap_or_else(|error| panic!("{error}"));
        tried.extend(story.setup.policies);
    }
    let mut examples = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let told = tried.get(&name);
        assert_eq!(told.map(|told| told.trim()), Some(text.trim()), "{name}");
        examples += 1;
    }
    assert_eq!(examples, tried.len());
}
