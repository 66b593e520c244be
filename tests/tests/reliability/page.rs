//! The table of `docs/reliability.md`.

use std::fmt::Write as _;

use crate::acts::State;
use crate::fault::Fault;

/// What was seen of one act under one fault.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    points: usize,
    old: usize,
    new: usize,
    went_on: usize,
    stopped: usize,
}

impl Tally {
    /// Counts a point: the state after the restart, and whether the server had gone on before it.
    pub fn count(&mut self, state: State, went_on: Option<bool>) {
        self.points += 1;
        match state {
            State::Old => self.old += 1,
            State::New => self.new += 1,
        }
        match went_on {
            Some(true) => self.went_on += 1,
            Some(false) => self.stopped += 1,
            None => {}
        }
    }

    pub fn points(&self) -> usize {
        self.points
    }

    /// `8: 7 old, 1 new; 6 went on, 2 stopped`.
    fn cell(&self) -> String {
        if self.points == 0 {
            return "–".to_owned();
        }
        let part = |parts: &[(usize, &str)]| {
            let seen = parts.iter().filter(|(count, _)| *count > 0);
            let texts: Vec<_> = seen
                .map(|(count, name)| format!("{count} {name}"))
                .collect();
            texts.join(", ")
        };
        let states = part(&[(self.old, "old"), (self.new, "new")]);
        match part(&[(self.went_on, "went on"), (self.stopped, "stopped")]) {
            after if after.is_empty() => format!("{}: {states}", self.points),
            after => format!("{}: {states}; {after}", self.points),
        }
    }
}

/// A row: an act, and a tally for each fault.
pub type Row = (&'static str, [Tally; Fault::ALL.len()]);

/// The table, as the page has it.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("| operation | killed | torn write | power cut | I/O error | no space |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for (name, tallies) in rows {
        let cells = tallies.iter().map(Tally::cell).collect::<Vec<_>>();
        // Writing to a text does not fail.
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}

/// The page's first table.
pub fn table_of(page: &str) -> String {
    let lines = page.lines().skip_while(|line| !line.starts_with('|'));
    let lines = lines.take_while(|line| line.starts_with('|'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// What was found and the page does not say: other operations, or an outcome that an operation does not have under any
/// fault. How often one was met, and under which of the faults, depends on what went on in the background, and after a
/// power cut on chance.
pub fn news(found: &str, page: &str) -> Vec<String> {
    let names = |table: &str| -> Vec<String> {
        let lines = table.lines().map(|line| name(line).to_owned());
        lines.collect()
    };
    if names(found) != names(page) {
        return vec![format!(
            "the operations are {:?}, not {:?}",
            names(found),
            names(page)
        )];
    }
    let lines = found.lines().zip(page.lines()).skip(2);
    let unknown = |(found, page): &(&str, &str)| {
        let mut words = ["old", "new", "went on", "stopped"].into_iter();
        words.any(|word| outcomes(found).contains(word) && !outcomes(page).contains(word))
    };
    let told = lines.filter(unknown);
    told.map(|(found, page)| format!("{found}\nnot\n{page}"))
        .collect()
}

/// A line without the operation's name.
fn outcomes(line: &str) -> &str {
    line.splitn(3, '|').nth(2).unwrap_or_default()
}

/// The first cell of a line.
fn name(line: &str) -> &str {
    line.split('|').nth(1).unwrap_or_default().trim()
}

#[test]
fn an_outcome_that_the_page_does_not_have_is_news() {
    let mut tally = Tally::default();
    let table = |tally: &Tally| table(&[("mount", std::array::from_fn(|_| tally.clone()))]);
    tally.count(State::Old, Some(true));
    let first = table(&tally);
    assert!(first.ends_with("| 1: 1 old; 1 went on |\n"));
    tally.count(State::Old, Some(true));
    assert!(news(&first, &table(&tally)).is_empty());
    assert!(news(&table(&tally), &first).is_empty());
    tally.count(State::New, Some(false));
    let third = table(&tally);
    assert!(third.ends_with("| 3: 2 old, 1 new; 2 went on, 1 stopped |\n"));
    assert!(news(&first, &third).is_empty());
    assert_eq!(news(&third, &first).len(), 1);
    assert_eq!(news(&first, &first.replace("mount", "rekey")).len(), 1);
    let page = format!("# Title\n\ntext\n\n{third}\nmore\n\n| other |\n");
    assert_eq!(table_of(&page), third);
}
