use keyfold_keys::RootKey;

fn bytes(key: &RootKey) -> &[u8] {
    key.as_ref()
}

fn main() {}
