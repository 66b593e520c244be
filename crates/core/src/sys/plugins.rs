//! `sys/plugins/catalog`: what can be mounted. All of it is built in.

use serde::Serialize;

use super::{Row, System};
use crate::error::Error;
use crate::ports::engine::{Call, EngineKind};
use crate::reply::{self, Reply};
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            Op::Read,
            "plugins/catalog",
            "What can be mounted.",
            |s, _| Box::pin(s.catalog()),
        ),
        Row::new(
            Op::List,
            "plugins/catalog/{type}",
            "What of a type can.",
            |s, c| Box::pin(s.catalog_list(c)),
        ),
        Row::new(
            Op::Read,
            "plugins/catalog/{type}/{name}",
            "One of them.",
            |s, c| Box::pin(s.catalog_read(c)),
        ),
    ]
}

#[derive(Serialize)]
struct Catalog<'a> {
    auth: Vec<&'a str>,
    database: Vec<&'a str>,
    secret: Vec<&'a str>,
    detailed: Vec<Brief<'a>>,
}

#[derive(Serialize)]
struct Brief<'a> {
    builtin: bool,
    deprecation_status: &'static str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'a str,
}

#[derive(Serialize)]
struct Detailed<'a> {
    args: Option<Vec<String>>,
    builtin: bool,
    command: &'static str,
    declarative: bool,
    deprecation_status: &'static str,
    name: &'a str,
    oci: bool,
    sha256: &'static str,
    version: &'a str,
}

const SUPPORTED: &str = "supported";

impl System {
    async fn catalog(&self) -> Result<Reply, Error> {
        let version = self.builtin_version();
        let brief = |kind: &'static str| {
            let version = &version;
            let names = self.mountable(kind).into_iter();
            names.map(move |name| Brief {
                builtin: true,
                deprecation_status: SUPPORTED,
                name,
                kind,
                version,
            })
        };
        Reply::data(&Catalog {
            auth: self.mountable("auth"),
            database: self.mountable("database"),
            secret: self.mountable("secret"),
            detailed: brief("auth").chain(brief("secret")).collect(),
        })
    }

    async fn catalog_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let names = self.mountable(call.param("type")).into_iter();
        reply::keys(names.map(str::to_owned).collect())
    }

    async fn catalog_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let name = call.param("name");
        if !self.mountable(call.param("type")).contains(&name) {
            return Err(Error::NotFound);
        }
        Reply::data(&Detailed {
            args: None,
            builtin: true,
            command: "",
            declarative: false,
            deprecation_status: SUPPORTED,
            name,
            oci: false,
            sha256: "",
            version: &self.builtin_version(),
        })
    }

    fn mountable(&self, kind: &str) -> Vec<&'static str> {
        let kinds = self.core.kinds();
        let kinds: &[EngineKind] = match kind {
            "auth" => kinds.auths,
            "secret" => kinds.engines,
            _ => &[],
        };
        let mut names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names
    }

    fn builtin_version(&self) -> String {
        format!("v{}+builtin", self.core.settings().version)
    }
}
