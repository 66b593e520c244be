//! Splitting a secret so that any `threshold` of its shares give it back and fewer tell nothing
//! (Shamir), byte by byte over GF(2^8).
//!
//! A share is the `y` byte of each secret byte, then one `x` byte, its number. This is the form that
//! Vault and OpenBao hand out.

use std::num::NonZeroU8;

use keyfold_secret::Secret;
use zeroize::Zeroizing;

use crate::error::ShareError;
use crate::gf256::Element;
use crate::rng;

/// Splits `secret`, of any length, into `shares` parts, of which `threshold` give it back. Their
/// numbers are a random choice from 1 to 255.
///
/// # Errors
///
/// [`ShareError::Counts`] unless 2 ≤ `threshold` ≤ `shares`.
pub fn split(secret: &[u8], shares: u8, threshold: u8) -> Result<Vec<Secret<Vec<u8>>>, ShareError> {
    if threshold < 2 || threshold > shares {
        return Err(ShareError::Counts { shares, threshold });
    }
    let polynomials = Polynomials::random(secret, threshold);
    Ok(shuffled_numbers()
        .into_iter()
        .take(usize::from(shares))
        .map(|x| polynomials.at(x))
        .collect())
}

/// The secret behind `shares`, each `y` bytes then `x`. There is no telling whether it is the right
/// one: with too few shares, or a changed one, it is some other value.
///
/// # Errors
///
/// [`ShareError`] other than `Counts` when the shares can't be of one set.
pub fn combine(shares: &[&[u8]]) -> Result<Secret<Vec<u8>>, ShareError> {
    Ok(Points::new(shares)?.at(0))
}

/// The share with the number `x` of the set that `shares`, as many as its threshold, define. With
/// too few of them it is a share of another set.
///
/// # Errors
///
/// As [`combine`]; [`ShareError::Zero`] for the number 0, [`ShareError::Duplicate`] for one of
/// `shares`.
pub fn further(shares: &[&[u8]], x: u8) -> Result<Secret<Vec<u8>>, ShareError> {
    let points = Points::new(shares)?;
    if x == 0 {
        return Err(ShareError::Zero);
    }
    if points.all.iter().any(|point| point.x == x) {
        return Err(ShareError::Duplicate);
    }
    let mut share = points.at(x);
    share.expose_mut().push(x);
    Ok(share)
}

/// One polynomial for each byte of the secret, which is its value at 0.
struct Polynomials {
    /// `threshold` coefficients for each byte, that of the highest power first. All of them are
    /// drawn from the whole field: a leading 0 is as likely as any other, or `threshold - 1` shares
    /// would rule values out.
    coefficients: Zeroizing<Vec<u8>>,
    threshold: usize,
}

impl Polynomials {
    fn random(secret: &[u8], threshold: u8) -> Self {
        let threshold = usize::from(threshold);
        let mut coefficients = Zeroizing::new(vec![0; secret.len() * threshold]);
        rng::fill(&mut coefficients);
        for (polynomial, &byte) in coefficients.chunks_exact_mut(threshold).zip(secret) {
            if let Some(constant) = polynomial.last_mut() {
                *constant = byte;
            }
        }
        Self {
            coefficients,
            threshold,
        }
    }

    /// The share with the number `x`.
    fn at(&self, x: u8) -> Secret<Vec<u8>> {
        let polynomials = self.coefficients.chunks_exact(self.threshold);
        let mut share = Vec::with_capacity(polynomials.len() + 1);
        share.extend(polynomials.map(|polynomial| {
            let horner = |sum: Element, &c: &u8| sum.mul(Element(x)).add(Element(c));
            polynomial.iter().fold(Element::default(), horner).0
        }));
        share.push(x);
        Secret::new(share)
    }
}

/// Shares that were found to be of one form: different numbers, equal lengths.
struct Points<'a> {
    all: Vec<Point<'a>>,
    len: usize,
}

struct Point<'a> {
    x: u8,
    ys: &'a [u8],
}

impl<'a> Points<'a> {
    fn new(shares: &[&'a [u8]]) -> Result<Self, ShareError> {
        let [first, _, ..] = shares else {
            return Err(ShareError::TooFew);
        };
        let mut seen = [false; 256];
        let mut all = Vec::with_capacity(shares.len());
        for share in shares {
            if share.len() != first.len() {
                return Err(ShareError::UnequalLengths);
            }
            let Some((&x, ys)) = share.split_last().filter(|(_, ys)| !ys.is_empty()) else {
                return Err(ShareError::Length);
            };
            if x == 0 {
                return Err(ShareError::Zero);
            }
            // Which numbers take part is no secret; what stands beside them is.
            match seen.get_mut(usize::from(x)) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(ShareError::Duplicate),
            }
            all.push(Point { x, ys });
        }
        Ok(Self {
            all,
            len: first.len() - 1,
        })
    }

    /// The values of the polynomials at `x`, with room for one more byte.
    fn at(&self, x: u8) -> Secret<Vec<u8>> {
        let mut values = Vec::with_capacity(self.len + 1);
        values.resize(self.len, 0);
        let mut values = Secret::new(values);
        for (point, weight) in self.all.iter().zip(self.weights_at(x)) {
            for (byte, &y) in values.expose_mut().iter_mut().zip(point.ys) {
                *byte = Element(*byte).add(weight.mul(Element(y))).0;
            }
        }
        values
    }

    /// Lagrange's weights for the value at `at`: of each share, the product of
    /// `(at - x) / (own x - x)` over the numbers `x` of all other shares.
    fn weights_at(&self, at: u8) -> impl Iterator<Item = Element> {
        self.all.iter().map(move |own| {
            let others = self.all.iter().filter(|other| other.x != own.x);
            let (above, below) =
                others.fold((Element::ONE, Element::ONE), |(above, below), other| {
                    let x = Element(other.x);
                    (
                        above.mul(x.add(Element(at))),
                        below.mul(x.add(Element(own.x))),
                    )
                });
            above.mul(below.invert())
        })
    }
}

/// The numbers from 1 to 255 in random order (Fisher and Yates).
fn shuffled_numbers() -> [u8; 255] {
    let mut numbers = [0; 255];
    for (number, value) in numbers.iter_mut().zip(1..=u8::MAX) {
        *number = value;
    }
    let mut left = u8::MAX;
    while let Some(limit) = NonZeroU8::new(left) {
        left -= 1;
        numbers.swap(usize::from(left), usize::from(rng::below(limit)));
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    fn combined(shares: &[Vec<u8>]) -> Result<Vec<u8>, ShareError> {
        let shares: Vec<&[u8]> = shares.iter().map(Vec::as_slice).collect();
        combine(&shares).map(Secret::into_inner)
    }

    fn split_plain(secret: &[u8], shares: u8, threshold: u8) -> Vec<Vec<u8>> {
        let shares = split(secret, shares, threshold).unwrap();
        shares.into_iter().map(Secret::into_inner).collect()
    }

    #[test]
    fn a_further_share_is_of_the_set() {
        let secret = [7; 32];
        let all = split_plain(&secret, 5, 3);
        let some: Vec<&[u8]> = all[..3].iter().map(Vec::as_slice).collect();
        // What was handed out already comes out the same.
        let known = all[4].last().copied().unwrap();
        assert_eq!(further(&some, known).unwrap().into_inner(), all[4]);
        let fresh = (1..=u8::MAX).find(|x| all.iter().all(|share| share.last() != Some(x)));
        let fresh = further(&some, fresh.unwrap()).unwrap().into_inner();
        assert_eq!(
            combined(&[fresh, all[3].clone(), all[1].clone()]),
            Ok(secret.to_vec())
        );
        let own = all[0].last().copied().unwrap();
        assert_eq!(further(&some, own).err(), Some(ShareError::Duplicate));
        assert_eq!(further(&some, 0).err(), Some(ShareError::Zero));
        assert_eq!(further(&some[..1], 9).err(), Some(ShareError::TooFew));
    }

    #[test]
    fn golden_subsets_give_the_key() {
        let golden = load("shamir.json");
        let mut subsets = 0;
        for set in list(&golden, "sets")
            .iter()
            .filter(|set| set["secret_threshold"] != 1)
        {
            let shares: Vec<Vec<u8>> = list(set, "keys_hex")
                .iter()
                .map(|share| hex::decode(share.as_str().unwrap()).unwrap())
                .collect();
            for subset in list(set, "subsets_that_give_the_key") {
                let chosen: Vec<Vec<u8>> = subset
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|index| shares[usize::try_from(index.as_u64().unwrap()).unwrap()].clone())
                    .collect();
                assert_eq!(
                    combined(&chosen),
                    Ok(bytes(set, "unseal_key_hex")),
                    "{}",
                    set["name"]
                );
                subsets += 1;
            }
        }
        assert_eq!(subsets, 31);
    }

    #[test]
    fn golden_wrong_combines() {
        let golden = load("shamir.json");
        let mut cases = 0;
        for case in list(&golden, "sets")
            .iter()
            .filter_map(|set| set["other_combines"].as_array())
        {
            for case in case {
                let shares: Vec<Vec<u8>> = list(case, "shares")
                    .iter()
                    .map(|share| hex::decode(share.as_str().unwrap()).unwrap())
                    .collect();
                let expected = match case["error"].as_str() {
                    Some("duplicate x") => Err(ShareError::Duplicate),
                    Some("unequal lengths") => Err(ShareError::UnequalLengths),
                    Some("fewer than two parts") => Err(ShareError::TooFew),
                    Some(other) => panic!("{other}"),
                    None => Ok(bytes(case, "combined")),
                };
                assert_eq!(combined(&shares), expected, "{}", case["why"]);
                cases += 1;
            }
        }
        assert_eq!(cases, 32);
    }

    #[test]
    fn impossible_counts() {
        for (shares, threshold) in [(0, 0), (1, 1), (2, 1), (1, 2), (5, 6), (255, 0)] {
            let refused = split(b"0123456789abcdef", shares, threshold).err();
            assert_eq!(refused, Some(ShareError::Counts { shares, threshold }));
        }
    }

    #[test]
    fn shares_that_no_split_makes() {
        assert_eq!(combined(&[]), Err(ShareError::TooFew));
        assert_eq!(combined(&[vec![], vec![]]), Err(ShareError::Length));
        assert_eq!(combined(&[vec![1], vec![2]]), Err(ShareError::Length));
        assert_eq!(combined(&[vec![7, 1], vec![9, 0]]), Err(ShareError::Zero));
        assert_eq!(
            combined(&[vec![7, 1], vec![9, 1]]),
            Err(ShareError::Duplicate)
        );
    }

    #[test]
    fn all_255_shares() {
        let shares = split_plain(b"secret", 255, 255);
        let mut numbers: Vec<u8> = shares.iter().map(|share| share[6]).collect();
        assert_ne!(
            numbers,
            (1..=255).collect::<Vec<u8>>(),
            "the numbers are shuffled"
        );
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=255).collect::<Vec<u8>>());
        assert_eq!(combined(&shares).unwrap(), b"secret");
    }

    /// A split that draws the leading coefficient from 1 to 255 lets whoever holds `threshold - 1`
    /// shares rule out one value of each byte: with threshold 2, that of his own `y`.
    #[test]
    fn a_leading_coefficient_may_be_zero() {
        let shares = split_plain(&[0x42; 8192], 2, 2);
        let equal = shares[0][..8192].iter().filter(|&&y| y == 0x42).count();
        // 32 are expected; none at all would come by chance once in 10^14 runs.
        assert!((1..200).contains(&equal), "{equal}");
    }

    fn split_and_choice() -> impl Strategy<Value = (Vec<u8>, Vec<Vec<u8>>, usize, Vec<usize>)> {
        (prop::collection::vec(any::<u8>(), 16..48), 2..=24_u8)
            .prop_flat_map(|(secret, shares)| (Just(secret), Just(shares), 2..=shares))
            .prop_flat_map(|(secret, shares, threshold)| {
                let parts = split_plain(&secret, shares, threshold);
                let indexes: Vec<usize> = (0..usize::from(shares)).collect();
                let threshold = usize::from(threshold);
                let chosen = subsequence(indexes, threshold).prop_shuffle();
                (Just(secret), Just(parts), Just(threshold), chosen)
            })
    }

    proptest! {
        #[test]
        fn threshold_shares_give_the_secret_and_fewer_do_not(
            (secret, parts, threshold, chosen) in split_and_choice()
        ) {
            let mut chosen: Vec<Vec<u8>> = chosen.iter().map(|&i| parts[i].clone()).collect();
            prop_assert_eq!(combined(&chosen).unwrap(), secret.clone());
            prop_assert_eq!(combined(&parts).unwrap(), secret.clone());
            chosen.pop();
            if threshold > 2 {
                prop_assert_ne!(combined(&chosen).unwrap(), secret);
            } else {
                prop_assert_eq!(combined(&chosen), Err(ShareError::TooFew));
            }
        }

        #[test]
        fn any_bytes_are_combined_or_refused(
            shares in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)
        ) {
            if let Ok(secret) = combined(&shares) {
                prop_assert_eq!(secret.len() + 1, shares[0].len());
            }
        }
    }
}
