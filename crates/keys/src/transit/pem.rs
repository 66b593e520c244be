//! PEM (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_secret::Secret;

/// A block, with a line break at its end.
pub fn to_pem(label: &str, bytes: &[u8]) -> String {
    let body = Secret::new(STANDARD.encode(bytes));
    let body = body.expose();
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The blocks of PEM with this label that a text holds; `None` where one does not decode, or there
/// is none.
pub fn from_pem(label: &str, text: &str) -> Option<Vec<Vec<u8>>> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let (body, after) = after.split_once(&end)?;
        let compact: String = body.split_ascii_whitespace().collect();
        blocks.push(STANDARD.decode(compact).ok()?);
        rest = after;
    }
    (!blocks.is_empty()).then_some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_of_several_blocks() {
        let text = format!("words\n{}{}", to_pem("A", &[1; 100]), to_pem("A", &[2; 3]));
        assert_eq!(from_pem("A", &text).unwrap(), [vec![1; 100], vec![2; 3]]);
        for none in [
            "",
            "-----BEGIN A-----",
            "-----BEGIN A-----\n!!\n-----END A-----\n",
        ] {
            assert!(from_pem("A", none).is_none());
        }
    }
}
