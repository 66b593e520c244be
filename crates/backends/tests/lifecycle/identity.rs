//! Who logs in is somebody, and what they may do is what they and their groups may.

use keyfold_core::error::Error;
use keyfold_core::reply::Reply;
use keyfold_core::request::Op;
use keyfold_core::testing::Moment;
use serde_json::{Value, json};

use crate::world::{World, data};

/// A world where people log in at `auth/people/`, and a text for each of three policies on its
/// shelf.
struct City {
    world: World,
    accessor: String,
}

/// Somebody who has logged in.
struct Citizen {
    token: String,
    entity: String,
    policies: Vec<String>,
}

impl City {
    async fn new() -> Self {
        let world = World::begun().await;
        world
            .write("sys/auth/people", json!({"type": "people"}))
            .await
            .unwrap();
        for name in ["a", "b", "c"] {
            let policy = format!("path \"shelf/{name}\" {{ capabilities = [\"read\"] }}");
            let path = format!("sys/policies/acl/{name}");
            world.write(&path, json!({"policy": policy})).await.unwrap();
            world
                .write(&format!("shelf/{name}"), json!({"v": name}))
                .await
                .unwrap();
        }
        let mount = world.read("sys/auth/people").await.unwrap();
        let accessor = mount["accessor"].as_str().unwrap().to_owned();
        Self { world, accessor }
    }

    async fn login(&self, name: &str, says: Value) -> Result<Citizen, Error> {
        let path = format!("auth/people/login/{name}");
        let auth = self.world.anonymous(Op::Write, &path, says).await?;
        let auth = auth.auth.unwrap();
        Ok(Citizen {
            token: auth.client_token.expose().clone(),
            entity: auth.entity_id,
            policies: auth.policies,
        })
    }

    /// Makes something below `identity/`; its id.
    async fn make(&self, path: &str, body: Value) -> String {
        let made = data(
            self.world
                .write(&format!("identity/{path}"), body)
                .await
                .unwrap(),
        );
        made["id"].as_str().unwrap().to_owned()
    }

    async fn change(&self, path: &str, body: Value) -> Reply {
        self.world
            .write(&format!("identity/{path}"), body)
            .await
            .unwrap()
    }

    async fn entity(&self, id: &str) -> Value {
        self.world
            .read(&format!("identity/entity/id/{id}"))
            .await
            .unwrap()
    }

    /// Which of the texts a token may read.
    async fn reads(&self, token: &str) -> String {
        let mut reads = String::new();
        for name in ["a", "b", "c"] {
            let path = format!("shelf/{name}");
            let read = self
                .world
                .ask(Some(token), Op::Read, &path, Value::Null)
                .await;
            match read {
                Ok(_) => reads.push_str(name),
                Err(Error::Denied) => {}
                Err(Error::NoToken) => reads.push('-'),
                Err(other) => panic!("{other}"),
            }
        }
        reads
    }
}

#[tokio::test]
async fn a_first_login_makes_an_entity_and_the_next_finds_it() {
    let city = City::new().await;
    let ann = city.login("ann", json!({"policies": "a"})).await.unwrap();
    assert_eq!(ann.policies, ["a", "default"]);
    let again = city.login("ANN", json!({})).await.unwrap();
    assert_eq!(ann.entity, again.entity);
    let entity = city.entity(&ann.entity).await;
    assert_eq!(entity["aliases"][0]["name"], "ann");
    assert_eq!(
        entity["aliases"][0]["mount_accessor"],
        city.accessor.as_str()
    );
    let metadata = json!({"metadata": {"team": "blue"}});
    city.login("ann", metadata).await.unwrap();
    let entity = city.entity(&ann.entity).await;
    assert_eq!(entity["aliases"][0]["metadata"]["team"], "blue");
    let ben = city.login("ben", json!({})).await.unwrap();
    assert_ne!(ben.entity, ann.entity);
}

#[tokio::test]
async fn a_refused_login_makes_no_entity() {
    let city = City::new().await;
    let tune = city
        .world
        .write("sys/auth/people/tune", json!({"token_type": "batch"}));
    tune.await.unwrap();
    // The first is nobody's to give; the others do not fit into a batch token.
    for policies in ["response-wrapping", "root", &"p".repeat(9000)] {
        let says = json!({"policies": policies});
        let refused = city.login("ann", says).await;
        assert!(matches!(refused, Err(Error::BadRequest(_))), "{policies}");
    }
    let listed = city.world.ask(
        Some(&city.world.root),
        Op::List,
        "identity/entity/id",
        Value::Null,
    );
    assert!(matches!(listed.await, Err(Error::NotFound)));
    city.login("ann", json!({"policies": "a"})).await.unwrap();
}

#[tokio::test]
async fn many_first_logins_at_once_make_one_entity() {
    let city = City::new().await;
    let logins = (0..32).map(|_| city.login("ann", json!({})));
    let people = futures_util::future::join_all(logins).await;
    let first = people[0].as_ref().unwrap().entity.clone();
    assert!(
        people
            .iter()
            .all(|ann| ann.as_ref().unwrap().entity == first)
    );
    let list = city.world.ask(
        Some(&city.world.root),
        Op::List,
        "identity/entity/id",
        Value::Null,
    );
    assert_eq!(
        data(list.await.unwrap())["keys"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn the_policies_of_the_entity_and_of_its_groups_count_at_once() {
    let city = City::new().await;
    let ann = city.login("ann", json!({})).await.unwrap();
    assert_eq!(city.reads(&ann.token).await, "");
    let path = format!("entity/id/{}", ann.entity);
    city.change(&path, json!({"policies": ["a"]})).await;
    assert_eq!(city.reads(&ann.token).await, "a");
    let inner = json!({"name": "inner", "policies": "b", "member_entity_ids": [ann.entity]});
    let inner = city.make("group", inner).await;
    assert_eq!(city.reads(&ann.token).await, "ab");
    let outer = json!({"name": "outer", "policies": "c", "member_group_ids": [inner]});
    let outer = city.make("group", outer).await;
    assert_eq!(city.reads(&ann.token).await, "abc");
    // A login tells them, and which are whose.
    let again = city.login("ann", json!({"policies": "zz"})).await.unwrap();
    assert_eq!(again.policies, ["a", "b", "c", "default", "zz"]);
    // A denial in a group's policy holds too.
    let deny = json!({"policy": "path \"shelf/a\" { capabilities = [\"deny\"] }"});
    city.world.write("sys/policies/acl/no", deny).await.unwrap();
    city.change(&format!("group/id/{outer}"), json!({"policies": "no"}))
        .await;
    assert_eq!(city.reads(&ann.token).await, "b");
    city.world
        .delete(&format!("identity/group/id/{outer}"))
        .await
        .unwrap();
    assert_eq!(city.reads(&ann.token).await, "ab");
    city.change(
        &format!("group/id/{inner}"),
        json!({"member_entity_ids": []}),
    )
    .await;
    assert_eq!(city.reads(&ann.token).await, "a");
}

#[tokio::test]
async fn a_disabled_entitys_tokens_are_refused_and_so_is_its_login() {
    let city = City::new().await;
    let ann = city.login("ann", json!({"policies": "a"})).await.unwrap();
    assert_eq!(city.reads(&ann.token).await, "a");
    let path = format!("entity/id/{}", ann.entity);
    city.change(&path, json!({"disabled": true})).await;
    assert_eq!(city.reads(&ann.token).await, "---");
    let refused = city.login("ann", json!({})).await;
    assert!(matches!(refused, Err(Error::NoToken)));
    city.change(&path, json!({"disabled": false})).await;
    assert_eq!(city.reads(&ann.token).await, "a");
    city.world
        .delete(&format!("identity/{path}"))
        .await
        .unwrap();
    assert_eq!(city.reads(&ann.token).await, "---");
    let new = city.login("ann", json!({"policies": "a"})).await.unwrap();
    assert_ne!(new.entity, ann.entity);
    assert_eq!(city.reads(&ann.token).await, "---");
    assert_eq!(city.reads(&new.token).await, "a");
}

#[tokio::test]
async fn external_groups_are_what_the_last_login_says() {
    let city = City::new().await;
    for (name, policy) in [("dev", "a"), ("ops", "b")] {
        let group = json!({"name": name, "type": "external", "policies": policy});
        let group = city.make("group", group).await;
        let alias = json!({"name": name, "mount_accessor": city.accessor, "canonical_id": group});
        city.make("group-alias", alias).await;
    }
    let says = json!({"groups": ["DEV", "unheard-of"]});
    let ann = city.login("ann", says).await.unwrap();
    assert_eq!(city.reads(&ann.token).await, "a");
    // Of another kind: no login moves it.
    let own = json!({"name": "own", "policies": "c", "member_entity_ids": [ann.entity]});
    city.make("group", own).await;
    city.login("ann", json!({"groups": ["ops"]})).await.unwrap();
    assert_eq!(city.reads(&ann.token).await, "bc");
    let members = city.world.read("identity/group/name/ops").await.unwrap();
    assert_eq!(members["member_entity_ids"], json!([ann.entity]));
    let alias = members["alias"]["id"].as_str().unwrap();
    city.world
        .delete(&format!("identity/group-alias/id/{alias}"))
        .await
        .unwrap();
    assert_eq!(city.reads(&ann.token).await, "c");
    city.login("ann", json!({})).await.unwrap();
    let members = city.world.read("identity/group/name/ops").await.unwrap();
    assert_eq!(members["member_entity_ids"], Value::Null);
}

#[tokio::test]
async fn tokens_of_a_merged_entity_act_for_the_one_that_stays() {
    let city = City::new().await;
    let ann = city.login("ann", json!({})).await.unwrap();
    let away = json!({"name": "away", "policies": ["b"]});
    let stays = city.make("entity", away).await;
    let merge = json!({"from_entity_ids": [ann.entity], "to_entity_id": stays});
    city.change("entity/merge", merge).await;
    assert_eq!(city.reads(&ann.token).await, "b");
    assert_eq!(city.login("ann", json!({})).await.unwrap().entity, stays);
    city.change(&format!("entity/id/{stays}"), json!({"disabled": true}))
        .await;
    assert_eq!(city.reads(&ann.token).await, "---");
}

#[tokio::test]
async fn two_groups_at_once_close_no_circle() {
    for _ in 0..8 {
        let city = City::new().await;
        let one = city.make("group", json!({"name": "one"})).await;
        let two = city.make("group", json!({"name": "two"})).await;
        let put = async |parent: &str, child: &str| {
            let path = format!("identity/group/id/{parent}");
            city.world
                .write(&path, json!({"member_group_ids": [child]}))
                .await
        };
        let (first, second) = tokio::join!(put(&one, &two), put(&two, &one));
        assert!(first.is_ok() != second.is_ok());
    }
}

/// Killed at any operation of a merge, all of it is done or nothing.
#[tokio::test]
async fn a_merge_is_one_commit() {
    for moment in [Moment::Before, Moment::After] {
        for n in 0.. {
            assert!(n < 100, "a merge does not end");
            let mut city = City::new().await;
            let ann = city.login("ann", json!({})).await.unwrap();
            let ben = city.make("entity", json!({"name": "ben"})).await;
            let group = json!({"name": "g", "member_entity_ids": [ann.entity]});
            city.make("group", group).await;
            let start = city.world.store.operations();
            city.world.store.crash_at(start + n, moment);
            let merge = json!({"from_entity_ids": [ann.entity], "to_entity_id": ben});
            let done = city
                .world
                .write("identity/entity/merge", merge)
                .await
                .is_ok();
            let reached = city.world.store.operations() > start + n;
            city.world.restart().await;
            city.world.unseal().await.unwrap();
            let group = city.world.read("identity/group/name/g").await.unwrap();
            let members = group["member_entity_ids"].as_array().unwrap();
            let old = city
                .world
                .read(&format!("identity/entity/id/{}", ann.entity))
                .await;
            let new = city.entity(&ben).await;
            let merged = old.is_err();
            assert!(merged || !done, "acknowledged and undone");
            let owner = if merged { &ben } else { &ann.entity };
            assert_eq!(members, &[json!(owner)]);
            assert_eq!(
                new["aliases"].as_array().unwrap().len(),
                usize::from(merged)
            );
            assert_eq!(city.login("ann", json!({})).await.unwrap().entity, *owner);
            if !reached {
                assert!(done);
                break;
            }
        }
    }
}

/// A vault that was begun before there were identities gets them when it opens.
#[tokio::test]
async fn an_elder_vault_gets_its_identities() {
    let mut city = City::new().await;
    let dump = city.world.dump().await;
    let of_identity = |key: &&String| key.starts_with("sys/identity/");
    let mut batch = keyfold_core::ports::storage::Batch::new();
    for key in dump.keys().filter(of_identity) {
        batch = batch.delete(key.clone());
    }
    city.world.disk.commit(batch).await.unwrap();
    city.world.restart().await;
    city.world.unseal().await.unwrap();
    let ann = city.login("ann", json!({"policies": "a"})).await.unwrap();
    city.world.restart().await;
    city.world.unseal().await.unwrap();
    assert_eq!(
        city.login("ann", json!({})).await.unwrap().entity,
        ann.entity
    );
    assert_eq!(city.reads(&ann.token).await, "a");
}

/// Names of people are not to be read off the keys of identity's records. (The path of a login is the
/// name of a lease, and stands in the order of leases as every path does.)
#[tokio::test]
async fn the_store_shows_no_name() {
    let city = City::new().await;
    city.login("annabella", json!({})).await.unwrap();
    city.make("entity", json!({"name": "benjamin"})).await;
    let records = city.world.dump().await;
    let records = records.into_iter();
    for (key, value) in records.filter(|(key, _)| !key.starts_with("sys/lease/")) {
        for name in ["annabella", "benjamin"] {
            assert!(!key.contains(name), "{key}");
            assert!(!value.windows(name.len()).any(|w| w == name.as_bytes()));
        }
    }
}
