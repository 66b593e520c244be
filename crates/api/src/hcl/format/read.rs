//! HCL to a tree that keeps what is written: comments, spellings, where lines were broken.

use std::collections::VecDeque;

use super::super::{
    HclError,
    lexer::{Dialect, Lexer, Raw, Token},
    parser::unexpected,
};

/// What stands between braces, or in a file.
pub(super) struct Block<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    /// Comments after the last entry.
    pub(super) tail: Vec<&'a str>,
}

/// A name and what it is set to.
pub(super) struct Entry<'a> {
    /// Comments before it.
    pub(super) lead: Vec<&'a str>,
    /// An empty line stood before it.
    pub(super) gap: bool,
    /// The name, with its labels.
    pub(super) head: String,
    /// With `=`.
    pub(super) assigns: bool,
    pub(super) shape: Shape<'a>,
    /// The comment on its last line.
    pub(super) trail: Option<&'a str>,
}

pub(super) enum Shape<'a> {
    /// A string, a heredoc, a number, a word: as it is written.
    Scalar(&'a str),
    Block(Block<'a>),
    List {
        elements: Vec<Element<'a>>,
        /// Comments after the last element.
        tail: Vec<&'a str>,
        /// It was written over several lines.
        broken: bool,
    },
}

pub(super) struct Element<'a> {
    pub(super) lead: Vec<&'a str>,
    pub(super) shape: Shape<'a>,
    pub(super) trail: Option<&'a str>,
}

/// Reads a text that was parsed before; its nesting is known to be bounded.
pub(super) fn read(text: &str) -> Result<Block<'_>, HclError> {
    let mut lexer = Lexer::new(text, Dialect::Hcl);
    let mut tokens = Vec::new();
    loop {
        let raw = lexer.raw()?;
        let done = raw.token == Some(Token::End);
        tokens.push(raw);
        if done {
            break;
        }
    }
    let mut reader = Reader {
        tokens: tokens.into_iter().peekable(),
        passed: VecDeque::new(),
        line: 1,
    };
    reader.block()
}

struct Reader<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Raw<'a>>>,
    /// Comments that were passed on the way to a comma; they stand before what comes next.
    passed: VecDeque<Raw<'a>>,
    /// Where the last token ended.
    line: u32,
}

impl<'a> Reader<'a> {
    /// Entries up to a closing brace or the end, which is taken too.
    fn block(&mut self) -> Result<Block<'a>, HclError> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        loop {
            let gap = self.next_line() > self.line.saturating_add(1);
            let lead = self.comments();
            let raw = self.take()?;
            match raw.token {
                Some(Token::BraceClose | Token::End) => {
                    return Ok(Block {
                        entries,
                        tail: lead,
                    });
                }
                _ => entries.push(self.entry(raw.text, lead, gap)?),
            }
        }
    }

    fn entry(&mut self, name: &str, lead: Vec<&'a str>, gap: bool) -> Result<Entry<'a>, HclError> {
        let (mut head, mut lead) = (name.to_owned(), lead);
        let (assigns, shape) = loop {
            // A comment within a name goes before it.
            lead.extend(self.comments());
            let raw = self.take()?;
            match raw.token {
                Some(Token::Assign) => {
                    lead.extend(self.comments());
                    let raw = self.take()?;
                    break (true, self.shape(raw)?);
                }
                Some(Token::BraceOpen) => break (false, Shape::Block(self.block()?)),
                _ => {
                    head.push(' ');
                    head.push_str(raw.text);
                }
            }
        };
        let trail = self.end_of_item();
        Ok(Entry {
            lead,
            gap,
            head,
            assigns,
            shape,
            trail,
        })
    }

    fn shape(&mut self, raw: Raw<'a>) -> Result<Shape<'a>, HclError> {
        match raw.token {
            Some(Token::BraceOpen) => Ok(Shape::Block(self.block()?)),
            Some(Token::BracketOpen) => self.list(raw.line),
            _ => Ok(Shape::Scalar(raw.text)),
        }
    }

    fn list(&mut self, line: u32) -> Result<Shape<'a>, HclError> {
        let (mut elements, mut commented) = (Vec::new(), false);
        loop {
            let lead = self.comments();
            commented |= !lead.is_empty();
            let raw = self.take()?;
            if raw.token == Some(Token::BracketClose) {
                return Ok(Shape::List {
                    elements,
                    tail: lead,
                    broken: commented || raw.end > line,
                });
            }
            let shape = self.shape(raw)?;
            let trail = self.end_of_item();
            commented |= trail.is_some();
            elements.push(Element { lead, shape, trail });
        }
    }

    /// The comma after an item, and the comment on its line. Between the two there may be others.
    fn end_of_item(&mut self) -> Option<&'a str> {
        let line = self.line;
        let trail = self.trail(line);
        while let Some(comment) = self.tokens.next_if(|raw| raw.token.is_none()) {
            self.passed.push_back(comment);
        }
        let comma = self
            .tokens
            .next_if(|raw| raw.token == Some(Token::Comma))
            .is_some();
        match trail {
            None if comma && self.passed.is_empty() => self.trail(line),
            trail => trail,
        }
    }

    /// A comment that begins on a line; one that others follow on their own lines stays before them.
    fn trail(&mut self, line: u32) -> Option<&'a str> {
        let raw = self
            .tokens
            .next_if(|raw| raw.token.is_none() && raw.line == line)?;
        self.line = raw.end;
        Some(raw.text)
    }

    fn comments(&mut self) -> Vec<&'a str> {
        let mut comments = Vec::new();
        while let Some(raw) = self
            .passed
            .pop_front()
            .or_else(|| self.tokens.next_if(|raw| raw.token.is_none()))
        {
            self.line = raw.end;
            comments.push(raw.text);
        }
        comments
    }

    fn take(&mut self) -> Result<Raw<'a>, HclError> {
        let raw = self.tokens.next();
        let raw = raw.ok_or_else(|| unexpected(self.line, "more", &Token::End))?;
        self.line = raw.end;
        Ok(raw)
    }

    fn next_line(&mut self) -> u32 {
        let next = self.passed.front().or_else(|| self.tokens.peek());
        next.map_or(0, |raw| raw.line)
    }
}
