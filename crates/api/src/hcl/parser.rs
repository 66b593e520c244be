//! Tokens to the tree, for HCL.

use super::{
    Body, DEPTH, HclError, Item, Value,
    lexer::{Dialect, Lexer, Token},
};

pub(super) fn parse(text: &str) -> Result<Body, HclError> {
    let mut parser = Parser {
        lexer: Lexer::new(text, Dialect::Hcl),
    };
    parser.body(Token::End, DEPTH)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
}

impl Parser<'_> {
    /// Items up to `close`, which is taken too.
    fn body(&mut self, close: Token, depth: usize) -> Result<Body, HclError> {
        let mut items = Vec::new();
        loop {
            let (token, line) = self.lexer.next()?;
            let key = match token {
                token if token == close => return Ok(Body { items }),
                Token::Word(key) | Token::Text(key) => key,
                Token::End => return Err(error(line, "a block is not closed: expected `}`")),
                other => return Err(unexpected(line, "a name", &other)),
            };
            let (labels, value) = self.item(depth)?;
            items.push(Item {
                key,
                labels,
                value,
                line,
            });
            // Between items a comma may stand.
            if self.lexer.peek()?.0 == Token::Comma {
                self.lexer.next()?;
            }
        }
    }

    /// What follows a name: `= value`, or labels and a block.
    fn item(&mut self, depth: usize) -> Result<(Vec<String>, Value), HclError> {
        let mut labels = Vec::new();
        loop {
            let (token, line) = self.lexer.next()?;
            match token {
                Token::Assign if labels.is_empty() => return Ok((labels, self.value(depth)?)),
                Token::BraceOpen => {
                    let body = self.body(Token::BraceClose, deeper(depth, line)?)?;
                    return Ok((labels, Value::Object(body)));
                }
                Token::Word(label) | Token::Text(label) => labels.push(label),
                other if labels.is_empty() => {
                    return Err(unexpected(line, "`=`, a label or `{`", &other));
                }
                other => return Err(unexpected(line, "a label or `{`", &other)),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, HclError> {
        let (token, line) = self.lexer.next()?;
        match token {
            Token::Text(text) | Token::Heredoc(text) => Ok(Value::String(text)),
            Token::Number(text) => Ok(Value::Number(text)),
            Token::Word(word) if word == "true" => Ok(Value::Bool(true)),
            Token::Word(word) if word == "false" => Ok(Value::Bool(false)),
            Token::BraceOpen => self
                .body(Token::BraceClose, deeper(depth, line)?)
                .map(Value::Object),
            Token::BracketOpen => self.list(deeper(depth, line)?),
            other => Err(unexpected(line, "a value", &other)),
        }
    }

    /// The rest of a list after its bracket; a comma may follow the last element.
    fn list(&mut self, depth: usize) -> Result<Value, HclError> {
        let mut values = Vec::new();
        loop {
            if self.lexer.peek()?.0 == Token::BracketClose {
                self.lexer.next()?;
                return Ok(Value::List(values));
            }
            values.push(self.value(depth)?);
            match self.lexer.next()? {
                (Token::BracketClose, _) => return Ok(Value::List(values)),
                (Token::Comma, _) => {}
                (other, line) => return Err(unexpected(line, "a comma or `]`", &other)),
            }
        }
    }
}

pub(super) fn deeper(depth: usize, line: u32) -> Result<usize, HclError> {
    depth
        .checked_sub(1)
        .ok_or_else(|| error(line, "nested too deep"))
}

pub(super) fn error(line: u32, message: &str) -> HclError {
    HclError {
        line,
        message: message.to_owned(),
    }
}

pub(super) fn unexpected(line: u32, expected: &str, found: &Token) -> HclError {
    HclError {
        line,
        message: format!("expected {expected}, found {}", found.name()),
    }
}
