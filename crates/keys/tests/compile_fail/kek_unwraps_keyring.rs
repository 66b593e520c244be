use keyfold_keys::{Keyring, Kek, Wrapped, Wraps};

fn open(kek: &Kek, wrapped: &Wrapped<Keyring>) {
    let _ = kek.unwrap(wrapped, b"core/keyring");
}

fn main() {}
