//! The registers that tell what the machine was started with.

use std::fmt;

use keyfold_core::ports::seal::{SealError, SettingError};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{PcrSelectionList, PcrSlot};

use super::fault;

/// How many there are.
const COUNT: u32 = 24;

/// Some registers of one bank; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pcrs {
    bank: Bank,
    /// Bit by number.
    mask: u32,
}

/// The hash of a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bank {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Bank {
    /// With the name, and the byte that stands for it in a wrap.
    const ALL: [(Self, &str, u8); 4] = [
        (Self::Sha1, "sha1", 1),
        (Self::Sha256, "sha256", 2),
        (Self::Sha384, "sha384", 3),
        (Self::Sha512, "sha512", 4),
    ];

    fn algorithm(self) -> HashingAlgorithm {
        match self {
            Self::Sha1 => HashingAlgorithm::Sha1,
            Self::Sha256 => HashingAlgorithm::Sha256,
            Self::Sha384 => HashingAlgorithm::Sha384,
            Self::Sha512 => HashingAlgorithm::Sha512,
        }
    }
}

impl Pcrs {
    /// As `pcrs` (`0,2,7`, or with `+`) and `pcr_bank` say; none where none is named.
    pub(super) fn read(
        numbers: Option<&str>,
        bank: Option<&str>,
    ) -> Result<Option<Self>, SettingError> {
        let bank = bank.unwrap_or("sha256").to_ascii_lowercase();
        let named = Bank::ALL.iter().find(|row| row.1 == bank);
        let bank = named.map(|row| row.0).ok_or_else(|| {
            SettingError::new("pcr_bank", "has to be sha1, sha256, sha384 or sha512")
        })?;
        let Some(numbers) = numbers else {
            return Ok(None);
        };
        let mut mask = 0;
        for number in numbers.split([',', '+']) {
            let number: Option<u32> = number.trim().parse().ok();
            let wrong = || SettingError::new("pcrs", "has to be numbers from 0 to 23, like 0,2,7");
            mask |= 1 << number.filter(|number| *number < COUNT).ok_or_else(wrong)?;
        }
        Ok(Some(Self { bank, mask }))
    }

    /// Bank and registers; all zero where there are none.
    pub(super) fn encode(pcrs: Option<Self>) -> [u8; 4] {
        let Some(Self { bank, mask }) = pcrs else {
            return [0; 4];
        };
        let row = Bank::ALL.iter().find(|row| row.0 == bank);
        let byte = row.map_or(0, |row| row.2);
        (u32::from(byte) << COUNT | mask).to_be_bytes()
    }

    /// What [`Self::encode`] made; nothing where it did not.
    pub(super) fn decode(bytes: [u8; 4]) -> Option<Option<Self>> {
        let word = u32::from_be_bytes(bytes);
        let (byte, mask) = (word >> COUNT, word & ((1 << COUNT) - 1));
        if word == 0 {
            return Some(None);
        }
        let row = Bank::ALL.iter().find(|row| u32::from(row.2) == byte)?;
        (mask != 0).then_some(Some(Self { bank: row.0, mask }))
    }

    /// As the TPM takes them.
    pub(super) fn selection(self) -> Result<PcrSelectionList, SealError> {
        let slots: Result<Vec<_>, _> = self
            .numbers()
            .map(|number| PcrSlot::try_from(1_u32 << number))
            .collect();
        let list = slots.and_then(|slots| {
            PcrSelectionList::builder()
                .with_selection(self.bank.algorithm(), &slots)
                .build()
        });
        list.map_err(|error| fault::of(&error))
    }

    /// Whether all of them are among those of a TPM. It takes one that is not for nothing: what is
    /// bound to it is bound to nothing.
    pub(super) fn are_in(self, there: &PcrSelectionList) -> bool {
        let mut banks = there.get_selections().iter();
        let bank = banks.find(|bank| bank.hashing_algorithm() == self.bank.algorithm());
        let known = bank.map_or(0, |bank| {
            let slots = bank.selected();
            slots
                .into_iter()
                .map(u32::from)
                .fold(0, |all, bit| all | bit)
        });
        self.mask & !known == 0
    }

    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..COUNT).filter(move |number| self.mask >> number & 1 == 1)
    }
}

impl fmt::Display for Pcrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = Bank::ALL.iter().find(|row| row.0 == self.bank);
        let numbers: Vec<_> = self.numbers().map(|number| number.to_string()).collect();
        write!(f, "{}:{}", row.map_or("", |row| row.1), numbers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(numbers: &str, bank: Option<&str>) -> Result<Option<Pcrs>, String> {
        Pcrs::read(Some(numbers), bank).map_err(|error| error.to_string())
    }

    #[test]
    fn spellings() {
        for (numbers, bank, shown) in [
            ("7", None, "sha256:7"),
            ("7, 0,2", Some("SHA1"), "sha1:0,2,7"),
            ("7+23", Some("sha384"), "sha384:7,23"),
        ] {
            let pcrs = read(numbers, bank).unwrap().unwrap();
            assert_eq!(pcrs.to_string(), shown);
            assert_eq!(Pcrs::decode(Pcrs::encode(Some(pcrs))), Some(Some(pcrs)));
        }
        assert_eq!(Pcrs::read(None, None).unwrap(), None);
        assert_eq!(Pcrs::decode(Pcrs::encode(None)), Some(None));
    }

    #[test]
    fn only_what_the_tpm_has_binds() {
        let of = |numbers, bank| read(numbers, Some(bank)).unwrap().unwrap();
        let there = of("0,1,7", "sha256").selection().unwrap();
        assert!(of("7,0", "sha256").are_in(&there));
        for (numbers, bank) in [("7,8", "sha256"), ("7", "sha1")] {
            assert!(!of(numbers, bank).are_in(&there), "{bank}:{numbers}");
        }
    }

    #[test]
    fn mistakes() {
        for numbers in ["24", "a", "1,,2", "-1", "7;8"] {
            let error = read(numbers, None).unwrap_err();
            assert!(error.starts_with("\"pcrs\" has to be numbers"), "{error}");
        }
        let error = read("7", Some("md5")).unwrap_err();
        assert!(error.starts_with("\"pcr_bank\" has to be"), "{error}");
        for bytes in [[0, 0, 0, 1], [2, 0, 0, 0], [9, 0, 0, 1]] {
            assert_eq!(Pcrs::decode(bytes), None);
        }
    }
}
