//! The whole store at once.

use std::process::{Command, Output};

use super::State;
use crate::site::Site;
use crate::talk::Refusal;

const FILE: &str = "saved.kfsnap";

/// By the program itself: it gives the file its name.
pub fn save(site: &mut Site<'_>) -> Result<(), Refusal> {
    let ran = operator(site, "save")?;
    match ran.status.success() {
        true => Ok(()),
        false if site.sealed().is_err() => Err(Refusal::Gone),
        false => Err(Refusal::Answered(
            500,
            String::from_utf8_lossy(&ran.stderr).into_owned(),
        )),
    }
}

/// There is no file, or a whole one.
pub fn saved(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    if !site.file(FILE).exists() {
        return Ok(State::Old);
    }
    let ran = operator(site, "inspect")?;
    match ran.status.success() {
        true => Ok(State::New),
        false => Err(format!(
            "what has the snapshot's name is none: {}",
            String::from_utf8_lossy(&ran.stderr)
        )),
    }
}

pub fn restore(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.restore().map(drop)
}

/// What was written after the snapshot is there, or is not.
pub fn restored(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    Ok(match site.found("notes/data/later")? {
        Some(_) => State::Old,
        None => State::New,
    })
}

/// Into an empty server.
pub fn begun(site: &mut Site<'_>) -> Result<State, String> {
    if !site.initialised()? {
        return Ok(State::Old);
    }
    site.adopt_prepared();
    restored(site).and_then(|state| match state {
        State::New => Ok(State::New),
        State::Old => Err("there is what the snapshot does not have".to_owned()),
    })
}

fn operator(site: &mut Site<'_>, what: &str) -> Result<Output, Refusal> {
    let url = site.url().map_err(|_| Refusal::Gone)?;
    Command::new(site.binary().path())
        .args(["operator", "snapshot", what])
        .arg(site.file(FILE))
        .env("VAULT_ADDR", url)
        .env("VAULT_TOKEN", &site.root)
        .output()
        .map_err(|error| Refusal::Answered(0, error.to_string()))
}
