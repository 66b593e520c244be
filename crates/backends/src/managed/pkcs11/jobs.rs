//! The jobs themselves, inside the token.

use cryptoki::mechanism::Mechanism as Call;
use cryptoki::mechanism::rsa::PkcsPssParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use keyfold_core::ports::managed::Job;
use keyfold_keys::der::strip;
use keyfold_keys::rng;
use keyfold_keys::transit::Block;
use keyfold_secret::Secret;

use super::key::Target;
use super::terms::Mechanism;
use crate::pkcs11::{Fault, Hash, NONCE_LEN, Open, TAG_LEN, gcm, oaep, of_decryption, of_input};

/// How one job went.
type Went = Result<Secret<Vec<u8>>, Fault>;

/// Does jobs in turn. What hinders all of them is the error of the whole.
pub(super) fn run(open: &Open, target: &Target, jobs: &[Job]) -> Result<Vec<Went>, Fault> {
    let mut worker = Worker {
        open,
        target,
        public: None,
        private: None,
    };
    let mut went = Vec::with_capacity(jobs.len());
    for job in jobs {
        match worker.one(job) {
            Err(fault @ (Fault::Away(_) | Fault::Pin)) => return Err(fault),
            done => went.push(done),
        }
    }
    Ok(went)
}

/// The handles of the key, found once.
struct Worker<'w> {
    open: &'w Open,
    target: &'w Target,
    public: Option<ObjectHandle>,
    private: Option<ObjectHandle>,
}

impl Worker<'_> {
    fn one(&mut self, job: &Job) -> Went {
        match (self.target.stored.mechanism, job) {
            (Mechanism::AesGcm, Job::Encrypt { plaintext, aad }) => self.seal(plaintext, aad),
            (Mechanism::AesGcm, Job::Decrypt { sealed, aad }) => self.unseal(sealed, aad),
            (Mechanism::RsaOaep, Job::Encrypt { plaintext, .. }) => self.wrap(plaintext),
            (Mechanism::RsaOaep, Job::Decrypt { sealed, .. }) => self.unwrap(sealed),
            (Mechanism::RsaPss | Mechanism::RsaPkcs1 | Mechanism::Ecdsa, Job::Sign(block)) => {
                self.sign(block)
            }
            (_, job) => Err(Fault::Refused(format!(
                "its mechanism is not for {}",
                job.what().name()
            ))),
        }
    }

    fn seal(&mut self, plaintext: &Secret<Vec<u8>>, aad: &[u8]) -> Went {
        let key = self.secret()?;
        let mut nonce = rng::bytes::<NONCE_LEN>();
        let session = &self.open.session;
        let sealed = gcm(&mut nonce, aad, |call| {
            let sealed = session.encrypt(call, key, plaintext.expose());
            sealed.map_err(|e| of_input(&e))
        })?;
        if sealed.len() != plaintext.expose().len() + TAG_LEN {
            let what = "it answers in a form of its own, which nothing else would open";
            return Err(Fault::Refused(what.to_owned()));
        }
        Ok(Secret::new([nonce.as_slice(), &sealed].concat()))
    }

    fn unseal(&mut self, sealed: &[u8], aad: &[u8]) -> Went {
        let (nonce, sealed) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .filter(|(_, sealed)| sealed.len() >= TAG_LEN)
            .ok_or(Fault::Foreign)?;
        let key = self.secret()?;
        let session = &self.open.session;
        let opened = gcm(&mut nonce.to_owned(), aad, |call| {
            let opened = session.decrypt(call, key, sealed);
            opened.map_err(|e| of_decryption(&e))
        });
        opened.map(Secret::new)
    }

    fn wrap(&mut self, plaintext: &Secret<Vec<u8>>) -> Went {
        let key = self.public(KeyType::RSA)?;
        let hash = self.target.stored.hash();
        let mut len = 0;
        for attribute in self.open.told(key, &[AttributeType::Modulus])? {
            if let Attribute::Modulus(modulus) = attribute {
                len = strip(&modulus).len();
            }
        }
        // Not every HSM says so itself in a way that could be told from its failure.
        let longest = len.saturating_sub(2 * hash.size() + 2);
        if plaintext.expose().len() > longest {
            let what = format!("the input is too long for the key, which takes {longest} bytes");
            return Err(Fault::Refused(what));
        }
        let call = oaep(hash);
        let sealed = self.open.session.encrypt(&call, key, plaintext.expose());
        sealed.map(Secret::new).map_err(|e| of_input(&e))
    }

    fn unwrap(&mut self, sealed: &[u8]) -> Went {
        let key = self.private(KeyType::RSA)?;
        let call = oaep(self.target.stored.hash());
        let opened = self.open.session.decrypt(&call, key, sealed);
        opened.map(Secret::new).map_err(|e| of_decryption(&e))
    }

    fn sign(&mut self, block: &Block) -> Went {
        let (call, bytes, kind) = match (self.target.stored.mechanism, block) {
            (Mechanism::Ecdsa, Block::Ecdsa(hashed)) => (Call::Ecdsa, hashed, KeyType::EC),
            (Mechanism::RsaPkcs1, Block::Pkcs1(info)) => (Call::RsaPkcs, info, KeyType::RSA),
            (Mechanism::RsaPss, Block::Pss { hash, hashed, salt }) => {
                let none = || Fault::Refused("it has no PSS with SHA-3".to_owned());
                let (hash_alg, mgf) = Hash::of_digest(*hash).ok_or_else(none)?.parts();
                let long = |_| Fault::Refused("the salt is too long".to_owned());
                let salt = u64::try_from(*salt).map_err(long)?;
                let params = PkcsPssParams {
                    hash_alg,
                    mgf,
                    s_len: salt.into(),
                };
                (Call::RsaPkcsPss(params), hashed, KeyType::RSA)
            }
            (Mechanism::RsaPss, _) => return Err(padding("pss")),
            (Mechanism::RsaPkcs1, _) => return Err(padding("pkcs1v15")),
            _ => return Err(Fault::Refused("its mechanism does not sign".to_owned())),
        };
        let key = self.private(kind)?;
        let signed = self.open.session.sign(&call, key, bytes);
        signed.map(Secret::new).map_err(|e| of_input(&e))
    }

    fn secret(&mut self) -> Result<ObjectHandle, Fault> {
        let found = self.private.map_or_else(
            || {
                let class = ObjectClass::SECRET_KEY;
                self.open.needed(&self.target.named, class, KeyType::AES)
            },
            Ok,
        )?;
        Ok(*self.private.insert(found))
    }

    fn private(&mut self, kind: KeyType) -> Result<ObjectHandle, Fault> {
        let found = self.private.map_or_else(
            || {
                let class = ObjectClass::PRIVATE_KEY;
                self.open.needed(&self.target.named, class, kind)
            },
            Ok,
        )?;
        Ok(*self.private.insert(found))
    }

    fn public(&mut self, kind: KeyType) -> Result<ObjectHandle, Fault> {
        let found = self.public.map_or_else(
            || {
                let class = ObjectClass::PUBLIC_KEY;
                self.open.needed(&self.target.named, class, kind)
            },
            Ok,
        )?;
        Ok(*self.public.insert(found))
    }
}

fn padding(name: &str) -> Fault {
    Fault::Refused(format!(
        "its mechanism signs with signature_algorithm={name} only"
    ))
}
