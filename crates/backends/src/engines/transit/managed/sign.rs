//! sign with keys in devices. What is signed is hashed here; the device pads and signs.
//!
//! Every signature is verified with the public half that the version was made with, before it is
//! given out: a device whose key is another one by now, or that failed, is told of.

use keyfold_core::error::Error;
use keyfold_core::managed::Named;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::managed::{Job, ManagedError};
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Block, Scheme, ServiceKey, signature_of};
use keyfold_secret::Secret;

use super::super::Transit;
use super::super::census::Kind;
use super::super::ciphers::Ciphers;
use super::super::inputs::Inputs;
use super::super::sign::{Signed, refused};
use super::data::next;
use super::device::{Ask, run};

pub(in super::super) async fn sign(
    transit: &Transit,
    call: &Call<'_>,
    inputs: &Inputs,
    ciphers: &mut Ciphers<'_>,
    version: u32,
    scheme: &Scheme,
) -> Result<Reply, Error> {
    let settings = ciphers.settings();
    let asks = inputs.list.iter().map(|input| {
        let bytes = input.bytes("missing input")?;
        input.context()?;
        let block = Block::of(settings.kind, scheme, bytes.expose()).map_err(refused)?;
        Ok(Ask {
            settings,
            version,
            job: Job::Sign(block),
        })
    });
    let asks: Vec<_> = asks.collect();
    let mut went = run(transit, call.mount, asks).await?.into_iter();
    inputs
        .answer(|input| {
            let (_, raw) = next(&mut went)?;
            let kept = settings.managed.get(&version);
            let kept = kept.ok_or(Error::Bug("a version without its managed key"))?;
            let bytes = input.bytes("missing input")?;
            let public = ciphers.key(version)?;
            let signature = proven(&kept.named, public, scheme, bytes.expose(), raw)?;
            ciphers.note(version, Kind::Sign, bytes.expose().len());
            Ok(Signed::of(version, &signature, scheme))
        })
        .await
}

/// The signature on the wire, if it is one of the input.
fn proven(
    named: &Named,
    public: &ServiceKey,
    scheme: &Scheme,
    input: &[u8],
    raw: Secret<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let other = || {
        let text = "its signature is not one of the key that this version was made with";
        named.error(ManagedError::Refused(text.to_owned()))
    };
    let signature = signature_of(public.kind(), scheme, raw.into_inner()).map_err(|_| other())?;
    let valid = public.verify(input, scheme, None, &signature);
    match valid {
        Ok(true) => Ok(signature),
        _ => Err(other()),
    }
}
