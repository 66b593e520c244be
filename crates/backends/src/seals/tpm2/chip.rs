//! A TPM, open for one use: seals and unseals under its primary storage key.

use std::fs::OpenOptions;

use keyfold_core::ports::seal::SealError;
use keyfold_keys::Share;
use tss_esapi::attributes::{ObjectAttributes, SessionAttributes};
use tss_esapi::constants::{CapabilityType, SessionType};
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Auth, CapabilityData, Digest, EccPoint, KeyedHashScheme, Private, Public,
    PublicEccParametersBuilder, PublicKeyedHashParameters, SensitiveData, SymmetricDefinition,
    SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall as _, UnMarshall as _};
use tss_esapi::{Context, Error, WrapperErrorKind};

use super::fault::{of, of_loading, of_unsealing};
use super::pcrs::Pcrs;
use super::terms::Terms;
use super::wrapped::Wrapped;

/// The connection, the primary key and a session that is encrypted for it. All of them leave the TPM
/// when this is dropped.
pub(super) struct Chip {
    context: Context,
    primary: KeyHandle,
    session: AuthSession,
    name: String,
}

impl Chip {
    pub(super) fn open(terms: &Terms) -> Result<Self, SealError> {
        reachable(terms)?;
        let context = Context::new(terms.tcti.clone());
        let mut context = context.map_err(|error| {
            tracing::info!(?error, "the TPM of a seal can't be reached");
            SealError::Down("the TPM can't be reached: the log says more".into())
        })?;
        let (primary, session, name) = begin(&mut context, terms).map_err(|error| of(&error))?;
        Ok(Self {
            context,
            primary,
            session,
            name,
        })
    }

    /// Of the primary key: a hash of its public half, in hex.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Seals a share, bound to the PCRs as they are now.
    pub(super) fn seal(&mut self, share: &Share, pcrs: Option<Pcrs>) -> Result<Wrapped, SealError> {
        let policy = pcrs.map(|pcrs| self.policy(pcrs)).transpose()?;
        let made = object(policy).and_then(|template| {
            let data = SensitiveData::try_from(share.as_bytes())?;
            let made = self
                .context
                .execute_with_session(Some(self.session), |tpm| {
                    tpm.create(self.primary, template, None, Some(data), None, None)
                })?;
            Ok((made.out_public.marshall()?, made.out_private))
        });
        let (public, private) = made.map_err(|error| of(&error))?;
        Ok(Wrapped {
            pcrs,
            public,
            private: private.value().to_vec(),
        })
    }

    /// The bytes that were sealed.
    pub(super) fn unseal(&mut self, wrapped: &Wrapped) -> Result<SensitiveData, SealError> {
        // The halves are taken apart here, not by the TPM.
        let private = Private::try_from(wrapped.private.as_slice()).ok();
        let public = Public::unmarshall(&wrapped.public).ok();
        let public = public
            .filter(|public| wrapped.pcrs.is_some() != public.auth_policy().value().is_empty());
        let torn = || SealError::Foreign("the wrap is none of a TPM".into());
        let (private, public) = private.zip(public).ok_or_else(torn)?;
        let loaded = self
            .context
            .execute_with_session(Some(self.session), |tpm| {
                tpm.load(self.primary, private, public)
            });
        let item: ObjectHandle = loaded.map_err(|error| of_loading(&error))?.into();
        let session = match wrapped.pcrs {
            None => self.session,
            Some(pcrs) => self.proof(pcrs)?.into(),
        };
        let opened = answers_only(&mut self.context, session).and_then(|()| {
            self.context
                .execute_with_session(Some(session), |tpm| tpm.unseal(item))
        });
        opened.map_err(|error| of_unsealing(&error))
    }

    /// What an object that is bound to these PCRs asks for.
    fn policy(&mut self, pcrs: Pcrs) -> Result<Digest, SealError> {
        let there = self
            .context
            .execute_without_session(|tpm| tpm.get_capability(CapabilityType::AssignedPcr, 0, 1));
        match there.map_err(|error| of(&error))? {
            (CapabilityData::AssignedPcr(there), _) if pcrs.are_in(&there) => {}
            _ => return Err(SealError::Refused(format!("the TPM has no PCRs {pcrs}"))),
        }
        let trial = self.session_of(SessionType::Trial, pcrs)?;
        self.context
            .policy_get_digest(trial)
            .map_err(|error| of(&error))
    }

    /// A session that proves what the PCRs are.
    fn proof(&mut self, pcrs: Pcrs) -> Result<PolicySession, SealError> {
        self.session_of(SessionType::Policy, pcrs)
    }

    fn session_of(&mut self, kind: SessionType, pcrs: Pcrs) -> Result<PolicySession, SealError> {
        let selection = pcrs.selection()?;
        let began = session(&mut self.context, self.primary, kind);
        let began = began.and_then(|session| {
            let session = PolicySession::try_from(session)?;
            // Without values of its own it takes those of the TPM.
            self.context
                .policy_pcr(session, Digest::default(), selection)?;
            Ok(session)
        });
        began.map_err(|error| of(&error))
    }
}

/// The library says little of a device that can't be opened; the system says it.
fn reachable(terms: &Terms) -> Result<(), SealError> {
    let Some(device) = &terms.device else {
        return Ok(());
    };
    let opened = OpenOptions::new().read(true).write(true).open(device);
    opened.map(drop).map_err(|error| {
        tracing::info!(%error, "the TPM of a seal can't be opened");
        SealError::Down(format!("the TPM can't be opened: {}", error.kind()))
    })
}

fn begin(context: &mut Context, terms: &Terms) -> Result<(KeyHandle, AuthSession, String), Error> {
    if let Some(owner) = &terms.owner {
        let auth = Auth::try_from(owner.expose().as_slice())?;
        context.tr_set_auth(Hierarchy::Owner.into(), auth)?;
    }
    let template = storage_key()?;
    let made = context.execute_with_nullauth_session(|tpm| {
        tpm.create_primary(Hierarchy::Owner, template, None, None, None, None)
    })?;
    let primary = made.key_handle;
    let name = hex::encode(context.tr_get_name(primary.into())?.value());
    let session = session(context, primary, SessionType::Hmac)?;
    let (both, mask) = SessionAttributes::builder()
        .with_decrypt(true)
        .with_encrypt(true)
        .build();
    context.tr_sess_set_attributes(session, both, mask)?;
    Ok((primary, session, name))
}

/// Salted with the primary key: who listens on the bus can't follow.
fn session(
    context: &mut Context,
    primary: KeyHandle,
    kind: SessionType,
) -> Result<AuthSession, Error> {
    let began = context.start_auth_session(
        Some(primary),
        None,
        None,
        kind,
        SymmetricDefinition::AES_128_CFB,
        HashingAlgorithm::Sha256,
    )?;
    began.ok_or(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))
}

/// Of a command that sends nothing, only the answer can be encrypted.
fn answers_only(context: &mut Context, session: AuthSession) -> Result<(), Error> {
    let (_, mask) = SessionAttributes::builder()
        .with_decrypt(true)
        .with_encrypt(true)
        .build();
    let (encrypt, _) = SessionAttributes::builder().with_encrypt(true).build();
    context.tr_sess_set_attributes(session, encrypt, mask)
}

/// The storage key as the TCG's profile has it, on P-256: TPMs make it in a moment, where an RSA key
/// takes them seconds.
fn storage_key() -> Result<Public, Error> {
    let attributes = ObjectAttributes::builder()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    );
    Public::builder()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters.build()?)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// A sealed object: by its policy alone, or by an empty password. A wrong guess locks no TPM.
fn object(policy: Option<Digest>) -> Result<Public, Error> {
    let attributes = ObjectAttributes::builder()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_no_da(true)
        .with_user_with_auth(policy.is_none())
        .build()?;
    Public::builder()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy.unwrap_or_default())
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()
}
