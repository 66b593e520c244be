//! The field GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (0x11B), in constant time.
//!
//! No tables and no branches: a lookup or a jump that depends on a secret byte can be seen in the
//! cache by another process.

use zeroize::Zeroize;

/// An element of the field. No `PartialEq`: shares are compared as bytes, in constant time.
#[derive(Clone, Copy, Default, Zeroize)]
pub(crate) struct Element(pub(crate) u8);

impl Element {
    pub(crate) const ONE: Self = Self(1);

    /// Addition, and subtraction, which is the same.
    pub(crate) const fn add(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    /// Multiplication: eight steps of shift and add, each added or not by a mask.
    pub(crate) const fn mul(self, other: Self) -> Self {
        let (mut a, mut b, mut product) = (self.0, other.0, 0);
        let mut step = 0;
        while step < 8 {
            product ^= a & mask(b & 1);
            a = (a << 1) ^ (0x1B & mask(a >> 7));
            b >>= 1;
            step += 1;
        }
        Self(product)
    }

    /// The inverse, as x^254; that of 0 is 0.
    pub(crate) const fn invert(self) -> Self {
        // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128
        let mut square = self.mul(self);
        let mut product = square;
        let mut step = 0;
        while step < 6 {
            square = square.mul(square);
            product = product.mul(square);
            step += 1;
        }
        product
    }
}

/// All ones for 1, zeros for 0.
const fn mask(bit: u8) -> u8 {
    // Stops the optimiser from seeing that `bit` is one bit and making a branch of it.
    std::hint::black_box(0_u8.wrapping_sub(bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplication the slow way: the product as a polynomial, then its remainder.
    fn reference(a: u8, b: u8) -> u8 {
        let mut product: u16 = 0;
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                product ^= u16::from(a) << bit;
            }
        }
        for bit in (8..16).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0x11B << (bit - 8);
            }
        }
        u8::try_from(product).unwrap()
    }

    #[test]
    fn all_products() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(Element(a).mul(Element(b)).0, reference(a, b), "{a} * {b}");
            }
        }
    }

    #[test]
    fn all_inverses() {
        assert_eq!(Element(0).invert().0, 0);
        for a in 1..=255 {
            assert_eq!(Element(a).mul(Element(a).invert()).0, 1, "{a}");
        }
    }
}
