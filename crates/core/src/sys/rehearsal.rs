//! `sys/seal-check` and `sys/share-check`: would it open today?

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::{Doors, Row, System};
use crate::error::Error;
use crate::lifecycle::{Assembled, FOREIGN, Rehearsed, Split};
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::Op;

/// A new root key takes none of the ways that are lost.
const NOTHING_OPENS: &str = "nothing that is configured opens this store once it is sealed: do not \
                             seal, stop or restart this server before that is mended. Configure what \
                             opened it; or make a new root key, with another seal that works \
                             (`keyfold operator rotate-root`) or with the holders of the shares \
                             (`keyfold operator rotate-keys -init`)";

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
    /// The store can be opened, and all of them open it.
    ok: bool,
    /// The store can be opened today, in some way.
    opens: bool,
    seals: Vec<Rehearsed>,
    /// What the parts of the seals open together, where no way opens the store alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<Assembled>,
    shares: People,
}

#[derive(Serialize)]
struct People {
    n: u8,
    t: u8,
    /// Enough of them open it.
    opens: bool,
    /// A second set of shares, of a rekey that may not have been told, opens it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Split>,
}

#[derive(Deserialize)]
struct ShareCheck {
    #[serde(default, deserialize_with = "weak::string")]
    check: Option<String>,
    /// The same share's check under the second set's salt, where there is one.
    #[serde(default, deserialize_with = "weak::string")]
    check_next: Option<String>,
}

impl System {
    async fn seal_check(&self) -> Result<Reply, Error> {
        let rehearsal = self.core.rehearse().await?;
        let nothing = (!rehearsal.opens()).then(|| NOTHING_OPENS.to_owned());
        let (n, t) = self.core.shares();
        let reply = Reply::data(&Checked {
            ok: rehearsal.is_good(),
            opens: rehearsal.opens(),
            seals: rehearsal.seals,
            quorum: rehearsal.together,
            shares: People {
                n,
                t,
                opens: rehearsal.people,
                next: self.core.shares_next(),
            },
        })?;
        let remarks = nothing.into_iter().chain(self.core.seal_remarks());
        Ok(remarks.fold(reply, Reply::warn))
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
        let next = asked.check_next.map(|check| check.to_ascii_lowercase());
        let known = self
            .0
            .check_share(&check.to_ascii_lowercase(), next.as_deref())?;
        Reply::bare(&known.ok_or_else(|| Error::bad(FOREIGN))?)
    }
}
