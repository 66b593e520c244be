use keyfold_keys::Dek;

fn copy(key: &Dek) -> Dek {
    key.clone()
}

fn main() {}
