//! Writes one `story!` line for each file in `scenarios/`, so that every story is a test of its own name.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new("scenarios");
    let mut lines = String::new();
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "toml")
            && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    for name in names {
        writeln!(lines, "story!({}, \"{name}\");", name.replace('-', "_"))
            .map_err(io::Error::other)?;
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("stories.rs"), lines)?;
    writeln!(io::stdout(), "cargo::rerun-if-changed=scenarios")
}
