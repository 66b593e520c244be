use keyfold_keys::{Dek, RootKey, Wraps};

fn main() {
    let _ = RootKey::generate().wrap(&Dek::generate(), b"core/dek");
}
