//! [`Window`]: which part of a list is asked for.

use keyfold_api::weak;
use serde::Deserialize;

use super::Call;
use crate::barrier::View;
use crate::error::Error;
use crate::reply::{self, Reply};

/// The members of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Window {
    #[serde(deserialize_with = "weak::string")]
    after: Option<String>,
    #[serde(deserialize_with = "weak::int")]
    limit: Option<i64>,
}

impl Window {
    /// The name before the part, which need not exist; empty where the part is the first.
    pub fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    /// Names that the part may have, within what the caller's policy lets a list have; zero for no
    /// bound.
    pub fn limit(&self, call: &Call<'_>) -> usize {
        // Zero and less are no bound.
        let asked = usize::try_from(self.limit.unwrap_or_default()).unwrap_or_default();
        match (asked, call.caller.page_limit) {
            (0, bound) => bound.unwrap_or_default(),
            (asked, Some(bound)) => asked.min(bound),
            (asked, None) => asked,
        }
    }
}

impl Call<'_> {
    /// The part that is asked for of the names in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there are none.
    pub async fn list(&self, view: &View, folder: &str) -> Result<Reply, Error> {
        let window = self.decode::<Window>()?;
        let page = view
            .list(folder, window.after(), window.limit(self))
            .await?;
        reply::keys(page.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::ports::pattern::Params;
    use crate::request::{Body, Op};
    use crate::tokens::Caller;

    #[test]
    fn a_policy_bounds_what_is_asked() {
        let limit = |asked: &str, bound: Option<usize>| {
            let body = Body::new(format!("{{\"limit\":{asked}}}").into_bytes());
            let caller = Caller {
                page_limit: bound,
                ..Caller::anonymous()
            };
            let call = Call {
                caller: &caller,
                ..Call::new(Op::List, "", Params::default(), &body, Time::default())
            };
            call.decode::<Window>().unwrap().limit(&call)
        };
        for (asked, bound, given) in [
            ("null", None, 0),
            ("null", Some(3), 3),
            ("-1", Some(3), 3),
            ("\"2\"", Some(3), 2),
            ("9", Some(3), 3),
            ("9", None, 9),
        ] {
            assert_eq!(limit(asked, bound), given, "{asked} {bound:?}");
        }
    }
}
