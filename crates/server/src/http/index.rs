//! `X-Vault-Index`: the newest commit that a client has seen, from one node's answer to a request to
//! another. Clients carry it without a look inside; those that merge several of them know the layout,
//! which is `v1:<cluster>:<index>:<index>:<tag>` in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use keyfold_core::ports::storage::Revision;

use super::encode::Answer;
use super::failure::Failure;

const INDEX: HeaderName = HeaderName::from_static("x-vault-index");
/// Indexes that a request may bring.
const MOST: usize = 64;

/// The newest of those that a request brings.
pub fn seen(headers: &HeaderMap) -> Result<Option<Revision>, Failure> {
    let mut newest = None;
    for value in headers.get_all(INDEX).iter().take(MOST) {
        let index = parse(value.as_bytes());
        let index = index.ok_or_else(|| Failure::bad("X-Vault-Index is not one of ours"))?;
        newest = newest.max(Some(index));
    }
    Ok(newest)
}

/// Tells it.
pub fn tell(answer: &mut Answer, index: Revision) {
    let Revision(number) = index;
    let text = STANDARD.encode(format!("v1:keyfold:{number}:{number}:00"));
    if let Ok(value) = HeaderValue::from_str(&text) {
        answer.headers_mut().insert(INDEX, value);
    }
}

fn parse(text: &[u8]) -> Option<Revision> {
    let text = STANDARD.decode(text.trim_ascii()).ok()?;
    let text = String::from_utf8(text).ok()?;
    let mut pieces = text.split(':');
    let (version, _cluster) = (pieces.next()?, pieces.next()?);
    let (own, of_all, tag) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if version != "v1" || own != of_all || tag.is_empty() || pieces.next().is_some() {
        return None;
    }
    own.parse().ok().map(Revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::outgoing::Outgoing;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(INDEX, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn what_was_told_is_read() {
        let mut answer = Answer::new(Outgoing::default());
        tell(&mut answer, Revision(4711));
        assert_eq!(seen(answer.headers()).ok().unwrap(), Some(Revision(4711)));
        assert_eq!(seen(&HeaderMap::new()).ok().unwrap(), None);
    }

    #[test]
    fn the_newest_counts_and_nonsense_is_refused() {
        let text = |index: u64| STANDARD.encode(format!("v1:c:{index}:{index}:ab"));
        let (old, new) = (text(5), text(9));
        assert_eq!(
            seen(&headers(&[&old, &new])).ok().unwrap(),
            Some(Revision(9))
        );
        let wrong = ["", "v1:c:5:5:ab", "AAAA"].map(str::to_owned);
        let odd = [
            "v2:c:5:5:ab",
            "v1:c:5:6:ab",
            "v1:c:-5:-5:ab",
            "v1:c:5:5:",
            "v1:c:5:5:ab:x",
        ];
        for wrong in wrong
            .into_iter()
            .chain(odd.map(|text| STANDARD.encode(text)))
        {
            assert!(seen(&headers(&[&wrong])).is_err(), "{wrong}");
        }
    }
}
