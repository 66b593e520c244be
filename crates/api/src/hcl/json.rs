//! Tokens to the tree, for the JSON form of HCL.

use super::{
    Body, DEPTH, HclError, Item, Value,
    lexer::{Dialect, Lexer, Token},
    parser::{deeper, unexpected},
};

pub(super) fn parse(text: &str) -> Result<Body, HclError> {
    let mut lexer = Lexer::new(text, Dialect::Json);
    let body = match lexer.next()? {
        (Token::BraceOpen, _) => object(&mut lexer, DEPTH)?,
        (other, line) => return Err(unexpected(line, "`{`", &other)),
    };
    match lexer.next()? {
        (Token::End, _) => Ok(body),
        (other, line) => Err(unexpected(line, "the end", &other)),
    }
}

/// The rest of an object after its brace.
fn object(lexer: &mut Lexer<'_>, depth: usize) -> Result<Body, HclError> {
    let mut items = Vec::new();
    if lexer.peek()?.0 == Token::BraceClose {
        lexer.next()?;
        return Ok(Body { items });
    }
    loop {
        let (key, line) = match lexer.next()? {
            (Token::Text(key), line) => (key, line),
            (other, line) => return Err(unexpected(line, "a name in quotes", &other)),
        };
        match lexer.next()? {
            (Token::Colon, _) => {}
            (other, line) => return Err(unexpected(line, "`:`", &other)),
        }
        items.push(Item {
            key,
            labels: Vec::new(),
            value: value(lexer, depth)?,
            line,
        });
        match lexer.next()? {
            (Token::BraceClose, _) => return Ok(Body { items }),
            (Token::Comma, _) => {}
            (other, line) => return Err(unexpected(line, "a comma or `}`", &other)),
        }
    }
}

fn value(lexer: &mut Lexer<'_>, depth: usize) -> Result<Value, HclError> {
    let (token, line) = lexer.next()?;
    match token {
        Token::Text(text) => Ok(Value::String(text)),
        Token::Number(text) => Ok(Value::Number(text)),
        Token::Word(word) if word == "true" => Ok(Value::Bool(true)),
        Token::Word(word) if word == "false" => Ok(Value::Bool(false)),
        Token::Word(word) if word == "null" => Ok(Value::Null),
        Token::BraceOpen => object(lexer, deeper(depth, line)?).map(Value::Object),
        Token::BracketOpen => list(lexer, deeper(depth, line)?),
        other => Err(unexpected(line, "a value", &other)),
    }
}

/// The rest of a list after its bracket.
fn list(lexer: &mut Lexer<'_>, depth: usize) -> Result<Value, HclError> {
    let mut values = Vec::new();
    if lexer.peek()?.0 == Token::BracketClose {
        lexer.next()?;
        return Ok(Value::List(values));
    }
    loop {
        values.push(value(lexer, depth)?);
        match lexer.next()? {
            (Token::BracketClose, _) => return Ok(Value::List(values)),
            (Token::Comma, _) => {}
            (other, line) => return Err(unexpected(line, "a comma or `]`", &other)),
        }
    }
}
