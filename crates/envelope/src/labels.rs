//! Labels: the public part of an envelope's context, stored in clear in its prelude.

use crate::fields::{field, is_zero, put, span};

/// Bytes that the prelude has for labels.
pub(crate) const LABELS_LEN: usize = 192;

const SERVICE: u8 = 1;
const TENANT: u8 = 2;
const PURPOSE: u8 = 3;

/// What an inventory should know about a file without any key. Stored in clear, and bound to the
/// payload: a changed label fails the commitment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The service that the data belongs to.
    pub service: Option<String>,
    /// The tenant that the data belongs to.
    pub tenant: Option<String>,
    /// What the data is for.
    pub purpose: Option<String>,
}

/// Why labels do not fit the prelude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the labels need {0} bytes, the header has {LABELS_LEN}")]
pub struct LabelsError(usize);

impl Labels {
    /// The labels as `tag u8 | length u8 | UTF-8` entries in ascending order of tags, then zeros.
    pub(crate) fn encode(&self) -> Result<[u8; LABELS_LEN], LabelsError> {
        let entries = [
            (SERVICE, &self.service),
            (TENANT, &self.tenant),
            (PURPOSE, &self.purpose),
        ];
        let present = || {
            entries
                .iter()
                .filter_map(|(tag, text)| Some((*tag, text.as_ref()?)))
        };
        let needed = present()
            .map(|(_, text)| text.len().saturating_add(2))
            .sum::<usize>();
        if needed > LABELS_LEN {
            return Err(LabelsError(needed));
        }
        let mut out = [0u8; LABELS_LEN];
        let mut at = 0;
        for (tag, text) in present() {
            // At most LABELS_LEN - 2 = 190 bytes, so the length fits one byte.
            put(
                &mut out,
                at,
                &[
                    tag,
                    u8::try_from(text.len()).map_err(|_| LabelsError(needed))?,
                ],
            );
            put(&mut out, at.saturating_add(2), text.as_bytes());
            at = at.saturating_add(2).saturating_add(text.len());
        }
        Ok(out)
    }

    /// Reads entries. A tag this program does not know is passed over; `None` where the bytes are
    /// no list of entries.
    pub(crate) fn parse(block: &[u8; LABELS_LEN]) -> Option<Self> {
        let mut labels = Self::default();
        let mut at = 0usize;
        let mut last_tag = 0;
        while at < LABELS_LEN {
            let [tag] = field(block, at)?;
            if tag == 0 {
                return is_zero(block.get(at..)?).then_some(labels);
            }
            let [len] = field(block, at.checked_add(1)?)?;
            let text = std::str::from_utf8(span(block, at.checked_add(2)?, len.into())?).ok()?;
            if tag <= last_tag {
                return None;
            }
            match tag {
                SERVICE => labels.service = Some(text.to_owned()),
                TENANT => labels.tenant = Some(text.to_owned()),
                PURPOSE => labels.purpose = Some(text.to_owned()),
                _ => {}
            }
            last_tag = tag;
            at = at.checked_add(2)?.checked_add(len.into())?;
        }
        Some(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let labels = Labels {
            service: Some("payments".into()),
            tenant: None,
            purpose: Some("x".repeat(180)),
        };
        assert_eq!(Labels::parse(&labels.encode().unwrap()), Some(labels));
        assert_eq!(Labels::parse(&[0; LABELS_LEN]), Some(Labels::default()));
        // The entries may fill the block to its last byte.
        let full = Labels {
            tenant: Some("y".repeat(190)),
            ..Labels::default()
        };
        assert_eq!(Labels::parse(&full.encode().unwrap()), Some(full));
    }

    #[test]
    fn refuses_what_does_not_fit_or_is_no_list() {
        let long = Labels {
            service: Some("x".repeat(191)),
            ..Labels::default()
        };
        assert_eq!(long.encode(), Err(LabelsError(193)));
        for bytes in [
            &[0, 1][..],
            &[1, 2, 0xff, 0xfe],
            &[2, 0, 1, 0],
            &[1, 0, 1, 0],
            &[1, 255],
        ] {
            let mut block = [0u8; LABELS_LEN];
            block[..bytes.len()].copy_from_slice(bytes);
            assert_eq!(Labels::parse(&block), None, "{bytes:?}");
        }
    }

    #[test]
    fn passes_over_unknown_tags() {
        let mut block = [0u8; LABELS_LEN];
        block[..7].copy_from_slice(&[1, 1, b'a', 9, 2, b'b', b'c']);
        let labels = Labels::parse(&block).unwrap();
        assert_eq!(labels.service.as_deref(), Some("a"));
    }
}
