use keyfold_keys::{Dek, Error, Wrapped, Wraps};

struct Own;

impl Wraps<Dek> for Own {
    type Context<'a> = ();

    fn wrap(&self, _: &Dek, (): ()) -> Result<Wrapped<Dek>, Error> {
        Err(Error::WrongKey)
    }

    fn unwrap(&self, _: &Wrapped<Dek>, (): ()) -> Result<Dek, Error> {
        Err(Error::WrongKey)
    }
}

fn main() {}
