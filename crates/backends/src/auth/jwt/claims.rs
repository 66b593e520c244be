//! The registered claims (RFC 7519): who issued a token, for whom, and when it holds. And how any
//! other claim is found.

use keyfold_core::clock::Time;
use serde_json::Value;

use super::token::Claims;

/// Seconds that are forgiven where a role says nothing: about clocks, and about ends.
const SKEW: i64 = 60;
const LEEWAY: i64 = 150;

/// What the registered claims have to say. Empty texts and lists demand nothing.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
    pub(super) audiences: &'a [String],
    pub(super) leeway: Leeway,
}

/// Seconds that are forgiven, as a role has them: zero stands for the default, less for none.
#[derive(Clone, Copy, Default)]
pub(super) struct Leeway {
    pub(super) expiration: i64,
    pub(super) not_before: i64,
    pub(super) clock_skew: i64,
}

/// Checks the registered claims; the error says which does not hold.
pub(super) fn check(claims: &Claims, expected: &Expected<'_>, now: Time) -> Result<(), String> {
    check_times(claims, expected.leeway, now)?;
    if !expected.issuer.is_empty() && text(claims, "iss")? != Some(expected.issuer) {
        return Err("invalid issuer (iss) claim".to_owned());
    }
    // It has to be a string even where none is expected.
    let subject = text(claims, "sub")?;
    if !expected.subject.is_empty() && subject != Some(expected.subject) {
        return Err("invalid subject (sub) claim".to_owned());
    }
    let audiences = audiences(claims)?;
    let meant = |audience: &&str| expected.audiences.iter().any(|e| e == audience);
    if !expected.audiences.is_empty() && !audiences.iter().any(meant) {
        return Err(
            "invalid audience (aud) claim: audience claim does not match any expected audience"
                .to_owned(),
        );
    }
    Ok(())
}

/// For whom the token is.
pub(super) fn audiences(claims: &Claims) -> Result<Vec<&str>, String> {
    let wrong = || "the audience (aud) claim is neither a string nor a list of them".to_owned();
    match claims.get("aud") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(all)) => all.iter().map(|v| v.as_str().ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

/// A claim by its name, or by a JSON pointer, which begins with a slash.
pub(super) fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
    let mut parts = pointer.split('/').map(unescape);
    let first = claims.get(&parts.next()?)?;
    parts.try_fold(first, |value, part| match value {
        Value::Object(members) => members.get(&part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

fn check_times(claims: &Claims, leeway: Leeway, now: Time) -> Result<(), String> {
    let or = |own: i64, default: i64| match own {
        0 => default,
        own => own.max(0),
    };
    let skew = or(leeway.clock_skew, SKEW);
    let (expiration, not_before) = (or(leeway.expiration, LEEWAY), or(leeway.not_before, LEEWAY));
    let [issued, begin, end] = [
        moment(claims, "iat")?,
        moment(claims, "nbf")?,
        moment(claims, "exp")?,
    ];
    // What is absent follows from the others, and the leeway is then all it has.
    let (begin, end) = match (issued, begin, end) {
        (None, None, None) => {
            return Err(
                "no issued at (iat), not before (nbf), or expiration time (exp) claims in token"
                    .to_owned(),
            );
        }
        (None, None, Some(end)) => (
            end.saturating_sub(not_before),
            end.saturating_add(expiration),
        ),
        (issued, begin, end) => {
            let start = issued.max(begin).unwrap_or(0);
            let begin = begin.map_or_else(
                || issued.unwrap_or(0),
                |begin| begin.saturating_sub(not_before),
            );
            (begin, end.unwrap_or(start).saturating_add(expiration))
        }
    };
    let now = i64::try_from(now.secs()).unwrap_or(i64::MAX);
    if now > end.saturating_add(skew) {
        return Err("invalid expiration time (exp) claim: token is expired".to_owned());
    }
    if now < begin.saturating_sub(skew) {
        return Err("invalid not before (nbf) claim: token not yet valid".to_owned());
    }
    if issued.is_some_and(|issued| now < issued.saturating_sub(skew)) {
        return Err("invalid issued at (iat) claim: token issued in the future".to_owned());
    }
    Ok(())
}

/// Seconds since 1970, without their fraction.
fn moment(claims: &Claims, name: &str) -> Result<Option<i64>, String> {
    let wrong = || format!("claim \"{name}\" is not a number of seconds since 1970");
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(secs) => Ok(Some(secs)),
            None => {
                let secs = number.as_f64().filter(|secs| secs.is_finite());
                // A cast of a float ends at the bounds of the integer.
                #[expect(clippy::cast_possible_truncation, reason = "saturates, as it should")]
                secs.map(|secs| Some(secs as i64)).ok_or_else(wrong)
            }
        },
        Some(_) => Err(wrong()),
    }
}

fn text<'a>(claims: &'a Claims, name: &str) -> Result<Option<&'a str>, String> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("claim \"{name}\" is not a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_000_000;

    fn claims(value: Value) -> Claims {
        serde_json::from_value(value).unwrap()
    }

    fn times(value: Value, leeway: Leeway) -> Result<(), String> {
        let now = Time(NOW as u64 * 1_000_000_000);
        check_times(&claims(value), leeway, now)
    }

    #[test]
    fn leeways_move_the_ends_that_are_there() {
        let default = Leeway::default();
        let strict = Leeway {
            expiration: -1,
            not_before: -1,
            clock_skew: -1,
        };
        let expired = |by: i64| json!({"iat": NOW - 9000, "exp": NOW - by});
        assert!(times(expired(0), strict).is_ok());
        assert!(times(expired(1), strict).is_err());
        assert!(times(expired(SKEW + LEEWAY), default).is_ok());
        assert!(times(expired(SKEW + LEEWAY + 1), default).is_err());
        let long = Leeway {
            expiration: 5000,
            ..strict
        };
        assert!(times(expired(5000), long).is_ok() && times(expired(5001), long).is_err());
        let early = |by: i64| json!({"nbf": NOW + by, "exp": NOW + 9000});
        assert!(times(early(SKEW + LEEWAY), default).is_ok());
        assert!(times(early(SKEW + LEEWAY + 1), default).is_err());
        assert!(times(early(1), strict).is_err());
        let future = |by: i64| json!({"iat": NOW + by, "nbf": NOW, "exp": NOW + 9000});
        assert!(times(future(SKEW), default).is_ok() && times(future(SKEW + 1), default).is_err());
    }

    #[test]
    fn what_is_absent_follows_from_the_others() {
        let default = Leeway::default();
        assert!(times(json!({}), default).is_err());
        assert!(times(json!({"iat": NOW}), default).is_ok());
        assert!(times(json!({"iat": NOW - LEEWAY - SKEW - 1}), default).is_err());
        assert!(times(json!({"nbf": NOW}), default).is_ok());
        assert!(times(json!({"exp": NOW + 10}), default).is_ok());
        assert!(times(json!({"exp": NOW + 9000}), default).is_err());
        assert!(times(json!({"exp": "soon"}), default).is_err());
        assert!(times(json!({"iat": NOW, "exp": 1e300}), default).is_ok());
        assert!(times(json!({"iat": NOW, "exp": NOW as f64 + 0.5}), default).is_ok());
    }

    #[test]
    fn issuer_subject_and_audience_have_to_be_those_expected() {
        let token = claims(json!({"iss": "i", "sub": "s", "aud": ["a", "b"], "iat": NOW}));
        let now = Time(NOW as u64 * 1_000_000_000);
        let ask = |issuer, subject, audience: &str| {
            let audiences = [audience.to_owned()];
            let expected = Expected {
                issuer,
                subject,
                audiences: if audience.is_empty() { &[] } else { &audiences },
                leeway: Leeway::default(),
            };
            check(&token, &expected, now)
        };
        assert!(ask("", "", "").is_ok() && ask("i", "s", "b").is_ok());
        assert!(
            ask("x", "", "").is_err() && ask("", "x", "").is_err() && ask("", "", "x").is_err()
        );
        for odd in [
            json!({"sub": 5, "iat": NOW}),
            json!({"aud": [5], "iat": NOW}),
        ] {
            let expected = Expected {
                issuer: "",
                subject: "",
                audiences: &[],
                leeway: Leeway::default(),
            };
            assert!(check(&claims(odd), &expected, now).is_err());
        }
    }

    #[test]
    fn pointers_reach_into_claims() {
        let claims = claims(json!({"a": {"b/c": [1, {"~": 2}]}, "/x": 3}));
        assert_eq!(find(&claims, "/a/b~1c/0"), Some(&json!(1)));
        assert_eq!(find(&claims, "/a/b~1c/1/~0"), Some(&json!(2)));
        assert_eq!(find(&claims, "/x"), None);
        assert_eq!(find(&claims, "/a/none"), None);
        assert_eq!(find(&claims, "a"), claims.get("a"));
    }
}
