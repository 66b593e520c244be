//! Who somebody is: one folder for each auth method.

mod former;
pub mod jwt;
mod name;
mod page;
pub mod userpass;
