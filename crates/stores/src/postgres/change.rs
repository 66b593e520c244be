//! What is written to rows, in one statement for many.

use keyfold_envelope::{Change, Error, Written};

use super::cell::Cell;
use super::{Postgres, Row, connection, statements};

/// One row and what goes into its column.
pub(super) struct Edit<'a> {
    /// Its place among the answers.
    number: usize,
    row: &'a Row,
    old: Cell,
    new: Cell,
    written: Written,
}

impl<'a> Edit<'a> {
    /// What a change means for the row as it was last looked at; `None` where there is nothing to do.
    pub(super) fn new(number: usize, row: &'a Row, change: &Change) -> Result<Option<Self>, Error> {
        let old = row.cell();
        let Some((new, written)) = old.changed(change)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            number,
            row,
            old,
            new,
            written,
        }))
    }
}

impl Postgres {
    /// Writes what can be written and answers for each edit.
    pub(super) fn carry_out(&self, edits: &[Edit<'_>], answers: &mut [Result<Written, Error>]) {
        if edits.is_empty() {
            return;
        }
        match self.update(edits) {
            Ok(done) => self.settle_answers(edits, &done, answers),
            Err(error @ (Error::Unavailable(_) | Error::Busy)) => {
                for (edit, again) in edits.iter().zip(same(&error, edits.len())) {
                    answer(answers, edit.number, again);
                }
            }
            Err(error) => {
                // A trigger or a constraint of one row fails the statement of all: halves find it.
                if let [edit] = edits {
                    return answer(answers, edit.number, Err(error));
                }
                let (first, second) = edits.split_at(edits.len() / 2);
                self.carry_out(first, answers);
                self.carry_out(second, answers);
            }
        }
    }

    /// Which of the edits were written.
    fn update(&self, edits: &[Edit<'_>]) -> Result<Vec<bool>, Error> {
        let ids: Vec<_> = edits.iter().map(|edit| &edit.row.id).collect();
        let ids = statements::columns(&ids, self.table.ids.len());
        let old: Vec<_> = edits.iter().map(|edit| &edit.old).collect();
        let new: Vec<_> = edits.iter().map(|edit| &edit.new).collect();
        let sql = self.statements.update.as_str();
        let rows = self.connections.run(async |client| {
            let mut parameters: Vec<statements::Parameter<'_>> = ids
                .iter()
                .map(|column| column as statements::Parameter<'_>)
                .collect();
            parameters.push(&old);
            parameters.push(&new);
            client.query(sql, &parameters).await
        })?;
        let mut done = vec![false; edits.len()];
        for row in &rows {
            let number = statements::number(row).map_err(connection::fault)?;
            if let Some(done) = done.get_mut(number) {
                *done = true;
            }
        }
        Ok(done)
    }

    /// Answers for all, and finds out why some were not written: a row that holds what it held was
    /// locked by somebody.
    fn settle_answers(
        &self,
        edits: &[Edit<'_>],
        done: &[bool],
        answers: &mut [Result<Written, Error>],
    ) {
        let mut missed = Vec::new();
        for (edit, done) in edits.iter().zip(done) {
            if *done {
                edit.row.put(edit.new.clone());
                answer(answers, edit.number, Ok(edit.written));
            } else {
                missed.push(edit);
            }
        }
        if missed.is_empty() {
            return;
        }
        let ids: Vec<_> = missed.iter().map(|edit| &edit.row.id).collect();
        let held = match self.cells(&ids) {
            Ok(held) => held,
            Err(error) => {
                for (edit, again) in missed.iter().zip(same(&error, missed.len())) {
                    answer(answers, edit.number, again);
                }
                return;
            }
        };
        for (edit, held) in missed.iter().zip(held) {
            let why = match held {
                Some(held) if held == edit.old => Error::Busy,
                // Somebody's retry of a statement whose answer was lost: it is ours.
                Some(held) if held == edit.new => {
                    edit.row.put(held);
                    answer(answers, edit.number, Ok(edit.written));
                    continue;
                }
                _ => Error::SlotsChanged,
            };
            answer(answers, edit.number, Err(why));
        }
    }
}

/// Puts an answer in its place.
pub(super) fn answer(
    answers: &mut [Result<Written, Error>],
    number: usize,
    answer: Result<Written, Error>,
) {
    if let Some(place) = answers.get_mut(number) {
        *place = answer;
    }
}

/// The same error for many, which can't be copied.
pub(super) fn same<T>(error: &Error, count: usize) -> Vec<Result<T, Error>> {
    let copy = || match error {
        Error::Busy => Error::Busy,
        Error::Unavailable(why) => Error::Unavailable(why.clone()),
        other => Error::Io(std::io::Error::other(other.to_string())),
    };
    (0..count).map(|_| Err(copy())).collect()
}
