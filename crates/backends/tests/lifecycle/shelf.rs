//! The smallest engine there is: texts on a shelf. Also the example of how one is written.

use std::sync::Arc;

use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::{Call, Dispatch, Engine, EngineKind, MountContext, Route};
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::{Json, Reply, keys};
use keyfold_core::request::Op;

pub const KINDS: &[EngineKind] = &[
    EngineKind {
        name: "shelf",
        open,
        remembers: false,
    },
    keyfold_backends::engines::transit::KIND,
];

struct Shelf {
    view: View,
}

fn open(cx: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    Ok(Arc::new(Shelf { view: cx.view }))
}

impl Engine for Shelf {
    fn routes() -> &'static [Route<Self>] {
        type Row = Route<Shelf>;
        static ROUTES: &[Row] = &[
            Row::new(
                Op::Read,
                "{name}",
                "Takes a text from the shelf.",
                |s, c| Box::pin(s.take(c)),
            ),
            Row::new(Op::Write, "{name}", "Puts a text on the shelf.", |s, c| {
                Box::pin(s.put(c))
            })
            .exists(|s, c| Box::pin(async { Ok(s.view.get(c.param("name")).await?.is_some()) })),
            Row::new(Op::Delete, "{name}", "Throws a text away.", |s, c| {
                Box::pin(s.drop(c))
            }),
            Row::new(Op::List, "", "Lists the shelf.", |s, _| Box::pin(s.list())),
        ];
        ROUTES
    }
}

impl Shelf {
    async fn take(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let stored = self
            .view
            .get(call.param("name"))
            .await?
            .ok_or(Error::NotFound)?;
        Ok(Reply::raw(Json::raw(stored.value.expose().clone())))
    }

    async fn put(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.view
            .commit(Batch::new().put(call.param("name"), call.body.bytes()))
            .await?;
        Ok(Reply::none())
    }

    async fn drop(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.view
            .commit(Batch::new().delete(call.param("name")))
            .await?;
        Ok(Reply::none())
    }

    async fn list(&self) -> Result<Reply, Error> {
        keys(self.view.list("", "", 0).await?.names)
    }
}
