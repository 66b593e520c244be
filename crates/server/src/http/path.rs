//! The path of a request, below `/v1/`.

use http::StatusCode;
use keyfold_core::request::without_empty_segments;

use super::failure::Failure;
use super::query;

/// Bytes of the longest path: names in it become keys of the store, which have twice as much room.
const LONGEST: usize = 16 * 1024;

/// Takes the path apart: below `/v1/`, percent-decoded once, without empty segments (a slash at the
/// end stays). What is not below `/v1/` is a 404, what is too long or names something else than it seems is a 400.
pub fn below_v1(path: &str) -> Result<String, Failure> {
    let Some(rest) = path.strip_prefix("/v1/") else {
        return Err(Failure::silent(StatusCode::NOT_FOUND));
    };
    let decoded = query::percent_decode(rest, false)
        .ok_or_else(|| Failure::bad("the path is not valid percent-encoded UTF-8"))?;
    // Existing servers redirect `a//b` to `a/b`. We take the one for the other, before anything is
    // decided by the path.
    let path = without_empty_segments(decoded);
    if path.len() > LONGEST {
        return Err(Failure::bad(format!(
            "the path has more than {LONGEST} bytes"
        )));
    }
    if path.chars().any(is_unprintable) {
        return Err(Failure::bad("the path contains unprintable characters"));
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Failure::bad(
            "relative segments such as '..' are not allowed in a path",
        ));
    }
    Ok(path)
}

/// Control characters, and those that change how other characters look or are invisible: names with
/// them could be neither typed nor told apart.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken() {
        let table = [
            ("/v1/", ""),
            ("/v1/sys/mounts", "sys/mounts"),
            ("/v1/sys/mounts/", "sys/mounts/"),
            ("/v1/secret/data/a%20b", "secret/data/a b"),
            ("/v1/secret/data/%c3%a9", "secret/data/é"),
            ("/v1/secret/data/é", "secret/data/é"),
            ("/v1/a%2Fb", "a/b"),
            ("/v1/a+b", "a+b"),
            ("/v1/a%252e", "a%2e"),
            ("/v1//a//b%2f/c//", "a/b/c/"),
            ("/v1/...", "..."),
        ];
        for (path, below) in table {
            assert_eq!(below_v1(path).unwrap(), below, "{path}");
        }
    }

    #[test]
    fn what_is_refused() {
        let bad = [
            "/v1/a%00",
            "/v1/a%0a",
            "/v1/a%7f",
            "/v1/a%ff",
            "/v1/a%c3%28",
            "/v1/a%09",
            "/v1/a%c0%af",
            "/v1/a%",
            "/v1/a%4",
            "/v1/a%zz",
            "/v1/..",
            "/v1/../V1/a",
            "/v1/a/./b",
            "/v1/a/%2e%2e/b",
            "/v1/a%2f..%2fb",
            "/v1/a/..",
            "/v1/a%e2%80%ae",
        ];
        for path in bad {
            assert_eq!(below_v1(path).unwrap_err().status, 400, "{path}");
        }
        for path in [
            "/",
            "/v1",
            "/ui",
            "/ui/",
            "//v1/sys/health",
            "/V1/sys/health",
            "*",
            "",
        ] {
            assert_eq!(below_v1(path).unwrap_err().status, 404, "{path}");
        }
    }
}
