//! DER (X.690), as far as keys and signatures need it: a writer of elements and a reader that
//! takes no byte on trust.

use crate::error::Error;

/// Tags that are written and read here.
pub mod tag {
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BITS: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTETS: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// `[0]`, primitive.
    pub const FIRST_BARE: u8 = 0x80;
    /// `[0]`, constructed.
    pub const FIRST: u8 = 0xa0;
    /// `[1]`, constructed.
    pub const SECOND: u8 = 0xa1;
}

const MALFORMED: Error = Error::Malformed("DER");

/// One element.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let length = length.get(zeros..).unwrap_or_default();
    let mut out = Vec::with_capacity(2 + length.len() + content.len());
    out.push(tag);
    match content.len() {
        0..128 => out.push(length.first().copied().unwrap_or_default()),
        _ => {
            // A length has eight bytes at most.
            out.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            out.extend_from_slice(length);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of elements.
pub fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    element(tag::SEQUENCE, &elements.concat())
}

/// A whole number that is not negative, from big-endian bytes.
pub fn integer(number: &[u8]) -> Vec<u8> {
    let number = strip(number);
    let mut content = Vec::with_capacity(number.len() + 1);
    if number.first().is_none_or(|first| *first >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(number);
    element(tag::INTEGER, &content)
}

/// A bit string of whole bytes.
pub fn bits(bytes: &[u8]) -> Vec<u8> {
    element(tag::BITS, &[&[0], bytes].concat())
}

/// A number without the zeros before it.
pub fn strip(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Elements that are read one after the other.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, which has this tag.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for another tag, and for a length that is not in its shortest form or
    /// beyond the end.
    pub fn take(&mut self, tag: u8) -> Result<&'a [u8], Error> {
        let (found, rest) = self.0.split_first().ok_or(MALFORMED)?;
        let (first, rest) = rest.split_first().ok_or(MALFORMED)?;
        if *found != tag {
            return Err(MALFORMED);
        }
        let (length, rest) = match *first {
            short @ ..=0x7f => (usize::from(short), rest),
            0x81 => {
                let (length, rest) = rest.split_first().ok_or(MALFORMED)?;
                (usize::from(*length), rest)
            }
            0x82 => {
                let (length, rest) = rest.split_first_chunk::<2>().ok_or(MALFORMED)?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            _ => return Err(MALFORMED),
        };
        let shortest = match *first {
            0x81 => length >= 0x80,
            0x82 => length >= 0x100,
            _ => true,
        };
        if !shortest {
            return Err(MALFORMED);
        }
        let (content, rest) = rest.split_at_checked(length).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(content)
    }

    /// The elements inside the next one, a sequence.
    ///
    /// # Errors
    ///
    /// As [`Reader::take`].
    pub fn sequence(&mut self) -> Result<Self, Error> {
        self.take(tag::SEQUENCE).map(Self)
    }

    /// A whole number that is not negative: big-endian, without zeros before it.
    ///
    /// # Errors
    ///
    /// As [`Reader::take`]; also where it is negative or longer than it need be.
    pub fn integer(&mut self) -> Result<&'a [u8], Error> {
        match self.take(tag::INTEGER)? {
            [0] => Ok(&[]),
            [0, next, ..] if *next < 0x80 => Err(MALFORMED),
            [0, rest @ ..] => Ok(rest),
            [first, ..] if *first >= 0x80 => Err(MALFORMED),
            [] => Err(MALFORMED),
            number => Ok(number),
        }
    }

    /// A bit string of whole bytes.
    ///
    /// # Errors
    ///
    /// As [`Reader::take`]; also where it ends within a byte.
    pub fn bits(&mut self) -> Result<&'a [u8], Error> {
        match self.take(tag::BITS)? {
            [0, rest @ ..] => Ok(rest),
            _ => Err(MALFORMED),
        }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when something is.
    pub fn end(self) -> Result<(), Error> {
        match self.0 {
            [] => Ok(()),
            _ => Err(MALFORMED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 127, 128, 255, 256, 65_535] {
            let written = element(tag::OCTETS, &vec![7; len]);
            let mut reader = Reader::new(&written);
            assert_eq!(reader.take(tag::OCTETS).unwrap(), vec![7; len]);
            reader.end().unwrap();
        }
        for number in [&[][..], &[1], &[0x7f], &[0x80], &[0, 0x80], &[0xff; 300]] {
            let written = sequence(&[&integer(number), &bits(number)]);
            let mut inner = Reader::new(&written).sequence().unwrap();
            assert_eq!(inner.integer().unwrap(), strip(number));
            assert_eq!(inner.bits().unwrap(), number);
            inner.end().unwrap();
        }
    }

    #[test]
    fn forms_that_are_not_the_shortest() {
        for bytes in [
            &[2, 0][..],
            &[2, 2, 0, 1],
            &[2, 1, 0x80],
            &[2, 0x81, 1, 1],
            &[2, 0x82, 0, 1, 1],
            &[2, 2, 1],
            &[2, 0x80, 0, 0],
            &[],
        ] {
            assert!(Reader::new(bytes).integer().is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            let _ = reader.clone().sequence().and_then(|mut inner| inner.integer().map(drop));
            while let Some(tag) = reader.peek() {
                if reader.take(tag).is_err() {
                    break;
                }
            }
        }
    }
}
