use keyfold_secret::Secret;

fn print(it: &Secret<String>) {
    println!("{it:?}");
}

fn main() {}
