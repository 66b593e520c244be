use keyfold_keys::Share;

fn print(it: &Share) {
    println!("{it:?}");
}

fn main() {}
