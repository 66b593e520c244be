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
    let points = Points::new(shares)?;
    let mut secret = Secret::new(vec![0; points.len]);
    for (point, weight) in points.all.iter().zip(points.weights_at_zero()) {
        for (byte, &y) in secret.expose_mut().iter_mut().zip(point.ys) {
            *byte = Element(*byte).add(weight.mul(Element(y))).0;
        }
    }
    Ok(secret)
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

    /// Lagrange's weights for the value at 0: of each share, the product of `x / (x - own x)` over
    /// all other shares.
    fn weights_at_zero(&self) -> impl Iterator<Item = Element> {
        self.all.iter().map(|own| {
            let others = self.all.iter().filter(|other| other.x != own.x);
            let (above, below) =
                others.fold((Element::ONE, Element::ONE), |(above, below), other| {
                    let x = Element(other.x);
                    (above.mul(x), below.mul(x.add(Element(own.x))))
                });
            above.mul(below.invert())
        })
    }
}

/// The numbers from 1 to 255 in random order (Fisher and Yates).
fn shuffled_numbers() -> [u8; 255] {
    let mut numbers = [0; 255];
    for (number, value) in numbers.iter_mut().zip(1..) {
        *number = value;
    }
    let mut left = u8::MAX;
    while let Some(limit) = NonZeroU8::new(left) {
        left -= 1;
        numbers.swap(usize::from(left), usize::from(rng::below(limit)));
    }
    numbers
}
