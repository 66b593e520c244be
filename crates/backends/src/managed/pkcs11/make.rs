//! Makes a key in a token: one that leaves it never.

use cryptoki::mechanism::Mechanism as Call;
use cryptoki::object::Attribute;
use keyfold_core::ports::managed::Use;
use keyfold_keys::der::{element, tag};
use keyfold_keys::rng;
use keyfold_keys::transit::ServiceKey;

use super::describe;
use super::key::Target;
use super::terms::Mechanism;
use crate::pkcs11::{Fault, Open, of};

/// Bytes of the id of a key that was given none.
const ID: usize = 16;
/// The usual public exponent of RSA.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// Makes the key that a record describes.
pub(super) fn make(target: &Target) -> Result<ServiceKey, Fault> {
    let stored = &target.stored;
    let label =
        target.named.label.as_ref().ok_or_else(|| {
            Fault::Refused("a key that is to be made needs a key_label".to_owned())
        })?;
    let id = target.named.id.clone();
    let id = id.unwrap_or_else(|| rng::bytes::<ID>().to_vec());
    let named = [
        Attribute::Token(true),
        Attribute::Label(label.clone().into_bytes()),
        Attribute::Id(id),
    ];
    let _alone = target.place.library.making();
    let open = Open::writable(&target.place)?;
    if let Some(made) = describe::find(&open, target)? {
        return Ok(made);
    }
    let session = &open.session;
    let made = match stored.mechanism {
        Mechanism::AesGcm => {
            let bits = if stored.key_bits == 0 {
                256
            } else {
                stored.key_bits
            };
            let mut template = kept(&named);
            template.push(Attribute::ValueLen(u64::from(bits / 8).into()));
            for what in [Use::Encrypt, Use::Decrypt] {
                template.push(may(what, stored.allows(what)));
            }
            session.generate_key(&Call::AesKeyGen, &template).map(drop)
        }
        Mechanism::Ecdsa => {
            let mut public = named.to_vec();
            public.push(Attribute::EcParams(curve(&stored.curve)?));
            public.push(may(Use::Verify, true));
            let mut private = kept(&named);
            private.push(may(Use::Sign, true));
            let pair = session.generate_key_pair(&Call::EccKeyPairGen, &public, &private);
            pair.map(drop)
        }
        Mechanism::RsaOaep | Mechanism::RsaPss | Mechanism::RsaPkcs1 => {
            if stored.key_bits == 0 {
                let what = "a key that is to be made needs key_bits";
                return Err(Fault::Refused(what.to_owned()));
            }
            let [with_public, with_private] = match stored.mechanism {
                Mechanism::RsaOaep => [Use::Encrypt, Use::Decrypt],
                _ => [Use::Verify, Use::Sign],
            };
            let mut public = named.to_vec();
            public.push(Attribute::ModulusBits(u64::from(stored.key_bits).into()));
            public.push(Attribute::PublicExponent(EXPONENT.to_vec()));
            public.push(may(with_public, true));
            let mut private = kept(&named);
            private.push(may(with_private, true));
            let pair = session.generate_key_pair(&Call::RsaPkcsKeyPairGen, &public, &private);
            pair.map(drop)
        }
    };
    made.map_err(|e| of(&e))?;
    let missing = || Fault::Away("the token does not show the key that it made".to_owned());
    describe::find(&open, target)?.ok_or_else(missing)
}

/// What keeps a key where it is.
fn kept(named: &[Attribute]) -> Vec<Attribute> {
    let kept = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ];
    named.iter().cloned().chain(kept).collect()
}

fn may(what: Use, may: bool) -> Attribute {
    match what {
        Use::Encrypt => Attribute::Encrypt(may),
        Use::Decrypt => Attribute::Decrypt(may),
        Use::Sign => Attribute::Sign(may),
        Use::Verify => Attribute::Verify(may),
    }
}

/// The curve's object identifier, as an element.
fn curve(name: &str) -> Result<Vec<u8>, Fault> {
    let oid: &[u8] = match name {
        "P256" => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        "P384" => &[0x2b, 0x81, 4, 0, 34],
        "P521" => &[0x2b, 0x81, 4, 0, 35],
        _ => {
            let what = "a key that is to be made needs a curve";
            return Err(Fault::Refused(what.to_owned()));
        }
    };
    Ok(element(tag::OID, oid))
}
