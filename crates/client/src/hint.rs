//! [`Setup`]: where a client's settings came from, and the next step that an error calls for.

use crate::ClientError;

/// How a client was set up, as far as a next step depends on it. No secret is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// The server's address.
    pub address: String,
    /// The variable or flag that named it; `None` for the default.
    pub address_from: Option<String>,
    /// The variable that named the proxy in between; `None` where there is none.
    pub proxy_from: Option<String>,
    /// Whether a token is sent.
    pub token: bool,
    /// The variable or file that gave the token, where that is known.
    pub token_from: Option<String>,
    /// Whether a client certificate is shown.
    pub client_certificate: bool,
}

impl Setup {
    /// What to do next about an error of the client's, where that is known: one or two sentences.
    pub fn next_step(&self, error: &ClientError) -> Option<String> {
        match error {
            ClientError::Config(_) | ClientError::Path { .. } | ClientError::Encode => None,
            ClientError::Unreachable { reason, .. } => Some(self.unreachable(reason)),
            ClientError::Decode { .. } | ClientError::TooLong { .. } => Some(format!(
                "Is it a Vault-compatible server? {}",
                self.whence_address()
            )),
            ClientError::Api { status: 403, .. } => Some(self.denied(error)),
            ClientError::Api { .. } if error.says("missing client token") => {
                Some(self.denied(error))
            }
            ClientError::Api { status, errors } => {
                answered(error, *status, errors.is_empty()).map(str::to_owned)
            }
        }
    }

    /// What to do next about a server that gave no answer, for `reason`.
    pub fn unreachable(&self, reason: &str) -> String {
        if reason.contains("peer certificate") {
            return server_certificate(reason).to_owned();
        }
        let tls = self.address.starts_with("https://");
        if tls && (reason.contains("corrupt message") || reason.contains("handshake eof")) {
            let plain = self.address.replacen("https://", "http://", 1);
            let name = self.address_from.as_deref().unwrap_or("VAULT_ADDR");
            return format!("The server may speak plain HTTP: set {name}={plain}");
        }
        if tls && reason.contains("fatal alert") {
            let certificate = self.client_certificate_step();
            return format!("The server refused the connection's certificates: {certificate}");
        }
        // In TLS 1.3 a server looks at the client's certificate after the handshake, and what it
        // says as it hangs up does not always arrive.
        if tls && is_broken(reason) {
            let certificate = self.client_certificate_step();
            return format!("The server hung up. If that was about certificates: {certificate}");
        }
        if let Some(proxy) = &self.proxy_from {
            return format!(
                "It was asked by way of a proxy, which {proxy} names: is that up, and the server \
                 behind it? {}",
                self.whence_address()
            );
        }
        format!(
            "Is the server up, and is this its address? {}",
            self.whence_address()
        )
    }

    /// What to do next where the server says that the token may not do this.
    pub fn refused_token(&self) -> String {
        if !self.token {
            return "No token is given: log in (`keyfold login`), or set VAULT_TOKEN.".to_owned();
        }
        format!(
            "See whether the token{} is valid (`keyfold token lookup`) and which policies it has \
             (`keyfold policy read NAME`).",
            self.whence_token()
        )
    }

    fn denied(&self, error: &ClientError) -> String {
        if self.token && (error.says("invalid token") || error.says("bad token")) {
            return format!(
                "The token{} is wrong, has expired or was revoked: log in with another (`keyfold \
                 login`).",
                self.whence_token()
            );
        }
        self.refused_token()
    }

    fn whence_token(&self) -> String {
        self.token_from
            .as_ref()
            .map_or_else(String::new, |from| format!(" (from {from})"))
    }

    /// What says where the server is.
    pub fn whence_address(&self) -> String {
        match &self.address_from {
            Some(name) => format!("{name} says where to look."),
            None => "It is the default, as neither VAULT_ADDR nor -address says where to look; \
                     `keyfold server -dev` starts one."
                .to_owned(),
        }
    }

    fn client_certificate_step(&self) -> &'static str {
        if self.client_certificate {
            "one of the authorities in its tls_client_ca_file has to have signed the client \
             certificate, which must not have expired."
        } else {
            "where it demands a client certificate, give one and its key with -client-cert and \
             -client-key, or VAULT_CLIENT_CERT and VAULT_CLIENT_KEY."
        }
    }
}

/// The next step after the server's own words.
fn answered(error: &ClientError, status: u16, silent: bool) -> Option<&'static str> {
    let says = |text| error.says(text);
    Some(if error.is_sealed() {
        "Give it its shares: `keyfold operator unseal`."
    } else if says("not initialized") || says("not yet initialized") {
        "Make its keys: `keyfold operator init`."
    } else if says("already initialized") {
        "It has its keys: unseal it with their shares (`keyfold operator unseal`)."
    } else if says("no handler for route") {
        "Nothing is mounted there: `keyfold secrets list` shows what is."
    } else if says("path is already in use") {
        "`keyfold secrets list` and `keyfold auth list` show what is mounted: take another path with \
         -path, or give this one up, and all it stores, with `keyfold secrets disable PATH` or \
         `keyfold auth disable PATH`."
    } else if says("did not match the current version") {
        "Somebody wrote in between: read the current version N (`keyfold kv get`), and put with \
         -cas=N."
    } else if says("check-and-set parameter required") {
        "This secret takes no blind writes: read the current version N (`keyfold kv get`), and \
         put with -cas=N; 0 where there is none yet."
    } else if status == 412 {
        "Another request or node was at it at the same time: try again."
    } else if silent && (502..=504).contains(&status) {
        "The answer looks like that of a proxy: see whether the server behind it runs."
    } else {
        return None;
    })
}

/// The next step after the TLS library refused the server's certificate.
fn server_certificate(reason: &str) -> &'static str {
    if reason.contains("CaUsedAsEndEntity") {
        "The server's own certificate is that of an authority (basicConstraints CA:TRUE), which \
         TLS refuses. Make one with CA:FALSE (`openssl req -x509 … -addext \
         basicConstraints=critical,CA:FALSE`), or let the authority sign a certificate for the \
         server, and name the authority with -ca-cert."
    } else if reason.contains("not valid for name") || reason.contains("NotValidForName") {
        "The certificate is for other names: use one of those in the address, or make a \
         certificate that names this host (subjectAltName)."
    } else if reason.contains("expired") || reason.contains("Expired") {
        "The server needs a new certificate, or this machine's clock is wrong."
    } else {
        "The server's certificate is not trusted here: name its authority with -ca-cert or \
         VAULT_CACERT."
    }
}

/// Whether a connection was there and then was not.
fn is_broken(reason: &str) -> bool {
    ["reset", "closed", "Broken pipe", "eof", "EOF"]
        .iter()
        .any(|text| reason.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, text: &str) -> ClientError {
        ClientError::Api {
            status,
            errors: vec![text.to_owned()],
        }
    }

    fn setup(address: &str, from: Option<&str>) -> Setup {
        Setup {
            address: address.to_owned(),
            address_from: from.map(str::to_owned),
            token: true,
            ..Setup::default()
        }
    }

    #[test]
    fn the_server_s_words_tell_the_next_step() {
        for (error, step) in [
            (api(503, "Vault is sealed"), "operator unseal"),
            (api(400, "server is not initialized"), "operator init"),
            (api(400, "Vault is already initialized"), "operator unseal"),
            (api(400, "missing client token"), "token lookup"),
            (api(403, "permission denied"), "token lookup"),
            (api(403, "permission denied: invalid token"), "expired"),
            (
                api(404, "no handler for route \"x\". route entry not found."),
                "secrets list",
            ),
            (
                api(400, "path is already in use at kv/"),
                "secrets disable PATH",
            ),
            (
                api(
                    400,
                    "check-and-set parameter did not match the current version",
                ),
                "-cas=N",
            ),
            (
                api(400, "check-and-set parameter required for this call"),
                "-cas=N",
            ),
            (api(412, "contended"), "try again"),
        ] {
            let given = setup("http://h", None);
            let hint = given.next_step(&error).unwrap_or_default();
            assert!(hint.contains(step), "{error}: {hint}");
        }
        assert_eq!(Setup::default().next_step(&api(400, "no")), None);
    }

    #[test]
    fn a_denial_without_a_token_is_about_the_token() {
        let mut given = Setup::default();
        for error in [
            api(403, "permission denied"),
            api(400, "missing client token"),
        ] {
            let hint = given.next_step(&error).unwrap();
            assert!(hint.starts_with("No token is given"), "{hint}");
            assert!(
                hint.contains("keyfold login") && hint.contains("VAULT_TOKEN"),
                "{hint}"
            );
        }
        given.token = true;
        given.token_from = Some("BAO_TOKEN".to_owned());
        let hint = given.next_step(&api(403, "permission denied")).unwrap();
        assert!(hint.contains("the token (from BAO_TOKEN) is"), "{hint}");
    }

    #[test]
    fn what_named_the_address_is_named() {
        for name in ["KEYFOLD_ADDR", "BAO_ADDR", "VAULT_ADDR", "-address"] {
            let refused = setup("http://h:1", Some(name)).unreachable("connection refused");
            assert!(
                refused.contains(&format!("{name} says where to look")),
                "{refused}"
            );
            let plain = setup("https://h:1", Some(name))
                .unreachable("received corrupt message of type InvalidContentType");
            assert!(plain.contains(&format!("{name}=http://h:1")), "{plain}");
        }
        let proxied = Setup {
            proxy_from: Some("VAULT_PROXY_ADDR".to_owned()),
            ..setup("http://h:1", Some("VAULT_AGENT_ADDR"))
        };
        let refused = proxied.unreachable("connection refused");
        for name in ["VAULT_PROXY_ADDR names", "VAULT_AGENT_ADDR says"] {
            assert!(refused.contains(name), "{refused}");
        }
        let default = setup("https://127.0.0.1:8200", None).unreachable("connection refused");
        assert!(default.contains("default"), "{default}");
    }

    #[test]
    fn a_certificate_s_fault_is_named() {
        let given = setup("https://h:1", None);
        for (reason, step) in [
            ("invalid peer certificate: UnknownIssuer", "VAULT_CACERT"),
            (
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                "CA:FALSE",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"h\"",
                "subjectAltName",
            ),
            ("invalid peer certificate: Expired", "clock"),
        ] {
            let hint = given.unreachable(reason);
            assert!(hint.contains(step), "{reason}: {hint}");
        }
    }

    #[test]
    fn a_demanded_client_certificate_is_named() {
        let mut given = setup("https://h:1", Some("VAULT_ADDR"));
        for reason in [
            "received fatal alert: CertificateRequired",
            "Connection reset by peer (os error 104)",
            "Broken pipe (os error 32)",
        ] {
            let hint = given.unreachable(reason);
            assert!(hint.contains("VAULT_CLIENT_CERT"), "{reason}: {hint}");
            assert!(!hint.contains("Is the server up"), "{reason}: {hint}");
        }
        assert!(
            !given
                .unreachable("Connection refused (os error 111)")
                .contains("CLIENT_CERT")
        );
        given.client_certificate = true;
        for reason in ["received fatal alert: UnknownCA", "connection closed"] {
            let hint = given.unreachable(reason);
            assert!(hint.contains("tls_client_ca_file"), "{reason}: {hint}");
        }
    }
}
