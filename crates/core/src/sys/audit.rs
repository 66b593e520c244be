//! `sys/audit`, `sys/audit-hash` and `sys/config/auditing`.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::System;
use crate::audit::{Device, DeviceSpec, HeaderSetting};
use crate::error::{Error, UnsupportedReason};
use crate::ports::engine::Call;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Enable {
    #[serde(default, rename = "type", deserialize_with = "weak::string")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    description: Option<String>,
    #[serde(default, deserialize_with = "weak::map")]
    options: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "weak::boolean")]
    local: Option<bool>,
}

/// A device as the wire shows it.
#[derive(Serialize)]
struct Shown<'a> {
    description: &'a str,
    local: bool,
    options: &'a BTreeMap<String, String>,
    path: String,
    #[serde(rename = "type")]
    kind: &'a str,
    /// Only where it is so: other servers have no such member.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<bool>,
}

#[derive(Deserialize)]
struct Hash {
    #[serde(default, deserialize_with = "weak::secret_string")]
    input: Option<keyfold_secret::Secret<String>>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "weak::boolean")]
    hmac: Option<bool>,
}

impl System {
    pub(super) async fn audit_list(&self) -> Result<Reply, Error> {
        let devices = self.vault.audit.devices();
        let shown: BTreeMap<String, Shown<'_>> = devices.iter().map(show).collect();
        Reply::injected(&shown)
    }

    pub(super) async fn audit_enable(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = named(call)?;
        let asked = call.decode::<Enable>()?;
        let spec = DeviceSpec {
            kind: asked.kind.unwrap_or_default(),
            description: asked.description.unwrap_or_default(),
            options: asked.options.unwrap_or_default(),
            local: asked.local.unwrap_or(false),
        };
        self.vault.audit.enable(name, spec).await?;
        Ok(Reply::none())
    }

    pub(super) async fn audit_disable(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.vault.audit.disable(named(call)?).await?;
        Ok(Reply::none())
    }

    pub(super) async fn audit_hash(&self, call: &Call<'_>) -> Result<Reply, Error> {
        #[derive(Serialize)]
        struct Hashed {
            hash: String,
        }
        let name = named(call)?;
        let asked = call.decode::<Hash>()?;
        let input = asked.input.filter(|input| !input.expose().is_empty());
        let input = input.ok_or_else(|| Error::bad("the \"input\" parameter is empty"))?;
        let mut devices = self.vault.audit.devices().into_iter();
        if !devices.any(|device| device.name == name) {
            return Err(Error::bad(format!("unknown audit backend \"{name}/\"")));
        }
        let hash = self.vault.audit.hash(input.expose());
        Reply::injected(&Hashed { hash })
    }

    pub(super) async fn audited_headers_list(&self) -> Result<Reply, Error> {
        let headers = self.vault.audit.headers().unwrap_or_default();
        Reply::injected(&BTreeMap::from([("headers", &*headers)]))
    }

    pub(super) async fn audited_header_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let folded = header(call);
        let headers = self.vault.audit.headers().unwrap_or_default();
        let setting = headers.get(&folded);
        let setting = setting.ok_or_else(|| Error::bad("Could not find header in config"))?;
        Reply::injected(&BTreeMap::from([(call.param("header"), setting)]))
    }

    pub(super) async fn audited_header_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = header(call);
        let hmac = call.decode::<Header>()?.hmac.unwrap_or(false);
        let setting = HeaderSetting { hmac };
        self.vault.audit.want_header(&name, setting).await?;
        Ok(Reply::none())
    }

    pub(super) async fn audited_header_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = header(call);
        self.vault.audit.drop_header(&name).await?;
        Ok(Reply::none())
    }
}

/// The header's name in lower case.
fn header(call: &Call<'_>) -> String {
    call.param("header").to_ascii_lowercase()
}

fn show(device: &Arc<Device>) -> (String, Shown<'_>) {
    let path = format!("{}/", device.name);
    let shown = Shown {
        description: &device.spec.description,
        local: device.spec.local,
        options: &device.spec.options,
        path: path.clone(),
        kind: &device.spec.kind,
        failing: device.is_failing().then_some(true),
    };
    (path, shown)
}

/// The device that a path names. The list itself can't be written or removed, and a name has no
/// empty segment: each has one spelling, so that rules on it hold.
fn named<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    let name = call.param("path");
    if name.is_empty() {
        return Err(Error::Unsupported(UnsupportedReason::Operation));
    }
    if name.split('/').any(str::is_empty) {
        return Err(Error::Unsupported(UnsupportedReason::Path));
    }
    Ok(name)
}
