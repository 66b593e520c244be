//! Shares and tokens for the OpenPGP keys of those who are to have them.
//!
//! A message is what existing clients expect and `gpg` opens: the session key for the recipient
//! (RFC 9580 5.1, version 3), then the text under AES-256 with a modification detection code (5.13,
//! version 1). Only public keys come here, and nothing is fetched from anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_keys::Share;
use keyfold_keys::rng::Chance;
use keyfold_secret::Secret;
use pgp::composed::{Deserializable, MessageBuilder, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Timestamp};

use crate::clock::Time;
use crate::error::Error;

/// The longest key that is taken, as text: one with many signatures of others is smaller.
const LONGEST: usize = 1 << 20;

/// Someone's key, and which part of it encrypts.
pub(crate) struct Recipient {
    key: SignedPublicKey,
    fingerprint: String,
    /// The subkey; `None` for the key itself.
    subkey: Option<usize>,
}

impl Recipient {
    /// Takes a public key: base64 of what an OpenPGP program exports.
    pub(crate) fn parse(text: &str, now: Time) -> Result<Self, Error> {
        let text = text.trim();
        if text.starts_with("keybase:") {
            return Err(Error::bad(
                "keys of keybase are not fetched, as this server calls nobody: give the key itself \
                 in base64",
            ));
        }
        if text.len() > LONGEST {
            return Err(Error::bad("error decoding given PGP key: it is too long"));
        }
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| Error::bad("error decoding given PGP key: it is not base64"))?;
        let none = || Error::bad("error parsing given PGP key: it is no OpenPGP public key");
        let key = match bytes.starts_with(b"-----BEGIN") {
            true => SignedPublicKey::from_armor_single(bytes.as_slice()).map(|(key, _)| key),
            false => SignedPublicKey::from_bytes(bytes.as_slice()),
        };
        let key = key.map_err(|_| none())?;
        key.verify_bindings().map_err(|_| {
            Error::bad("error parsing given PGP key: its signatures are missing or wrong")
        })?;
        if !key.details.revocation_signatures.is_empty() || is_over(&key, now) {
            return Err(Error::bad("the given PGP key was revoked, or has expired"));
        }
        let subkeys = key.public_subkeys.iter().enumerate();
        let fit = subkeys.filter(|(_, subkey)| subkey_encrypts(subkey, now));
        let newest = fit.max_by_key(|(_, subkey)| subkey.created_at().as_secs());
        let subkey = newest.map(|(at, _)| at);
        if subkey.is_none() && !key_encrypts(&key) {
            return Err(Error::bad(
                "the given PGP key can't encrypt: it has no valid part for that",
            ));
        }
        let recipient = Self {
            fingerprint: hex::encode(key.fingerprint().as_bytes()),
            key,
            subkey,
        };
        // What is told once is not to fail when it is told.
        let trial = recipient.seal(&Secret::new(b"trial".to_vec()));
        trial.map_err(|_| Error::bad("the given PGP key can't encrypt"))?;
        Ok(recipient)
    }

    /// One key for each of so many shares, or none at all. `of` says what for.
    pub(crate) fn parse_all(
        keys: Option<Vec<String>>,
        shares: u8,
        of: &str,
        now: Time,
    ) -> Result<Vec<Self>, Error> {
        let keys = keys.unwrap_or_default();
        if !keys.is_empty() && keys.len() != usize::from(shares) {
            return Err(Error::bad(format!(
                "invalid {of} configuration: count mismatch between number of provided PGP keys \
                 and number of shares"
            )));
        }
        keys.iter().map(|key| Self::parse(key, now)).collect()
    }

    /// Hex in lower case, of the whole key.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The text as a message that only this key's owner opens.
    pub(crate) fn seal(&self, text: &Secret<Vec<u8>>) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Bug("an OpenPGP message could not be made");
        // The message's own copy; freed memory is wiped.
        let mut message = MessageBuilder::from_bytes("", text.expose().clone())
            .seipd_v1(Chance, SymmetricKeyAlgorithm::AES256);
        let subkey = self.subkey.and_then(|at| self.key.public_subkeys.get(at));
        match subkey {
            Some(subkey) => message.encrypt_to_key(Chance, &subkey),
            None => message.encrypt_to_key(Chance, &self.key),
        }
        .map_err(failed)?;
        message.to_vec(Chance).map_err(failed)
    }
}

/// Shares as they are told: each for its recipient, where there are any. Such a message holds the
/// share in hex.
pub(crate) fn told(
    shares: &[Share],
    recipients: &[Recipient],
) -> Result<Vec<Secret<Vec<u8>>>, Error> {
    if recipients.is_empty() {
        let copy = |share: &Share| Ok(Secret::new(share.as_bytes().to_vec()));
        return shares.iter().map(copy).collect();
    }
    let pairs = shares.iter().zip(recipients);
    let seal = |(share, recipient): (&Share, &Recipient)| {
        let text = Secret::new(hex::encode(share.as_bytes()).into_bytes());
        recipient.seal(&text).map(Secret::new)
    };
    pairs.map(seal).collect()
}

/// Time after which a part that was made at `created` is no more, by the newest of its signatures.
fn ends(created: Timestamp, newest: Option<&Signature>) -> Option<u64> {
    let life = newest?.key_expiration_time()?.as_secs();
    (life > 0).then(|| u64::from(created.as_secs()) + u64::from(life))
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|signature| signature.created().map(Timestamp::as_secs))
}

/// The newest signature that says what the whole key is for.
fn own(key: &SignedPublicKey) -> Option<&Signature> {
    let details = &key.details;
    let users = details.users.iter().flat_map(|user| &user.signatures);
    let of_key = |signature: &&Signature| {
        use SignatureType::{CertGeneric, CertPositive, Key};
        let kind = signature.typ();
        let issuers = signature.issuer_key_id();
        let by_itself = issuers.is_empty() || issuers.contains(&&key.legacy_key_id());
        by_itself && matches!(kind, Some(CertGeneric | CertPositive | Key))
    };
    newest(details.direct_signatures.iter().chain(users).filter(of_key))
}

fn is_over(key: &SignedPublicKey, now: Time) -> bool {
    ends(key.created_at(), own(key)).is_some_and(|end| now.secs() >= end)
}

fn key_encrypts(key: &SignedPublicKey) -> bool {
    let flags = own(key).map(Signature::key_flags).unwrap_or_default();
    key.algorithm().can_encrypt() && (flags.encrypt_comms() || flags.encrypt_storage())
}

fn subkey_encrypts(subkey: &SignedPublicSubKey, now: Time) -> bool {
    let revoked = |signature: &Signature| signature.typ() == Some(SignatureType::SubkeyRevocation);
    let bound = newest(subkey.signatures.iter());
    let flags = bound.map(Signature::key_flags).unwrap_or_default();
    subkey.algorithm().can_encrypt()
        && (flags.encrypt_comms() || flags.encrypt_storage())
        && !subkey.signatures.iter().any(revoked)
        && ends(subkey.created_at(), bound).is_none_or(|end| now.secs() < end)
}

#[cfg(test)]
mod tests {
    use pgp::composed::{Message, SignedSecretKey};
    use serde_json::Value;

    use super::*;

    const NOW: Time = Time(1_900_000_000_000_000_000);

    /// The golden data's key holders: public key in base64, private key, fingerprint.
    fn holders() -> Vec<(String, SignedSecretKey, String)> {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/golden/shamir.json"
        );
        let bytes = std::fs::read(path).unwrap();
        let golden: Value = serde_json::from_slice(&bytes).unwrap();
        let holders = golden["pgp"]["holders"].as_array().unwrap();
        let text = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
        let holder = |of: &Value| {
            let private = text(of, "private_key_armored");
            let (private, _) = SignedSecretKey::from_string(&private).unwrap();
            let public = text(of, "public_key_base64");
            (public, private, text(of, "fingerprint"))
        };
        holders.iter().map(holder).collect()
    }

    #[test]
    fn each_holder_opens_what_is_theirs() {
        for (public, private, fingerprint) in holders() {
            let recipient = Recipient::parse(&public, NOW).ok().unwrap();
            assert_eq!(recipient.fingerprint(), fingerprint);
            let sealed = recipient.seal(&Secret::new(b"abc".to_vec())).unwrap();
            let message = Message::from_bytes(sealed.as_slice()).unwrap();
            let mut opened = message.decrypt(&"".into(), &private).unwrap();
            assert_eq!(opened.as_data_vec().unwrap(), b"abc");
        }
    }

    #[test]
    fn what_is_no_key_is_told_so() {
        let (public, private, _) = holders().remove(0);
        let bytes = STANDARD.decode(&public).unwrap();
        let cut = STANDARD.encode(&bytes[..bytes.len() / 2]);
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let secret = private.to_armored_bytes(None.into()).unwrap();
        for (wrong, why) in [
            ("keybase:somebody".to_owned(), "not fetched"),
            ("x".to_owned(), "not base64"),
            ("eA==".to_owned(), "no OpenPGP public key"),
            (String::new(), "no OpenPGP public key"),
            (cut, "PGP key"),
            (STANDARD.encode(flipped), "PGP key"),
            (STANDARD.encode(secret), "no OpenPGP public key"),
        ] {
            let said = Recipient::parse(&wrong, NOW).err().map(|e| e.to_string());
            assert!(said.clone().unwrap().contains(why), "{why}: {said:?}");
        }
        let armored = SignedPublicKey::from_bytes(bytes.as_slice()).unwrap();
        let armored = armored.to_armored_bytes(None.into()).unwrap();
        assert!(Recipient::parse(&STANDARD.encode(armored), NOW).is_ok());
    }

    #[test]
    fn one_key_a_share() {
        let key = || holders().remove(1).0;
        let all = |keys: Vec<String>| Recipient::parse_all(Some(keys), 2, "seal", NOW);
        assert_eq!(all(vec![key(), key()]).ok().unwrap().len(), 2);
        assert!(all(Vec::new()).ok().unwrap().is_empty());
        assert!(all(vec![key()]).is_err());
    }
}
