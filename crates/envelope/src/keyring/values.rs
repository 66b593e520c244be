//! The values of columns under the DEKs of a keyring.

use std::sync::Arc;

use super::error::KeyringError;
use super::service::ServiceDeks;
use crate::cache::Load;
use crate::value::{ValueError, ValueKey, ValueKeys};

impl ServiceDeks {
    /// The key for new values, of so many uses and bytes.
    pub fn value_key(&self, load: Load) -> Result<Arc<ValueKey>, ValueError> {
        Ok(self.encrypting(load).map_err(failed)?.value_key())
    }
}

impl ValueKeys for ServiceDeks {
    fn key(&self, dek_no: u32) -> Result<Arc<ValueKey>, ValueError> {
        Ok(self.decrypting(dek_no).map_err(failed)?.value_key())
    }
}

fn failed(error: KeyringError) -> ValueError {
    match error {
        KeyringError::UnknownDek(dek_no) | KeyringError::Destroyed(dek_no) => {
            ValueError::UnknownDek(dek_no)
        }
        other => ValueError::Key(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::DekLimits;
    use super::super::tests::Bench;
    use super::*;
    use crate::value::{Place, dek_no, open_value, seal_value};

    const ONE: Load = Load { uses: 1, bytes: 5 };

    #[test]
    fn values_open_by_the_number_they_name_whatever_encrypts_now() {
        let bench = Bench::new(DekLimits::default());
        let deks = bench.process();
        let place = Place {
            table: "t",
            column: "c",
            key: b"1",
        };
        let mut sealed = Vec::new();
        for number in 1..=3 {
            for _ in 0..100 {
                let key = deks.value_key(ONE).unwrap();
                sealed.push(seal_value(&key, &place, b"value").unwrap());
            }
            assert_eq!(dek_no(sealed.last().unwrap()).unwrap(), number);
            deks.rotate().unwrap();
        }
        let reader = bench.process();
        bench.service.reset_calls();
        for value in &sealed {
            assert!(open_value(&reader, &place, value).unwrap().ct_eq(b"value"));
        }
        assert_eq!(bench.service.calls().unwrap, 3);
        deks.destroy(1).unwrap();
        let destroyed = open_value(&deks, &place, &sealed[0]);
        assert!(matches!(destroyed, Err(ValueError::UnknownDek(1))));
    }

    #[test]
    fn without_the_service_nothing_is_sealed_or_opened() {
        use crate::error::Error;
        use crate::key_service::ServiceError;
        let bench = Bench::new(DekLimits::default());
        bench.service.fail_with(Some(ServiceError::Sealed));
        let deks = bench.process();
        for refused in [deks.value_key(ONE).err(), deks.key(1).err()] {
            assert!(matches!(
                refused,
                Some(ValueError::Key(Error::Service(ServiceError::Sealed)))
            ));
        }
    }
}
