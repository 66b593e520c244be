use keyfold_keys::RootKey;

fn print(it: &RootKey) {
    println!("{it:?}");
}

fn main() {}
