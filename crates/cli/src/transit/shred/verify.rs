//! `keyfold transit shred verify`: a receipt is what it says, or is not.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use keyfold_keys::statement::{SHRED_RECEIPT, Statement, key_id};
use keyfold_keys::transit::{KeyType, ServiceKey};
use serde_json::{Value, json};

use super::show;
use crate::error::CliError;
use crate::session::Session;

/// Arguments of `transit shred verify`.
#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The PEM file with the public key of the mount's receipts, kept since they were made: what
    /// `keyfold read -field=public_key transit/shred/receipts/key` prints
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// The receipt: what `destroy -receipt=FILE` kept, or what `keyfold read -format=json
    /// transit/shred/receipts/ID` prints
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Prints what the receipt says, if the key has signed it.
pub(super) fn run(session: &Session, args: &VerifyArgs) -> Result<(), CliError> {
    let key = public_key(&args.public_key)?;
    let statement = statement(&args.file)?;
    let refused = |why: &str| CliError::Refused(format!("{}: {why}", args.file.display()));
    let payload = statement
        .verified(&key, SHRED_RECEIPT)
        .map_err(|error| match error {
            keyfold_keys::Error::WrongKey => refused(
                "the signature does not hold: the receipt was changed, or another key signed it",
            ),
            _ => refused("it is no receipt of a destroyed key"),
        })?;
    let receipt: Value =
        serde_json::from_slice(payload).map_err(|_| refused("what was signed can't be read"))?;
    let key_id = key_id(key.public());
    let result = json!({"verified": true, "key_id": key_id, "receipt": receipt});
    session.output.result(&result, || {
        let mut text = format!(
            "The signature holds. Key of the receipts: {key_id}\n\n{}",
            show::facts(&receipt)
        );
        show::remains(&mut text, &receipt);
        text
    })
}

fn public_key(path: &Path) -> Result<ServiceKey, CliError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(CliError::io(format!("can't read {}", path.display())))?;
    ServiceKey::from_public_pem(KeyType::Ed25519, &text).map_err(|_| {
        CliError::Refused(format!(
            "{} holds no public key of Ed25519 in PEM",
            path.display()
        ))
    })
}

/// The statement, alone or in an answer of the server.
fn statement(path: &Path) -> Result<Statement, CliError> {
    let bytes = fs::read(path);
    let bytes = bytes.map_err(CliError::io(format!("can't read {}", path.display())))?;
    let none = || CliError::Refused(format!("{} is no signed receipt", path.display()));
    let whole: Value = serde_json::from_slice(&bytes).map_err(|_| none())?;
    let inner = whole.get("data").unwrap_or(&whole);
    let inner = inner.get("envelope").unwrap_or(inner);
    Statement::parse(inner.to_string().as_bytes()).map_err(|_| none())
}
