//! The settings of a TPM.

use std::path::PathBuf;
use std::str::FromStr;

use keyfold_core::ports::seal::{SettingError, Settings};
use keyfold_secret::Secret;
use tss_esapi::TctiNameConf;

use super::super::settings::{secret, text};
use super::pcrs::Pcrs;

/// The kernel's own resource manager, so that others may use the TPM, too.
const DEVICE: &str = "device:/dev/tpmrm0";

/// Which TPM, and what binds what it seals.
pub(super) struct Terms {
    pub tcti: TctiNameConf,
    /// Where it is a device of this machine.
    pub device: Option<PathBuf>,
    pub pcrs: Option<Pcrs>,
    /// The password of the owner hierarchy; mostly there is none.
    pub owner: Option<Secret<Vec<u8>>>,
}

impl Terms {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingError> {
        let tcti = text(settings, "tcti").unwrap_or(DEVICE);
        // A device without a path is the library's choice, which lets nobody else in.
        let tcti = if tcti == "device" { DEVICE } else { tcti };
        let device = tcti.strip_prefix("device:").map(PathBuf::from);
        let wrong = |_| {
            SettingError::new(
                "tcti",
                "has to be like device:/dev/tpmrm0, swtpm:host=127.0.0.1,port=2321 or tabrmd",
            )
        };
        let tcti = TctiNameConf::from_str(tcti).map_err(wrong)?;
        let owner = text(settings, "owner_auth")
            .map(|value| secret("owner_auth", value))
            .transpose()?;
        Ok(Self {
            tcti,
            device,
            pcrs: Pcrs::read(text(settings, "pcrs"), text(settings, "pcr_bank"))?,
            owner: owner.map(|found| Secret::new(found.bytes.expose().trim_ascii_end().to_vec())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(pairs: &[(&str, &str)]) -> Result<Terms, String> {
        let settings = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Terms::read(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_device_of_the_machine_where_nothing_is_said() {
        for pairs in [&[][..], &[("tcti", "device")]] {
            let terms = terms(pairs).ok().unwrap();
            assert_eq!(terms.device, Some(PathBuf::from("/dev/tpmrm0")));
            assert!(terms.pcrs.is_none() && terms.owner.is_none());
        }
        let soft = terms(&[("tcti", "swtpm:host=127.0.0.1,port=9"), ("owner_auth", "o")]);
        let soft = soft.ok().unwrap();
        assert!(soft.device.is_none() && soft.owner.is_some());
    }

    #[test]
    fn mistakes_are_named() {
        for (pair, wanted) in [
            (("tcti", "usb:1"), "\"tcti\" has to be like"),
            (("tcti", "swtpm:port=x"), "\"tcti\" has to be like"),
            (("pcrs", "7,24"), "\"pcrs\" has to be"),
            (
                ("owner_auth", "file:///nonexistent"),
                "\"owner_auth\" names",
            ),
        ] {
            let error = terms(&[pair]).err().unwrap();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
