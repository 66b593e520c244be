use keyfold_keys::{Keyring, UnsealKey, Wraps};

fn main() {
    let _ = UnsealKey::generate().wrap(&Keyring::new("now"), b"core/keyring");
}
