//! The smallest auth method there is: it believes everybody. Also the example of how one is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::auth::Login;
use keyfold_core::ports::engine::{Call, Dispatch, Engine, EngineKind, MountContext, Route};
use keyfold_core::reply::Reply;
use keyfold_core::request::Op;
use keyfold_core::tokens::TokenParams;
use serde::Deserialize;

pub const KIND: EngineKind = EngineKind {
    name: "people",
    open,
    remembers: false,
};

struct People;

fn open(_: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    Ok(Arc::new(People))
}

#[derive(Deserialize)]
struct Says {
    #[serde(default, deserialize_with = "weak::list")]
    groups: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::list")]
    policies: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::map")]
    metadata: Option<BTreeMap<String, String>>,
}

impl Engine for People {
    fn routes() -> &'static [Route<Self>] {
        type Row = Route<People>;
        static ROUTES: &[Row] = &[Row::new(
            Op::Write,
            "login/{name}",
            "Logs in as whoever one says.",
            |p, c| Box::pin(p.login(c)),
        )
        .open()];
        ROUTES
    }
}

impl People {
    async fn login(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let says = call.decode::<Says>()?;
        let name = call.param("name");
        Ok(Reply::login(Login {
            alias: name.to_owned(),
            alias_metadata: says.metadata.unwrap_or_default(),
            groups: says.groups.unwrap_or_default(),
            display_name: name.to_owned(),
            metadata: BTreeMap::new(),
            internal: BTreeMap::new(),
            params: TokenParams {
                policies: says.policies.unwrap_or_default(),
                ..TokenParams::default()
            },
        }))
    }
}
