//! Percent-encoding and `name=value&…`, of queries and forms. Total: no bytes make it panic.

/// Reads `a=1&b=2`; `None` where it is not valid percent-encoded UTF-8.
pub fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decode(name, true)?, percent_decode(value, true)?))
        })
        .collect()
}

/// Undoes percent-encoding once; with `plus`, a `+` is a space.
pub fn percent_decode(text: &str, plus: bool) -> Option<String> {
    if !text.bytes().any(|b| b == b'%' || (plus && b == b'+')) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk::<2>()?;
                out.push(hex(high)? << 4 | hex(low)?);
                rest = after;
            }
            b'+' if plus => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// `true` and `false` as Go reads them, which is what clients send.
pub fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_their_spellings() {
        let owned = |pairs: &[(&str, &str)]| {
            Some(
                pairs
                    .iter()
                    .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(pairs(""), owned(&[]));
        assert_eq!(
            pairs("a=1&b=2&a=3"),
            owned(&[("a", "1"), ("b", "2"), ("a", "3")])
        );
        assert_eq!(
            pairs("standbyok&x="),
            owned(&[("standbyok", ""), ("x", "")])
        );
        assert_eq!(
            pairs("a=b=c&&d=%26+%2B"),
            owned(&[("a", "b=c"), ("d", "& +")])
        );
        assert_eq!(pairs("a=%c3%28"), None);
        assert_eq!(pairs("a=%4"), None);
    }
}
