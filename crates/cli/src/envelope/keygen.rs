//! `keyfold keygen`.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use keyfold_envelope::XWingIdentity;
use keyfold_secret::Secret;
use serde_json::json;

use super::secret_file;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Arguments of `keygen`.
#[derive(Args)]
pub(crate) struct KeygenArgs {
    /// The file for the private half; without one it is printed
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Makes an offline key: the private half into a file, the public one on standard output.
pub(crate) fn run(session: &Session, args: &KeygenArgs) -> Result<(), CliError> {
    let subject = args.output.clone().unwrap_or_default();
    let identity = XWingIdentity::generate().map_err(CliError::envelope(&subject))?;
    let recipient = identity.recipient().to_string();
    let made = keyfold_api::time::format(SystemTime::now());
    let mut text = Secret::new(String::with_capacity(4096));
    for part in [
        "# An offline key of Keyfold, made ",
        &made,
        ". Whoever reads it opens what was encrypted for\n# ",
        &recipient,
        "\n",
        identity.text().expose(),
        "\n",
    ] {
        text.expose_mut().push_str(part);
    }
    let Some(path) = &args.output else {
        output::note(&format!("Recipient: {recipient}"));
        return output::raw(text.expose().as_bytes());
    };
    secret_file::create(path, &text)?;
    let result = json!({"path": path.to_string_lossy(), "recipient": recipient});
    session.output.result(&result, || format!("{recipient}\n"))
}
