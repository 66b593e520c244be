//! `sys/seal-check` and `sys/share-check`: would it open today?

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::{Doors, Row, System};
use crate::error::Error;
use crate::lifecycle::{FOREIGN, Rehearsed};
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::Op;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            Op::Write,
            "seal-check",
            "Has every seal show that it opens the store.",
            |s, _| Box::pin(s.seal_check()),
        )
        .sudo(),
    ]
}

#[derive(Serialize)]
struct Checked {
    /// All of them open it.
    ok: bool,
    seals: Vec<Rehearsed>,
    shares: People,
}

#[derive(Serialize)]
struct People {
    n: u8,
    t: u8,
    /// Enough of them open it.
    opens: bool,
}

#[derive(Deserialize)]
struct ShareCheck {
    #[serde(default, deserialize_with = "weak::string")]
    check: Option<String>,
}

#[derive(Serialize)]
struct Share {
    /// From 1, in the order in which they were handed out.
    share: usize,
    n: u8,
    t: u8,
}

impl System {
    async fn seal_check(&self) -> Result<Reply, Error> {
        let seals = self.core.rehearse().await?;
        let (n, t) = self.core.shares();
        Reply::data(&Checked {
            ok: seals.iter().all(|seal| seal.opens),
            seals,
            shares: People {
                n,
                t,
                opens: self.core.shares_open(),
            },
        })
    }
}

impl Doors {
    pub(super) async fn share_terms(&self) -> Result<Reply, Error> {
        Reply::bare(&self.0.share_terms()?)
    }

    pub(super) async fn share_check(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<ShareCheck>()?;
        let Some(check) = asked.check.filter(|check| !check.is_empty()) else {
            return Err(Error::field(
                "check",
                "is needed: the check of a share, in hex",
            ));
        };
        let Some(share) = self.0.check_share(&check.to_ascii_lowercase())? else {
            return Err(Error::bad(FOREIGN));
        };
        let (n, t) = self.0.shares();
        Reply::bare(&Share { share, n, t })
    }
}
