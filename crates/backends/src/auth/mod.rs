//! Who somebody is: one folder for each auth method.

pub mod approle;
mod former;
pub mod jwt;
mod name;
mod page;
pub mod userpass;
