//! What a new vault is told before it serves, and a process that dies meanwhile.

use std::time::Duration;

use keyfold_core::initialize::{Node, Stanza, Step};
use keyfold_core::request::Op;
use keyfold_core::testing::Moment;
use serde_json::{Value, json};

use crate::tokens::{alive, settle, stored};
use crate::world::World;

/// A token of its own, and a mount. A crash may have either asked for twice, which fails.
fn stanzas() -> Vec<Stanza> {
    let step = |name: &str, path: &str, data: Value| Step {
        name: name.to_owned(),
        op: Op::Write,
        path: path.to_owned(),
        data: Node::Literal(data),
        token: None,
        headers: Node::Object(Vec::new()),
        when: None,
        allow_failure: true,
    };
    let mine = json!({"id": "mine", "policies": "default", "ttl": "24h"});
    vec![Stanza {
        name: "base".to_owned(),
        requests: vec![
            step("token", "auth/token/create", mine),
            step("mount", "sys/mounts/shelf", json!({"type": "shelf"})),
        ],
    }]
}

#[tokio::test]
async fn what_was_made_outlives_a_crash_and_the_token_that_it_was_made_with() {
    for moment in [Moment::Before, Moment::After] {
        for n in 0.. {
            assert!(n < 500, "it does not end");
            let mut world = World::told(stanzas).await;
            world.init().await.unwrap();
            let start = world.store.operations();
            world.store.crash_at(start + n, moment);
            let _ = world.unseal().await;
            let reached = world.store.operations() > start + n;
            // Longer than the stanzas' own token lives.
            world.clock.advance(Duration::from_secs(3600));
            world.restart().await;
            world.unseal().await.unwrap();
            let vault = world.core.unsealed().unwrap();
            vault.tokens.sweep().await.unwrap();
            settle(&world).await;
            let what = format!("{moment:?} {n}");
            assert!(alive(&world, "mine").await, "{what}");
            world.write("shelf/a", json!({"v": 1})).await.unwrap();
            // Besides it the root token of the start.
            assert_eq!(stored(&world, "sys/token/id/").await, 2, "{what}");
            assert_eq!(stored(&world, "sys/initialize/").await, 0, "{what}");
            if !reached {
                break;
            }
        }
    }
}
