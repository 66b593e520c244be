//! [`Session`]: the common flags, and the server they lead to.

use std::cell::OnceCell;
use std::fs::File;
use std::io;

use keyfold_client::{
    Client, ClientConfig, Request, Response, Setup, TokenFile, TransferError, TransitKeys,
};
use keyfold_secret::Secret;
use tokio::runtime::{Builder, Runtime};

use crate::args::Global;
use crate::error::CliError;
use crate::output::{self, Output};
use crate::prompt;
use crate::rehearsal::Rehearsal;

/// What every command is given. The server is not looked for before a command asks it something.
pub(crate) struct Session {
    /// How results are printed.
    pub(crate) output: Output,
    /// In place of sending.
    rehearsal: Option<Rehearsal>,
    global: Global,
    connection: OnceCell<Connection>,
}

struct Connection {
    client: Client,
    runtime: Runtime,
}

fn transfer(what: &str, error: TransferError) -> CliError {
    match error {
        TransferError::Client(error) => error.into(),
        TransferError::Local(error) => CliError::io(what)(error),
    }
}

impl Session {
    pub(crate) fn new(mut global: Global) -> Result<Self, CliError> {
        let format = match global.format {
            Some(format) => format,
            None => output::format_of_env()?,
        };
        if global.non_interactive {
            prompt::forbid();
        }
        Ok(Self {
            output: Output::new(format, global.field.take()),
            rehearsal: Rehearsal::wanted(global.output_curl_string, global.output_policy),
            global,
            connection: OnceCell::new(),
        })
    }

    /// Asks, and takes any answer.
    pub(crate) fn send(&self, request: &Request) -> Result<Response, CliError> {
        self.rehearsed(request)?;
        self.ask(request)
    }

    /// Prints the request where that is all that is wished.
    fn rehearsed(&self, request: &Request) -> Result<(), CliError> {
        let Some(rehearsal) = &self.rehearsal else {
            return Ok(());
        };
        output::raw(rehearsal.of(request, &self.config()?)?.as_bytes())?;
        Err(CliError::Rehearsed)
    }

    /// Asks, and hands a good answer to `take` as it comes; `what` takes it, for the error.
    pub(crate) fn download(
        &self,
        request: &Request,
        what: &str,
        take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CliError> {
        self.rehearsed(request)?;
        let connection = self.connection()?;
        let came = connection.client.download(request, take);
        let came = connection.runtime.block_on(came);
        came.map_err(|error| transfer(what, error))
    }

    /// Sends a file, which is called `what` in an error, and takes only a good answer.
    pub(crate) fn upload(
        &self,
        request: &Request,
        what: &str,
        file: File,
    ) -> Result<Response, CliError> {
        self.rehearsed(request)?;
        let connection = self.connection()?;
        let answer = connection.client.upload(request, file);
        let answer = connection.runtime.block_on(answer);
        answer.map_err(|error| transfer(what, error))
    }

    /// [`Session::send`] for what a command has to know before it can make its request: it is sent
    /// even where that is only printed.
    pub(crate) fn ask(&self, request: &Request) -> Result<Response, CliError> {
        let connection = self.connection()?;
        let answer = connection.runtime.block_on(connection.client.send(request));
        Ok(answer?)
    }

    /// Asks, and takes only a good answer.
    pub(crate) fn call(&self, request: &Request) -> Result<Response, CliError> {
        Ok(self.send(request)?.success()?)
    }

    /// A client of its own, for what waits for answers by itself.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        Ok(Client::new(self.config()?)?)
    }

    /// The transit keys of the server.
    pub(crate) fn keys(&self) -> Result<TransitKeys, CliError> {
        TransitKeys::new(self.client()?).map_err(CliError::io("can't start a thread"))
    }

    /// A session with the same flags and another token.
    pub(crate) fn with_token(&self, token: &Secret<String>) -> Result<Self, CliError> {
        let mut config = self.config()?;
        config.token = Some(Secret::new(token.expose().clone()));
        let connection = OnceCell::new();
        // The cell is new, so it takes the value.
        let _ = connection.set(Connection::new(config)?);
        Ok(Self {
            output: self.output.clone(),
            rehearsal: self.rehearsal,
            global: Global::default(),
            connection,
        })
    }

    /// How it was set up, for hints; nothing is known where that failed.
    pub(crate) fn setup(&self) -> Setup {
        self.config()
            .map(|config| config.setup())
            .unwrap_or_default()
    }

    /// The token that requests carry, where there is one.
    pub(crate) fn token(&self) -> Result<Option<Secret<String>>, CliError> {
        Ok(self.config()?.token)
    }

    /// Where a token is kept.
    pub(crate) fn token_file() -> Result<TokenFile, CliError> {
        ClientConfig::token_file()
            .ok_or_else(|| CliError::Usage("HOME is not set: there is no place to keep it".into()))
    }

    fn connection(&self) -> Result<&Connection, CliError> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let connection = Connection::new(self.config()?)?;
        Ok(self.connection.get_or_init(|| connection))
    }

    /// The environment, with the flags on top.
    fn config(&self) -> Result<ClientConfig, CliError> {
        let mut config = ClientConfig::from_env()?;
        let flags = &self.global;
        // An agent's address goes before a server's, wherever the two are said.
        if let Some(address) = flags.address.as_ref().filter(|_| !config.by_agent()) {
            config.address.clone_from(address);
            config.address_from = Some("-address".to_owned());
        }
        if let Some(address) = &flags.agent_address {
            config.address.clone_from(address);
            config.address_from = Some("-agent-address".to_owned());
        }
        if flags.ca_cert.is_some() || flags.ca_path.is_some() {
            config.ca_cert_bytes = None;
        }
        for (flag, setting) in [
            (&flags.ca_cert, &mut config.ca_cert),
            (&flags.ca_path, &mut config.ca_path),
            (&flags.client_cert, &mut config.client_cert),
            (&flags.client_key, &mut config.client_key),
        ] {
            if flag.is_some() {
                setting.clone_from(flag);
            }
        }
        if flags.ca_path.is_some() && flags.ca_cert.is_none() {
            config.ca_cert = None;
        }
        if flags.tls_server_name.is_some() {
            config.tls_server_name.clone_from(&flags.tls_server_name);
        }
        if flags.namespace.is_some() {
            config.namespace.clone_from(&flags.namespace);
        }
        if flags.wrap_ttl.is_some() {
            config.wrap_ttl.clone_from(&flags.wrap_ttl);
        }
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        if !flags.mfa.is_empty() {
            let given = flags.mfa.iter().map(|value| header("X-Vault-MFA", value));
            config.headers = given.collect();
        }
        if flags.policy_override {
            config
                .headers
                .push(header("X-Vault-Policy-Override", "true"));
        }
        config.headers.extend_from_slice(&flags.header);
        config.redirects &= !flags.disable_redirects;
        config.skip_verify |= flags.tls_skip_verify;
        Ok(config)
    }
}

impl Connection {
    fn new(config: ClientConfig) -> Result<Self, CliError> {
        let client = Client::new(config)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::io("can't start a runtime"))?;
        Ok(Self { client, runtime })
    }
}
