//! Who somebody is: one folder for each auth method.

mod former;
pub mod userpass;
