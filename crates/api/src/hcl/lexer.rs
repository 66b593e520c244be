//! Text to tokens, for HCL and for its JSON form.

use super::HclError;

/// Which of the two languages; they differ in comments, strings and the colon.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Hcl,
    Json,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Heredoc(String),
    Number(String),
    BraceOpen,
    BraceClose,
    BracketOpen,
    BracketClose,
    Comma,
    Assign,
    Colon,
    End,
}

impl Token {
    /// What it is, for an error text: never what it says.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Word(_) => "a word",
            Self::Text(_) => "a string",
            Self::Heredoc(_) => "a heredoc",
            Self::Number(_) => "a number",
            Self::BraceOpen => "`{`",
            Self::BraceClose => "`}`",
            Self::BracketOpen => "`[`",
            Self::BracketClose => "`]`",
            Self::Comma => "a comma",
            Self::Assign => "`=`",
            Self::Colon => "`:`",
            Self::End => "the end",
        }
    }
}

/// A token, or a comment, and how it is written.
pub(super) struct Raw<'a> {
    /// `None` for a comment.
    pub(super) token: Option<Token>,
    pub(super) text: &'a str,
    /// Line of its first character, from 1.
    pub(super) line: u32,
    /// Line of its last one.
    pub(super) end: u32,
}

/// Reads tokens one by one, with one to look at in advance.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    line: u32,
    dialect: Dialect,
    /// The next token and its line.
    peeked: Option<(Token, u32)>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            rest,
            line: 1,
            dialect,
            peeked: None,
        }
    }

    /// The next token and the line it starts on.
    pub(super) fn next(&mut self) -> Result<(Token, u32), HclError> {
        match self.peeked.take() {
            Some(token) => Ok(token),
            None => self.scan(),
        }
    }

    /// The next token without taking it.
    pub(super) fn peek(&mut self) -> Result<&(Token, u32), HclError> {
        let token = self.next()?;
        Ok(self.peeked.insert(token))
    }

    /// The next token or comment as it is written, for whoever writes the text anew; not to be
    /// mixed with [`Lexer::next`].
    pub(super) fn raw(&mut self) -> Result<Raw<'a>, HclError> {
        self.skip_spaces();
        let (before, line) = (self.rest, self.line);
        let token = match self.skip_comment()? {
            true => None,
            false => Some(self.scan()?.0),
        };
        let length = before.len() - self.rest.len();
        Ok(Raw {
            token,
            text: before.get(..length).unwrap_or_default().trim_end(),
            line,
            end: self.line,
        })
    }

    fn scan(&mut self) -> Result<(Token, u32), HclError> {
        self.skip_blanks()?;
        let line = self.line;
        let Some(first) = self.rest.chars().next() else {
            return Ok((Token::End, line));
        };
        let token = match first {
            '{' => self.symbol(Token::BraceOpen),
            '}' => self.symbol(Token::BraceClose),
            '[' => self.symbol(Token::BracketOpen),
            ']' => self.symbol(Token::BracketClose),
            ',' => self.symbol(Token::Comma),
            '=' if self.dialect == Dialect::Hcl => self.symbol(Token::Assign),
            ':' if self.dialect == Dialect::Json => self.symbol(Token::Colon),
            '"' if self.dialect == Dialect::Json => Token::Text(self.json_string()?),
            '"' => Token::Text(self.string()?),
            '<' if self.dialect == Dialect::Hcl => Token::Heredoc(self.heredoc()?),
            '-' | '.' | '0'..='9' => Token::Number(self.number()?),
            c if is_word_start(c) => Token::Word(self.word()),
            _ => return Err(self.error("a character that has no meaning here")),
        };
        Ok((token, line))
    }

    fn error(&self, message: &str) -> HclError {
        HclError {
            line: self.line,
            message: message.to_owned(),
        }
    }

    fn symbol(&mut self, token: Token) -> Token {
        self.bump();
        token
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(c)
    }

    /// Takes characters while `keep` says so.
    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        let lines = taken.bytes().filter(|&b| b == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        taken
    }

    fn skip_blanks(&mut self) -> Result<(), HclError> {
        loop {
            self.skip_spaces();
            if self.dialect == Dialect::Json || !self.skip_comment()? {
                return Ok(());
            }
        }
    }

    fn skip_spaces(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    }

    /// Whether there was a comment.
    fn skip_comment(&mut self) -> Result<bool, HclError> {
        if self.rest.starts_with('#') || self.rest.starts_with("//") {
            self.take_while(|c| c != '\n');
        } else if let Some(comment) = self.rest.strip_prefix("/*") {
            let Some(end) = comment.find("*/") else {
                return Err(self.error("a comment is not closed: expected `*/`"));
            };
            self.skip_bytes(end + 4);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Skips `count` bytes, which end on a character's edge.
    fn skip_bytes(&mut self, count: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, ""));
        self.rest = rest;
        let lines = skipped.bytes().filter(|&b| b == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        skipped
    }

    fn word(&mut self) -> String {
        self.take_while(|c| is_word_start(c) || is_digit(c) || matches!(c, '-' | '.'))
            .to_owned()
    }

    fn number(&mut self) -> Result<String, HclError> {
        let text =
            self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_'));
        if is_number(text) {
            Ok(text.to_owned())
        } else {
            Err(self.error("a malformed number"))
        }
    }

    /// A string in quotes. Within `${ }` quotes, backslashes and line breaks are text.
    fn string(&mut self) -> Result<String, HclError> {
        let open = self.error("a string is not closed");
        self.bump();
        let mut text = String::new();
        let mut braces = 0_u32;
        loop {
            let Some(c) = self.bump() else {
                return Err(open);
            };
            match c {
                '"' if braces == 0 => return Ok(text),
                '\n' if braces == 0 => return Err(open),
                '\\' if braces == 0 => text.push(self.escape()?),
                '$' if braces == 0 && self.rest.starts_with('{') => {
                    self.bump();
                    text.push_str("${");
                    braces = 1;
                }
                _ => {
                    match c {
                        '{' if braces > 0 => braces = braces.saturating_add(1),
                        '}' if braces > 0 => braces -= 1,
                        _ => {}
                    }
                    text.push(c);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, HclError> {
        let wrong = self.error("an escape that is not known");
        let code = match self.bump().ok_or_else(|| wrong.clone())? {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            '\\' => 0x5c,
            '"' => 0x22,
            'x' => self.digits(2, 16).ok_or_else(|| wrong.clone())?,
            'u' => self.digits(4, 16).ok_or_else(|| wrong.clone())?,
            'U' => self.digits(8, 16).ok_or_else(|| wrong.clone())?,
            digit @ '0'..='7' => {
                let high = digit.to_digit(8).unwrap_or_default();
                high * 64 + self.digits(2, 8).ok_or_else(|| wrong.clone())?
            }
            _ => return Err(wrong),
        };
        char::from_u32(code).ok_or(wrong)
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        self.rest = rest;
        u32::from_str_radix(digits, radix).ok()
    }

    /// Finds the closing quote and leaves the unescaping to the JSON reader.
    fn json_string(&mut self) -> Result<String, HclError> {
        let open = self.error("a string is not closed");
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|&(_, c)| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let Some((end, _)) = end else {
            return Err(open);
        };
        let quoted = self.skip_bytes(end + 1);
        serde_json::from_str(quoted).map_err(|_| self.error("a malformed string"))
    }

    /// `<<MARK` or `<<-MARK`, lines, `MARK`. The second form takes off the closing mark's
    /// indentation when all lines have it.
    fn heredoc(&mut self) -> Result<String, HclError> {
        let open = self.error("a heredoc is not closed");
        let Some(start) = self.rest.strip_prefix("<<") else {
            return Err(self.error("a character that has no meaning here"));
        };
        let (indented, start) = match start.strip_prefix('-') {
            Some(start) => (true, start),
            None => (false, start),
        };
        let Some((mark, body)) = start.split_once('\n') else {
            return Err(open);
        };
        let mark = mark.strip_suffix('\r').unwrap_or(mark);
        if mark.is_empty() || !mark.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(self.error("a heredoc needs a name of letters and digits"));
        }
        let mut length = 0;
        let closing = body.split_inclusive('\n').find(|line| {
            let found = line.trim() == mark;
            length += if found { 0 } else { line.len() };
            found
        });
        let (Some(closing), Some(text)) = (closing, body.get(..length)) else {
            return Err(open);
        };
        let indentation = closing.len() - closing.trim_start().len();
        let consumed = self.rest.len() - body.len() + length + indentation + mark.len();
        self.skip_bytes(consumed);
        let prefix = closing.get(..indentation).unwrap_or_default();
        if !indented
            || !text
                .split_inclusive('\n')
                .all(|line| line.starts_with(prefix))
        {
            return Ok(text.to_owned());
        }
        Ok(text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_prefix(prefix))
            .collect())
    }
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || (!c.is_ascii() && c.is_alphabetic())
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric())
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if let Some(hex) = unsigned
        .strip_prefix("0x")
        .or_else(|| unsigned.strip_prefix("0X"))
    {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    // What Rust reads as a number, less its words for what is none.
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned
            .bytes()
            .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b))
        && unsigned.parse::<f64>().is_ok()
}
