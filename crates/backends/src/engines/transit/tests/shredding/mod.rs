//! Keys that are destroyed for good: by two people, after a time, with a receipt.

mod crash;
mod order;
mod revival;
mod steps;

use super::*;

const WEEK: u64 = 7 * 24 * 3600;

/// Who has a token with this accessor, and no entity.
fn person(accessor: &str) -> Caller {
    let token = json!({
        "accessor": accessor, "policies": ["default"], "path": "auth/token/create",
        "display_name": "token", "meta": null, "num_uses": 0, "created": 0, "creation_ttl": 0,
        "granted_ttl": 0, "explicit_max_ttl": 0, "period": 0, "renewable": true, "expires": null,
        "renewed": null, "parent": null,
    });
    Caller {
        token: Some(Arc::new(serde_json::from_value(token).unwrap())),
        ..Caller::anonymous()
    }
}

impl Mount {
    /// A step in the destruction of a key: by whom, and seconds after the beginning.
    async fn step(&self, who: &str, after: u64, path: &str, body: Value) -> Result<Answer, Error> {
        let body = body.to_string();
        self.ask_as(&person(who), NOW + after, (Op::Write, path, &body))
            .await
    }

    /// One that has to be refused: the text.
    async fn no_step(&self, who: &str, after: u64, path: &str, body: Value) -> String {
        match self.step(who, after, path, body).await {
            Err(Error::BadRequest(text)) => text,
            Err(other) => panic!("{path}: {other}"),
            Ok(answer) => panic!("{path} was taken: {}", answer.data),
        }
    }

    /// Ann asks, Ben approves, and after a week it goes: the answer.
    async fn shred(&self, key: &str) -> Value {
        let path = format!("keys/{key}/shred");
        let reason = json!({"reason": "the tenant left"});
        self.step("ann", 0, &path, reason).await.unwrap();
        let approve = format!("{path}/approve");
        self.step("ben", 1, &approve, json!({})).await.unwrap();
        let destroy = format!("{path}/destroy");
        let gone = self.step("ann", WEEK, &destroy, json!({})).await;
        gone.unwrap().data
    }

    async fn state(&self, key: &str) -> Value {
        let path = format!("keys/{key}/shred");
        let answer = self.ask(Op::Read, &path, "").await;
        answer.map_or(Value::Null, |answer| answer.data)
    }

    /// Storage keys of the view that have to do with an id.
    async fn traces(&self, id: &str) -> Vec<String> {
        let mut left = Vec::new();
        for folder in ["keys/", "times/", "census/", "catalogs/", "chains/"] {
            let page = self.transit.view.list(folder, "", 0).await.unwrap();
            left.extend(page.names.into_iter().filter(|name| name.contains(id)));
        }
        left
    }
}
