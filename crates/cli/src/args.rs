//! The command line as a type.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::output::Format;
use crate::pairs::pair;
use crate::span::span;
use crate::{
    audit, auth, completion, demo, envelope, exit, keyring, kv, lease, list, logical, login,
    mounts, namespace, operator, plugin, policy, server, token, transit, value,
};

/// Keyfold: secrets and keys in a server, and files encrypted under them.
#[derive(Parser)]
#[command(
    name = "keyfold",
    disable_version_flag = true,
    subcommand_required = true
)]
#[command(arg_required_else_help = true, max_term_width = 100, after_help = ENVIRONMENT)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The end of the first help page.
const ENVIRONMENT: &str = "\
Environment:
  Where a VAULT_ variable is named, KEYFOLD_ and BAO_ forms are read too: KEYFOLD_ADDR wins over
  BAO_ADDR, and that over VAULT_ADDR. VAULT_TOKEN is the token; without it, that of ~/.vault-token,
  where `keyfold login` keeps one, or of the file VAULT_TOKEN_PATH. Without a flag: VAULT_CLIENT_TIMEOUT,
  VAULT_MAX_RETRIES, VAULT_CACERT_BYTES (a PEM text), VAULT_PROXY_ADDR (a proxy to go by) and
  VAULT_RATE_LIMIT (RATE or RATE:BURST, requests in a second and at once). VAULT_SRV_LOOKUP is
  refused: addresses are not looked up in SRV records.";

/// Flags of every command.
#[derive(Args, Default)]
#[command(next_help_heading = "Common options (VAULT_X is read as KEYFOLD_X and BAO_X too)")]
pub(crate) struct Global {
    /// The server: https://HOST:PORT, http://HOST:PORT or unix:///PATH [env: VAULT_ADDR]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) address: Option<String>,
    /// Another address, which goes before that: an agent's, a proxy's [env: VAULT_AGENT_ADDR]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) agent_address: Option<String>,
    /// PEM file with the authorities to trust [env: VAULT_CACERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Folder with such files [env: VAULT_CAPATH]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) ca_path: Option<PathBuf>,
    /// PEM file with this client's certificate [env: VAULT_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,
    /// PEM file with its key [env: VAULT_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,
    /// The name to ask for and to find in the server's certificate, where that is not the one of
    /// the address [env: VAULT_TLS_SERVER_NAME]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// Take any certificate: whoever sits in between reads everything [env: VAULT_SKIP_VERIFY]
    #[arg(long, global = true)]
    pub(crate) tls_skip_verify: bool,
    /// The namespace [env: VAULT_NAMESPACE]
    #[arg(long, global = true, visible_alias = "ns", value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Keep the answer on the server for this long, and print the token that unwraps it
    /// [env: VAULT_WRAP_TTL]
    #[arg(long, global = true, value_name = "DURATION", value_parser = span)]
    pub(crate) wrap_ttl: Option<String>,
    /// One more header of each request; may be given several times
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) header: Vec<(String, String)>,
    /// Follow no redirect to another node [env: VAULT_DISABLE_REDIRECTS]
    #[arg(long, global = true)]
    pub(crate) disable_redirects: bool,
    /// Credentials of a second factor, for servers that ask for one; may be given several times
    /// [env: VAULT_MFA]
    #[arg(long, global = true, value_name = "METHOD:CODE")]
    pub(crate) mfa: Vec<String>,
    /// Ask to be excused from soft Sentinel policies, of servers that have those
    #[arg(long, global = true)]
    pub(crate) policy_override: bool,
    /// Ask for nothing at the terminal
    #[arg(long, global = true)]
    pub(crate) non_interactive: bool,
    /// Send nothing: print the request as a command line of curl
    #[arg(long, global = true)]
    pub(crate) output_curl_string: bool,
    /// Send nothing: print the policy that the request needs
    #[arg(long, global = true, conflicts_with = "output_curl_string")]
    pub(crate) output_policy: bool,
    /// How results are printed [env: VAULT_FORMAT]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Print one member of the result alone
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) field: Option<String>,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a server
    Server(server::ServerArgs),
    /// Show whether the server is initialised and unsealed; exit code 2 when sealed
    Status,
    /// Initialise, unseal, seal, rotate
    #[command(subcommand)]
    Operator(operator::Operator),
    /// Check a token and keep it for the next commands
    Login(login::LoginArgs),
    /// Print what this client is set up with
    #[command(subcommand)]
    Print(login::Print),
    /// Mount, tune and move secrets engines
    #[command(subcommand)]
    Secrets(mounts::Mounts),
    /// Mount, tune and move auth methods
    #[command(subcommand, disable_help_subcommand = true)]
    Auth(auth::Auth),
    /// Write, read, list, delete, format and explain policies
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Create, look up, renew and revoke tokens
    #[command(subcommand)]
    Token(token::Token),
    /// Look up, renew and revoke leases
    #[command(subcommand)]
    Lease(lease::Lease),
    /// Namespaces, of servers that have them: this one has none
    #[command(subcommand)]
    Namespace(namespace::Namespace),
    /// List what can be mounted
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Add, remove and list audit devices
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Key-value secrets
    #[command(subcommand)]
    Kv(kv::Kv),
    /// Keys of the transit engine: bring one, see what its versions are used for, let old ones go
    #[command(subcommand)]
    Transit(transit::Transit),
    /// Read any path of the API
    Read(logical::ReadArgs),
    /// Write to any path of the API
    Write(logical::WriteArgs),
    /// Merge into any path of the API
    Patch(logical::PatchArgs),
    /// Fetch the answer that a wrapping token stands for
    Unwrap {
        /// The wrapping token, `-` for a line of standard input; one's own token when absent
        token: Option<String>,
    },
    /// Show what a path of the API is for
    PathHelp {
        /// The path below /v1/
        path: String,
    },
    /// List any path of the API
    List(list::ListArgs),
    /// List all that is below any path of the API
    Scan(list::ListArgs),
    /// Delete any path of the API
    Delete(logical::PathArgs),
    /// Encrypt a file or a stream under a key of the server's, or for offline keys
    Encrypt(envelope::encrypt::EncryptArgs),
    /// Decrypt what `encrypt` made
    Decrypt(envelope::decrypt::DecryptArgs),
    /// Show an envelope's header; needs no key and no server
    Inspect(envelope::inspect::InspectArgs),
    /// Make an offline key, which opens envelopes without the server
    Keygen(envelope::keygen::KeygenArgs),
    /// Show who can open an envelope; add somebody, or take somebody away
    #[command(subcommand)]
    Slots(envelope::slots::Slots),
    /// Open a sample of envelopes without the server: a rehearsal
    Drill(envelope::drill::DrillArgs),
    /// Move envelopes to the newest version of their keys, without touching their payload
    Rewrap(envelope::rewrap::RewrapArgs),
    /// Make envelopes anew in their places, with other data keys: after one of those was lost
    Reencrypt(envelope::reencrypt::ReencryptArgs),
    /// Count which key versions hold what; needs no key and, unless it registers, no server
    Census(envelope::census::CensusArgs),
    /// Keyrings: one data key for many objects, kept in a file or on the server
    #[command(subcommand)]
    Keyring(keyring::Keyring),
    /// Seal and open values of columns under a keyring; without a command, JSON lines of standard input
    Value(value::ValueArgs),
    /// The whole story on one file, with a server of its own; leaves nothing behind
    Demo(demo::DemoArgs),
    /// Print a script that completes commands and flags: source <(keyfold completion bash)
    Completion(completion::CompletionArgs),
    /// List the versions that have served the store
    VersionHistory,
    /// What the exit codes mean
    #[command(name = "exit-codes", long_about = exit::table())]
    ExitCodes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exit_codes_have_a_help_page() {
        let shown = Cli::try_parse_from(["keyfold", "help", "exit-codes"])
            .err()
            .unwrap();
        assert!(shown.to_string().contains("truncated"), "{shown}");
    }
}
