//! Keys that lie in devices, a folder for each kind of device.

pub mod pkcs11;
