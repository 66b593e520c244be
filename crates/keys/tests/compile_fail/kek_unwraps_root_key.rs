use keyfold_keys::{Kek, RootKey, Wrapped, Wraps};

fn open(kek: &Kek, wrapped: &Wrapped<RootKey>) {
    let _ = kek.unwrap(wrapped, b"core/root");
}

fn main() {}
