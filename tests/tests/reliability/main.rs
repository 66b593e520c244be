//! The real program on a disk that fails: killed, cut off in a write, without power, with I/O errors and without space,
//! at each call on its store that an operation makes. What was acknowledged is there after the next start; what was not
//! is there as a whole or not at all. `docs/reliability.md` is what this found.
//!
//! `KEYFOLD_WRITE_DOCS=1` writes the page's table instead of comparing it; `KEYFOLD_ONLY=rekey` does one operation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod acts;
mod deks;
mod fault;
mod page;
mod prepared;
mod record;
mod site;
mod start;
mod talk;

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use std::{env, fs};

use keyfold_tests::Binary;

use crate::acts::{ACTS, Act, State};
use crate::fault::{Fault, Strike, Tracer};
use crate::page::{Row, Tally};
use crate::prepared::{Base, Prepared};
use crate::site::Site;
use crate::start::Start;
use crate::talk::{Refusal, text};

/// Servers at a time.
const WORKERS: usize = 2;
/// Calls of a kind that are struck in one act: more than any of them makes.
const LIMIT: usize = 80;
/// How long something that has to happen may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether it has.
const PAUSE: Duration = Duration::from_millis(4);
/// What is written once the disk works again.
const PROBE: &str = "sys/policies/acl/probe";

#[test]
fn a_disk_that_fails_leaves_the_old_state_or_the_new_one() {
    let prepared = Prepared::new(Binary::keyfold().unwrap()).unwrap();
    if let Err(error) = try_strace(&prepared) {
        writeln!(
            std::io::stderr(),
            "skipped: strace can't be had here: {error}"
        )
        .unwrap();
        return;
    }
    let only = env::var("KEYFOLD_ONLY").ok();
    let mut subjects: Vec<_> = Start::ALL.map(Subject::Start).into();
    subjects.extend(ACTS.iter().map(Subject::Act));
    subjects.retain(|subject| only.as_ref().is_none_or(|only| subject.name() == only));
    let jobs = subjects
        .iter()
        .enumerate()
        .flat_map(|(row, subject)| Fault::ALL.map(|fault| (row, *subject, fault)));
    let jobs = Mutex::new(jobs.collect::<VecDeque<_>>());
    let rows = subjects
        .iter()
        .map(|subject| (subject.name(), Default::default()));
    let rows = Mutex::new(rows.collect::<Vec<Row>>());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((row, subject, fault)) = take(&jobs) {
                    let (tally, failed) = strike_all(&prepared, subject, fault);
                    lock(&failures).extend(failed);
                    let column = Fault::ALL.iter().position(|other| *other == fault);
                    lock(&rows)[row].1[column.unwrap()] = tally;
                }
            });
        }
    });
    let failures = lock(&failures).clone();
    assert!(failures.is_empty(), "{}\n", failures.join("\n\n"));
    let found = page::table(&lock(&rows));
    match only {
        Some(_) => writeln!(std::io::stderr(), "{found}").unwrap(),
        None => compare(&found),
    }
}

/// The page has what was found, or gets it.
fn compare(found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md");
    let page = fs::read_to_string(&path).unwrap();
    let stands = page::table_of(&page);
    if env::var_os("KEYFOLD_WRITE_DOCS").is_some() {
        fs::write(&path, page.replace(&stands, found)).unwrap();
        return;
    }
    let news = page::news(found, &stands);
    assert!(
        news.is_empty(),
        "docs/reliability.md says otherwise:\n{}\nwhat was found:\n{found}",
        news.join("\n")
    );
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take<T>(jobs: &Mutex<VecDeque<T>>) -> Option<T> {
    lock(jobs).pop_front()
}

/// Whether strace is there and may look at a hardened process, which takes root.
fn try_strace(prepared: &Prepared) -> Result<(), String> {
    let mut site = Site::start(prepared, Base::Empty, "")?;
    let never = Strike {
        fault: Fault::Failed,
        call: "fdatasync",
        nth: LIMIT,
    };
    let tracer = Tracer::attach(site.server()?, never).map_err(text)?;
    tracer.detach().map(drop).map_err(text)
}

/// A row.
#[derive(Clone, Copy)]
enum Subject {
    Start(Start),
    Act(&'static Act),
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Start(start) => start.name(),
            Self::Act(act) => act.name,
        }
    }

    fn calls(self, fault: Fault) -> &'static [&'static str] {
        match self {
            Self::Start(start) => start.calls(fault),
            Self::Act(_) => fault.calls(),
        }
    }

    fn point(self, prepared: &Prepared, strike: Strike) -> Result<Found, String> {
        match self {
            Self::Start(start) => start.point(prepared, strike),
            Self::Act(act) => point(prepared, act, strike),
        }
    }
}

/// Strikes each call in turn, until one more finds nothing to strike.
fn strike_all(prepared: &Prepared, subject: Subject, fault: Fault) -> (Tally, Vec<String>) {
    let name = subject.name();
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for call in subject.calls(fault) {
        for nth in 1..=LIMIT {
            match subject.point(prepared, Strike { fault, call, nth }) {
                Ok(Some((state, went_on))) => tally.count(state, went_on),
                Ok(None) => break,
                Err(error) => failures.push(format!("{name}, {fault:?} at {call} {nth}: {error}")),
            }
            if nth == LIMIT {
                failures.push(format!("{name}: more than {LIMIT} {call}"));
            }
            // Enough to see what is wrong.
            if failures.len() > 5 {
                return (tally, failures);
            }
        }
    }
    if tally.points() == 0 && failures.is_empty() && !subject.calls(fault).is_empty() {
        failures.push(format!("{name}: {fault:?} struck nothing"));
    }
    (tally, failures)
}

/// What was found, and whether the server had gone on before its restart; `None` when nothing was struck.
type Found = Option<(State, Option<bool>)>;

fn point(prepared: &Prepared, act: &Act, strike: Strike) -> Result<Found, String> {
    let mut site = Site::start(prepared, act.base, act.config)?;
    if act.begins {
        acts::begin(&mut site)?;
    }
    if act.open {
        site.open()?;
    }
    let tracer = Tracer::attach(site.server()?, strike).map_err(text)?;
    let told = (act.perform)(&mut site);
    let found = after(&mut site, act, strike, &told, tracer);
    found.map_err(|error| {
        let told = told.map_or_else(|refusal| refusal.to_string(), |()| "done".to_owned());
        format!("{error}; told: {told}; its log:\n{}", end_of(&site.log()))
    })
}

fn after(
    site: &mut Site<'_>,
    act: &Act,
    strike: Strike,
    told: &Result<(), Refusal>,
    tracer: Tracer,
) -> Result<Found, String> {
    let fault = strike.fault;
    // What goes on after the answer is struck, too.
    let gone = || matches!(told, Err(Refusal::Gone)) || site.sealed().is_err();
    let dies = fault.kills() && gone();
    if dies && !site.ended()? {
        return Err("the connection ended, and the server did not".to_owned());
    }
    let (before, record) = tracer.detach().map_err(text)?;
    let struck = if fault.kills() {
        dies
    } else {
        record.injected()
    };
    if struck {
        let store = site.file("store");
        strike.damage(&store, before, &record).map_err(text)?;
    }
    site.acknowledged |= told.is_ok();
    let mut before = None;
    let mut went_on = None;
    if !fault.kills() && struck {
        told_why(site, told)?;
        went_on = Some(goes_on(site, act)?);
        if went_on == Some(true) {
            before = Some(look(site, act)?);
        }
    }
    site.restart()?;
    let state = look(site, act)?;
    if let Some(before) = before
        && before != state
        && !(act.goes_on && state == State::New)
    {
        return Err(format!(
            "it was {before:?} before the restart, and is {state:?}"
        ));
    }
    if let Some(more) = act.deks {
        site.count_deks(if state == State::New { more } else { 0 })?;
    }
    let state = if site.repeated { State::Old } else { state };
    match site.log() {
        log if log.contains("panicked") => Err("it has panicked".to_owned()),
        _ if struck => Ok(Some((state, went_on))),
        _ if told.is_ok() => Ok(None),
        _ => Err("it failed, and nothing was struck".to_owned()),
    }
}

/// The state, in which all is whole. What was acknowledged is the new one.
fn look(site: &mut Site<'_>, act: &Act) -> Result<State, String> {
    let state = (act.state)(site)?;
    if site.acknowledged && state == State::Old {
        return Err("what was acknowledged is gone".to_owned());
    }
    if act.base == Base::Filled {
        site.canaries()?;
    }
    if site.probed && site.found(PROBE)?.is_none() {
        return Err("what was written after the disk came back is gone".to_owned());
    }
    Ok(state)
}

/// A failure of the disk is no mistake of the caller's, and the log says what it is, which may take a moment.
fn told_why(site: &Site<'_>, told: &Result<(), Refusal>) -> Result<(), String> {
    let logged = |site: &Site<'_>| Ok(site.log().contains("storage failed").then_some(()));
    match told {
        Ok(()) | Err(Refusal::Unfinished) => Ok(()),
        Err(Refusal::Answered(500.., _)) if site.wait_for(logged)?.is_some() => Ok(()),
        Err(refusal) => Err(format!("that is no word on the disk: {refusal}")),
    }
}

/// Whether it takes writes again, now that the disk works. Else it says in its log that it must be restarted.
fn goes_on(site: &mut Site<'_>, act: &Act) -> Result<bool, String> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match probe(site, act) {
            Ok(()) => return Ok(true),
            Err(Refusal::Answered(500.., _)) if site.log().contains("failed to sync") => {
                return Ok(false);
            }
            Err(Refusal::Answered(500.., _)) => sleep(PAUSE),
            Err(other) => return Err(other.into()),
        }
    }
    Err("it neither goes on nor asks for a restart".to_owned())
}

/// A write, in whatever state it is. Where there is nothing yet, the act itself is one: it is repeated.
fn probe(site: &mut Site<'_>, act: &Act) -> Result<(), Refusal> {
    if !site.initialised()? {
        (act.perform)(site)?;
        (site.acknowledged, site.repeated) = (true, true);
        return Ok(());
    }
    if site.shares.is_empty() {
        return Ok(());
    }
    site.open()?;
    let policy = serde_json::json!({"policy": "path \"x\" { capabilities = [\"read\"] }"});
    site.put(PROBE, policy)?;
    site.probed = true;
    Ok(())
}

fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
