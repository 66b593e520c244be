//! The configuration: where the keys come from, and what is demanded of every token.

use keyfold_api::weak;
use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::fetch::FetchError;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Jwt;
use super::jwks;
use super::keys::Source;
use super::signature::Algorithm;

/// The record's key.
pub(super) const KEY: &str = "config";

/// What is stored.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Config {
    #[serde(flatten)]
    pub(super) shown: Shown,
    /// Of the browser's flow: kept, never shown.
    oidc_client_secret: String,
}

/// What is shown of it, too.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Shown {
    /// What `iss` has to be; anything where empty.
    pub(super) bound_issuer: String,
    /// The role of a login that names none.
    pub(super) default_role: String,
    jwks_ca_pem: String,
    jwks_url: String,
    /// What tokens may be signed with; anything that a key can do where empty.
    pub(super) jwt_supported_algs: Vec<Algorithm>,
    jwt_validation_pubkeys: Vec<String>,
    namespace_in_state: bool,
    oidc_client_id: String,
    oidc_discovery_ca_pem: String,
    oidc_discovery_url: String,
    oidc_response_mode: String,
    oidc_response_types: Vec<String>,
    override_allowed_server_names: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Members {
    #[serde(deserialize_with = "weak::string")]
    bound_issuer: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    default_role: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    jwks_ca_pem: Option<String>,
    jwks_pairs: Option<Vec<Value>>,
    #[serde(deserialize_with = "weak::string")]
    jwks_url: Option<String>,
    #[serde(deserialize_with = "weak::list")]
    jwt_supported_algs: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    jwt_validation_pubkeys: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::boolean")]
    namespace_in_state: Option<bool>,
    #[serde(deserialize_with = "weak::string")]
    oidc_client_id: Option<String>,
    #[serde(deserialize_with = "weak::secret_string")]
    oidc_client_secret: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::string")]
    oidc_discovery_ca_pem: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    oidc_discovery_url: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    oidc_response_mode: Option<String>,
    #[serde(deserialize_with = "weak::list")]
    oidc_response_types: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    override_allowed_server_names: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::object")]
    provider_config: Option<Map<String, Value>>,
    #[serde(deserialize_with = "weak::boolean")]
    skip_jwks_validation: Option<bool>,
}

/// `GET config`.
pub(super) async fn read(mount: &Jwt) -> Result<Reply, Error> {
    #[derive(Serialize)]
    struct View {
        #[serde(flatten)]
        shown: Shown,
        provider_config: Map<String, Value>,
        status: &'static str,
    }
    let (config, _) = mount
        .view
        .read::<Config>(KEY)
        .await?
        .ok_or(Error::NotFound)?;
    let failing = mount.keys.are_failing();
    Reply::data(&View {
        shown: config.shown,
        provider_config: Map::new(),
        status: if failing { "invalid" } else { "valid" },
    })
}

/// `PUT config`: takes the place of what was there, after it was tried.
pub(super) async fn write(mount: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
    let members: Members = call.decode()?;
    let unchecked = members.skip_jwks_validation.unwrap_or(false);
    let config = members.config()?;
    let mut reply = Reply::none();
    match (
        mount.keys.fetch(&config.source()?).await,
        &config.shown.jwks_url,
    ) {
        (Ok(_), _) => {}
        (Err(error), _) if unchecked => reply = reply.warn(error.to_string()),
        (Err(FetchError::Invalid(text)), _) => return Err(Error::bad(text)),
        (Err(error), url) if !url.is_empty() => {
            return Err(Error::bad(format!("error checking jwks URL: {error}")));
        }
        (Err(error), _) => {
            return Err(Error::bad(format!(
                "error checking oidc discovery URL: {error}"
            )));
        }
    }
    let record = json(&config)?;
    let put = || mount.view.commit(Batch::new().put(KEY, record.clone()));
    mount.view.change(KEY, put).await?;
    mount.keys.forget();
    Ok(reply)
}

impl Members {
    /// The configuration, checked as far as it can be without asking anybody.
    fn config(self) -> Result<Config, Error> {
        if self.jwks_pairs.is_some_and(|pairs| !pairs.is_empty()) {
            return Err(Error::field(
                "jwks_pairs",
                "is not offered; give one \"jwks_url\"",
            ));
        }
        if self
            .provider_config
            .is_some_and(|config| !config.is_empty())
        {
            let what = "no provider is offered that needs a configuration";
            return Err(Error::field("provider_config", what));
        }
        let algorithm = |name: &String| {
            let unsupported = || {
                let text = "invalid jwt_supported_algs: unsupported signing algorithm";
                Error::bad(format!("{text} {name:?}"))
            };
            Algorithm::parse(name).ok_or_else(unsupported)
        };
        let algorithms = self.jwt_supported_algs.unwrap_or_default();
        let pems = self.jwt_validation_pubkeys.unwrap_or_default();
        let secret = self.oidc_client_secret.map(Secret::into_inner);
        let config = Config {
            shown: Shown {
                bound_issuer: self.bound_issuer.unwrap_or_default(),
                default_role: self.default_role.unwrap_or_default(),
                jwks_ca_pem: self.jwks_ca_pem.unwrap_or_default(),
                jwks_url: self.jwks_url.unwrap_or_default(),
                jwt_supported_algs: algorithms.iter().map(algorithm).collect::<Result<_, _>>()?,
                jwt_validation_pubkeys: pems.iter().map(|pem| pem.trim().to_owned()).collect(),
                namespace_in_state: self.namespace_in_state.unwrap_or(true),
                oidc_client_id: self.oidc_client_id.unwrap_or_default(),
                oidc_discovery_ca_pem: self.oidc_discovery_ca_pem.unwrap_or_default(),
                oidc_discovery_url: self.oidc_discovery_url.unwrap_or_default(),
                oidc_response_mode: self.oidc_response_mode.unwrap_or_default(),
                oidc_response_types: self.oidc_response_types.unwrap_or_default(),
                override_allowed_server_names: self
                    .override_allowed_server_names
                    .unwrap_or_default(),
            },
            oidc_client_secret: secret.unwrap_or_default(),
        };
        config.source()?;
        config.check_browser()?;
        Ok(config)
    }
}

impl Config {
    /// Where the keys come from.
    pub(super) fn source(&self) -> Result<Source, Error> {
        let shown = &self.shown;
        let authorities = |pem: &String| (!pem.is_empty()).then(|| pem.clone());
        let pems = &shown.jwt_validation_pubkeys;
        match (&*shown.jwks_url, &*shown.oidc_discovery_url, &**pems) {
            ("", "", [_, ..]) => {
                let keys = pems.iter().map(|pem| jwks::parse_pem(pem));
                let keys = keys.collect::<Result<_, _>>();
                let wrong = |what| Error::bad(format!("error parsing public key: {what}"));
                Ok(Source::Static(keys.map_err(wrong)?))
            }
            (url, "", []) if !url.is_empty() => Ok(Source::Jwks {
                url: url.to_owned(),
                authorities: authorities(&shown.jwks_ca_pem),
            }),
            ("", url, []) if !url.is_empty() => Ok(Source::Discovery {
                url: url.trim_end_matches('/').to_owned(),
                authorities: authorities(&shown.oidc_discovery_ca_pem),
            }),
            _ => Err(Error::bad(
                "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', \
                 'oidc_discovery_url', or 'provider_config' must be set",
            )),
        }
    }

    /// The settings of the browser's flow, which have to fit each other though it is not offered.
    fn check_browser(&self) -> Result<(), Error> {
        let shown = &self.shown;
        if shown.oidc_client_id.is_empty() != self.oidc_client_secret.is_empty() {
            return Err(Error::bad(
                "both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC",
            ));
        }
        if !shown.oidc_client_id.is_empty() && shown.oidc_discovery_url.is_empty() {
            return Err(Error::bad("'oidc_discovery_url' must be set for OIDC"));
        }
        if !matches!(&*shown.oidc_response_mode, "" | "query" | "form_post") {
            let what = "has to be \"query\" or \"form_post\"";
            return Err(Error::field("oidc_response_mode", what));
        }
        let known = |kind: &String| matches!(&**kind, "code" | "id_token");
        if !shown.oidc_response_types.iter().all(known) {
            let what = "'code' and 'id_token' are allowed";
            return Err(Error::field("oidc_response_types", what));
        }
        Ok(())
    }
}
