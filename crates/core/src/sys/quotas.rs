//! `sys/quotas/`: rate limits.

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::{Row, System};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::quotas::{Config, Rule};
use crate::reply::{self, Reply};
use crate::request::Op;

/// Paths without a limit that are kept at most.
const MAX_EXEMPT: usize = 1000;

pub(super) fn rows() -> Vec<Row> {
    let list = |pattern| {
        Row::new(Op::List, pattern, "Lists the rate limits.", |s, _| {
            Box::pin(s.limits_list())
        })
    };
    vec![
        Row::new(Op::Read, "quotas/config", "What holds for all.", |s, _| {
            Box::pin(s.quotas_read())
        }),
        Row::new(
            Op::Write,
            "quotas/config",
            "Sets what holds for all.",
            |s, c| Box::pin(s.quotas_write(c)),
        ),
        list("quotas/rate-limit"),
        list("quotas/rate-limit/"),
        Row::new(
            Op::Read,
            "quotas/rate-limit/{name}",
            "Reads a rate limit.",
            |s, c| Box::pin(s.limit_read(c)),
        ),
        Row::new(
            Op::Write,
            "quotas/rate-limit/{name}",
            "Sets a rate limit.",
            |s, c| Box::pin(s.limit_write(c)),
        ),
        Row::new(
            Op::Delete,
            "quotas/rate-limit/{name}",
            "Removes a rate limit.",
            |s, c| Box::pin(s.limit_delete(c)),
        ),
    ]
}

#[derive(Deserialize)]
struct WriteConfig {
    #[serde(default, deserialize_with = "weak::list")]
    rate_limit_exempt_paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::boolean")]
    enable_rate_limit_audit_logging: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    enable_rate_limit_response_headers: Option<bool>,
}

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::string")]
    path: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    role: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    rate: Option<String>,
    #[serde(default, deserialize_with = "weak::duration")]
    interval: Option<Seconds>,
    #[serde(default, deserialize_with = "weak::duration")]
    block_interval: Option<Seconds>,
    #[serde(default, deserialize_with = "weak::boolean")]
    inheritable: Option<bool>,
    /// Told by reads, so taken from those who write back what they read.
    #[serde(default, rename = "type", deserialize_with = "weak::string")]
    _kind: Option<String>,
    #[serde(default, rename = "name", deserialize_with = "weak::string")]
    _name: Option<String>,
}

#[derive(Serialize)]
struct ShownConfig<'a> {
    enable_rate_limit_audit_logging: bool,
    enable_rate_limit_response_headers: bool,
    rate_limit_exempt_paths: &'a [String],
}

#[derive(Serialize)]
struct Shown<'a> {
    block_interval: u64,
    inheritable: bool,
    interval: u64,
    name: &'a str,
    path: &'a str,
    rate: serde_json::Number,
    role: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl System {
    async fn quotas_read(&self) -> Result<Reply, Error> {
        let config = self.vault.quotas.config().await?;
        Reply::data(&ShownConfig {
            enable_rate_limit_audit_logging: config.audit,
            enable_rate_limit_response_headers: config.headers,
            rate_limit_exempt_paths: &config.exempt,
        })
    }

    /// Sets all of it: what is left out is off, or empty.
    async fn quotas_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<WriteConfig>()?;
        let exempt = asked.rate_limit_exempt_paths.unwrap_or_default();
        if exempt.len() > MAX_EXEMPT {
            return Err(Error::field(
                "rate_limit_exempt_paths",
                format!("more than {MAX_EXEMPT}"),
            ));
        }
        let config = Config {
            audit: asked.enable_rate_limit_audit_logging.unwrap_or(false),
            headers: asked.enable_rate_limit_response_headers.unwrap_or(false),
            exempt,
        };
        self.vault.quotas.configure(&config).await?;
        Ok(Reply::none())
    }

    async fn limits_list(&self) -> Result<Reply, Error> {
        reply::keys(self.vault.quotas.names().await?)
    }

    async fn limit_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let rule = self.vault.quotas.read(call.param("name")).await?;
        let rule = rule.ok_or(Error::NotFound)?;
        Reply::data(&Shown {
            block_interval: rule.block_interval,
            inheritable: rule.inheritable.unwrap_or(rule.path.is_empty()),
            interval: rule.interval,
            name: &rule.name,
            path: &rule.path,
            rate: number(rule.rate),
            role: "",
            kind: "rate-limit",
        })
    }

    async fn limit_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let rate = match asked.rate.as_deref() {
            None | Some("") => 0.0,
            Some(text) => text
                .parse::<f64>()
                .map_err(|_| Error::field("rate", "is no number"))?,
        };
        if !(rate.is_finite() && rate > 0.0) {
            return Err(Error::bad("'rate' is invalid"));
        }
        let path = asked.path.unwrap_or_default();
        let given = path.trim_start_matches('/');
        let path = given.trim_end_matches('/').to_owned();
        if path
            .strip_suffix('*')
            .is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/'))
        {
            return Err(Error::field("path", "a * stands for whole segments"));
        }
        let mount = self.vault.mounts.route(&path).map(|(mount, _)| mount);
        match mount {
            None if !path.is_empty() => {
                return Err(Error::bad(format!("invalid mount path \"{given}\"")));
            }
            mount if asked.role.is_some_and(|role| !role.is_empty()) => {
                return Err(match mount.is_some_and(|m| m.record.is_auth()) {
                    true => Error::field("role", "rate limits of one role are not offered"),
                    false => Error::bad(format!(
                        "Mount path \"{given}\" is not a valid auth method and therefore \
                         unsuitable for use with role-based quotas"
                    )),
                });
            }
            _ => {}
        }
        // A mount is told with its slash, as it is everywhere.
        let folder = format!("{path}/");
        let path = match self.vault.mounts.table().at(&folder) {
            Some(_) => folder,
            None => path,
        };
        let secs = |of: Option<Seconds>| of.and_then(|s| u64::try_from(s.0).ok()).unwrap_or(0);
        let rule = Rule {
            name: call.param("name").to_owned(),
            path,
            rate,
            interval: secs(asked.interval).max(1),
            block_interval: secs(asked.block_interval),
            inheritable: asked.inheritable,
        };
        self.vault.quotas.write(&rule).await?;
        Ok(Reply::none())
    }

    async fn limit_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.vault.quotas.delete(call.param("name")).await?;
        Ok(Reply::none())
    }
}

/// Whole rates are shown without a fraction.
fn number(rate: f64) -> serde_json::Number {
    match rate.fract() == 0.0 && rate < 1e15 {
        true => (rate as u64).into(),
        false => serde_json::Number::from_f64(rate).unwrap_or_else(|| 0.into()),
    }
}
