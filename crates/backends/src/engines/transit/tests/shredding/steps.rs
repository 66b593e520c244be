//! From the first step to the last, and what is refused on the way.

use keyfold_keys::statement::{SHRED_RECEIPT, Statement};
use keyfold_keys::transit::{KeyType, ServiceKey};

use super::*;

#[tokio::test]
async fn a_key_goes_in_two_steps_and_by_two_people() {
    let mount = Mount::new().await;
    mount.key("t1", 2).await;
    let old = mount.encrypt("t1", json!({"key_version": 1})).await;
    let catalog = json!({"root": "host:/data", "items": {"1": 3, "2": 4}});
    mount.write("keys/t1/catalogs/c", catalog).await;
    let id = mount.state("t1").await["id"].as_str().unwrap().to_owned();

    let asked = mount
        .step(
            "ann",
            0,
            "keys/t1/shred",
            json!({"reason": "the tenant left"}),
        )
        .await
        .unwrap()
        .data;
    assert_eq!(asked["state"], "tombstoned");
    assert_eq!(asked["until"], "2030-01-08T00:00:00Z");
    assert_eq!(asked["ready"], false);
    assert_eq!(asked["needed_by"][0]["need"], "remains");
    assert!(asked["remains"].as_array().unwrap().len() >= 3);
    assert_eq!(mount.show("t1").await["shred"], "tombstoned");

    // It opens, and makes nothing more.
    let body = json!({"ciphertext": old});
    assert_eq!(
        mount.write("decrypt/t1", body.clone()).await.data["plaintext"],
        HELLO
    );
    for (path, body) in [
        ("encrypt/t1", json!({"plaintext": HELLO})),
        ("datakey/wrapped/t1", json!({})),
        ("datakeys/wrapped/t1", json!({"count": 2})),
        ("hmac/t1", json!({"input": HELLO})),
        ("rewrap/t1", body.clone()),
        ("keys/t1/rotate", json!({})),
    ] {
        let text = mount.refused(path, body).await;
        assert!(text.contains("makes nothing more"), "{path}: {text}");
    }
    // What it protects can be saved under another key.
    mount.key("t2", 1).await;
    let moved = json!({"ciphertext": old, "to_key": "t2"});
    let saved = mount.ask(Op::Write, "rewrap/t1", &moved.to_string()).await;
    assert!(matches!(saved, Err(Error::Denied)), "that takes a policy");

    let destroy = "keys/t1/shred/destroy";
    let early = mount.no_step("ann", 1, destroy, json!({})).await;
    assert!(
        early.contains("nobody else") && early.contains("waits until"),
        "{early}"
    );
    let same = mount
        .no_step("ann", 1, "keys/t1/shred/approve", json!({}))
        .await;
    assert!(same.contains("who asked for it"), "{same}");
    let approved = mount
        .step("ben", 2, "keys/t1/shred/approve", json!({}))
        .await;
    assert_eq!(approved.unwrap().data["state"], "approved");
    let early = mount.no_step("ben", WEEK - 1, destroy, json!({})).await;
    assert!(
        !early.contains("nobody else") && early.contains("waits until"),
        "{early}"
    );

    let gone = mount.step("ben", WEEK, destroy, json!({})).await.unwrap();
    assert!(gone.warnings.iter().any(|text| text.contains("Snapshots")));
    let receipt = &gone.data["receipt"];
    assert_eq!(receipt["key"]["id"], id.as_str());
    assert_eq!(
        (
            &receipt["key"]["first_version"],
            &receipt["key"]["last_version"]
        ),
        (&json!(1), &json!(2))
    );
    assert_eq!(receipt["key"]["fingerprints"].as_object().unwrap().len(), 2);
    assert_eq!(receipt["reason"], "the tenant left");
    assert_eq!(
        (&receipt["items"], &receipt["uses"]["operations"]["encrypt"]),
        (&json!(7), &json!(1))
    );
    assert_ne!(receipt["requested"]["by"], receipt["approved"]["by"]);
    assert!(mount.traces(&id).await.is_empty());

    for (path, body) in [
        ("decrypt/t1", body.clone()),
        ("rewrap/t1", body),
        ("encrypt/t1", json!({"plaintext": HELLO})),
        ("hmac/t1", json!({"input": HELLO})),
        ("sign/t1", json!({"input": HELLO})),
        ("keys/t1/shred/cancel", json!({})),
        (destroy, json!({})),
    ] {
        let text = mount.no_step("ann", WEEK + 1, path, body).await;
        assert!(
            text.contains("key \"t1\" was destroyed on 2030-01-08"),
            "{path}: {text}"
        );
        assert!(
            text.contains(receipt["id"].as_str().unwrap()),
            "{path}: {text}"
        );
    }
    assert_eq!(mount.state("t1").await["state"], "destroyed");
    let shown = mount.ask(Op::Read, "keys/t1", "").await;
    assert!(matches!(shown, Err(Error::NotFound)));
}

#[tokio::test]
async fn the_receipt_holds_without_the_server() {
    let mount = Mount::new().await;
    mount.key("t1", 1).await;
    let gone = mount.shred("t1").await;
    let key = mount
        .ask(Op::Read, "shred/receipts/key", "")
        .await
        .unwrap()
        .data;
    let pem = key["public_key"].as_str().unwrap();
    let key = ServiceKey::from_public_pem(KeyType::Ed25519, pem).unwrap();
    let statement = Statement::parse(gone["envelope"].to_string().as_bytes()).unwrap();
    let said = statement.verified(&key, SHRED_RECEIPT).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(said).unwrap(),
        gone["receipt"]
    );

    let list = mount
        .ask(Op::List, "shred/receipts", "")
        .await
        .unwrap()
        .data;
    let id = gone["receipt"]["id"].as_str().unwrap();
    assert_eq!(list["keys"], json!([id]));
    let path = format!("shred/receipts/{id}");
    let again = mount.restarted().ask(Op::Read, &path, "").await.unwrap();
    assert_eq!(again.data, gone);
    for none in ["shred/receipts/no", "shred/receipts/.."] {
        let answer = mount.ask(Op::Read, none, "").await;
        assert!(matches!(answer, Err(Error::NotFound)), "{none}");
    }
}

#[tokio::test]
async fn a_new_key_of_the_name_is_another_one() {
    let mount = Mount::new().await;
    mount.key("t1", 3).await;
    let old = mount.encrypt("t1", json!({"key_version": 2})).await;
    mount.shred("t1").await;
    let text = mount
        .refused("encrypt/t1", json!({"plaintext": HELLO}))
        .await;
    assert!(text.contains("is made at keys/t1"), "{text}");

    let made = mount.write("keys/t1", json!({})).await;
    assert_eq!(
        (
            &made.data["latest_version"],
            &made.data["min_available_version"]
        ),
        (&json!(4), &json!(4))
    );
    assert!(
        made.warnings[0].contains("begin at 4"),
        "{:?}",
        made.warnings
    );
    let new = mount.encrypt("t1", json!({})).await;
    assert!(new.starts_with("vault:v4:"), "{new}");
    let batch = json!({"batch_input": [{"ciphertext": old}, {"ciphertext": new}]});
    let answer = mount.restarted().write("decrypt/t1", batch).await.data;
    let text = answer["batch_results"][0]["error"].as_str().unwrap();
    assert!(
        text.starts_with("version 2, of a key before this one, was destroyed"),
        "{text}"
    );
    assert_eq!(answer["batch_results"][1]["plaintext"], HELLO);
    mount.write("keys/t1/rotate", json!({})).await;
    assert!(
        mount
            .encrypt("t1", json!({}))
            .await
            .starts_with("vault:v5:")
    );
    let census = mount
        .ask(Op::Read, "keys/t1/census", "")
        .await
        .unwrap()
        .data;
    let states = census["versions"].as_array().unwrap().iter();
    let states: Vec<_> = states.map(|v| v["state"].as_str().unwrap()).collect();
    assert_eq!(
        states,
        ["destroyed", "destroyed", "destroyed", "retiring", "active"]
    );

    // It can go the same way, and the next one stands above both.
    mount.shred("t1").await;
    let made = mount.write("keys/t1", json!({"type": "ed25519"})).await;
    assert_eq!(made.data["latest_version"], 6);
    let graves = mount.state("t1").await["destroyed"].clone();
    let ranges: Vec<_> = graves
        .as_array()
        .unwrap()
        .iter()
        .map(|g| (g["first"].clone(), g["last"].clone()))
        .collect();
    assert_eq!(ranges, [(json!(1), json!(3)), (json!(4), json!(5))]);
    mount.write("sign/t1", json!({"input": HELLO})).await;
    // A key that was never shredded is deleted, and made anew, as ever.
    mount.write("keys/t3", json!({})).await;
    mount
        .write("keys/t3/config", json!({"deletion_allowed": true}))
        .await;
    mount.ask(Op::Delete, "keys/t3", "").await.unwrap();
    assert_eq!(
        mount.write("keys/t3", json!({})).await.data["latest_version"],
        1
    );
}

#[tokio::test]
async fn no_copy_leaves_a_key_that_is_to_go_and_nothing_takes_it_sooner() {
    let mount = Mount::new().await;
    let open = json!({"exportable": true, "allow_plaintext_backup": true});
    mount.write("keys/k", open).await;
    mount
        .write(
            "keys/k/config",
            json!({"deletion_allowed": true, "min_encryption_version": 1}),
        )
        .await;
    let backup = mount.ask(Op::Read, "backup/k", "").await.unwrap().data["backup"].clone();
    mount.write("keys/rsa", json!({"type": "rsa-2048"})).await;
    mount
        .step("ann", 0, "keys/k/shred", json!({"reason": "r"}))
        .await
        .unwrap();
    for (op, path, body) in [
        (Op::Read, "export/encryption-key/k", json!({})),
        (Op::Read, "backup/k", json!({})),
        (Op::Read, "byok-export/rsa/k", json!({})),
        (Op::Delete, "keys/k", json!({})),
        (
            Op::Write,
            "keys/k/trim",
            json!({"min_available_version": 1}),
        ),
        (
            Op::Write,
            "keys/k/retire",
            json!({"below": 1, "destroy": true, "force": true}),
        ),
        (
            Op::Write,
            "restore/k",
            json!({"backup": backup, "force": true}),
        ),
        (Op::Write, "keys/k/shred", json!({"reason": "again"})),
    ] {
        let answer = mount
            .ask_as(&person("ann"), NOW, (op, path, &body.to_string()))
            .await;
        let Err(Error::BadRequest(text)) = answer else {
            panic!("{path} was taken");
        };
        assert!(text.contains("is to be destroyed"), "{path}: {text}");
    }
    let kept = mount
        .step("ben", 1, "keys/k/shred/cancel", json!({}))
        .await
        .unwrap()
        .data;
    assert_eq!(
        (&kept["state"], &kept["reason"]),
        (&json!("active"), &Value::Null)
    );
    mount.encrypt("k", json!({})).await;

    // Gone, it does not come back by the name that ciphertexts name.
    let gone = mount.shred("k").await;
    let remains = gone["receipt"]["remains"].to_string();
    assert!(remains.contains("last backup"), "{remains}");
    let text = mount.refused("restore/k", json!({"backup": backup})).await;
    assert!(text.contains("were destroyed"), "{text}");
    let text = mount
        .refused("restore", json!({"backup": backup, "force": true}))
        .await;
    assert!(text.contains("under another name"), "{text}");
    mount
        .write("restore/other", json!({"backup": backup}))
        .await;
}

#[tokio::test]
async fn mistakes_and_delays() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    for (who, path, body, part) in [
        ("ann", "keys/k/shred", json!({}), "reason"),
        ("ann", "keys/k/shred", json!({"reason": " "}), "reason"),
        (
            "ann",
            "keys/k/shred",
            json!({"reason": "a\u{1b}[2J"}),
            "reason",
        ),
        (
            "ann",
            "keys/k/shred",
            json!({"reason": "x".repeat(1025)}),
            "reason",
        ),
        (
            "ann",
            "keys/k/shred",
            json!({"reason": "r", "delay": "59m"}),
            "delay",
        ),
        (
            "ann",
            "keys/k/shred",
            json!({"reason": "r", "delay": -1}),
            "delay",
        ),
        (
            "ann",
            "keys/k/shred",
            json!({"reason": "r", "delay": 1_000_000_000}),
            "delay",
        ),
        ("", "keys/k/shred", json!({"reason": "r"}), "somebody"),
        (
            "ann",
            "keys/none/shred",
            json!({"reason": "r"}),
            "not found",
        ),
        ("ann", "keys/k/shred/approve", json!({}), "nobody has asked"),
        ("ann", "keys/k/shred/cancel", json!({}), "nobody has asked"),
        ("ann", "keys/k/shred/destroy", json!({}), "nobody has asked"),
        ("ann", "keys/none/shred/destroy", json!({}), "not found"),
        ("ann", "config/shred", json!({}), "minimum_delay"),
        (
            "ann",
            "config/shred",
            json!({"minimum_delay": -1}),
            "minimum_delay",
        ),
    ] {
        let text = mount.no_step(who, 0, path, body.clone()).await;
        assert!(text.contains(part), "{path} {body}: {text}");
    }
    let state = mount.state("k").await;
    assert_eq!(
        (&state["state"], &state["remains"]),
        (&json!("active"), &json!([]))
    );
    let none = mount.ask(Op::Read, "keys/none/shred", "").await;
    assert!(matches!(none, Err(Error::NotFound)));

    let rules = mount.ask(Op::Read, "config/shred", "").await.unwrap().data;
    assert_eq!(rules, json!({"minimum_delay": 3600, "default_delay": WEEK}));
    mount
        .write("config/shred", json!({"minimum_delay": "30d"}))
        .await;
    let asked = mount
        .step("ann", 0, "keys/k/shred", json!({"reason": "r"}))
        .await
        .unwrap()
        .data;
    assert_eq!(asked["until"], "2030-01-31T00:00:00Z");
    // Who asked for it has the delay of that time.
    mount
        .write("config/shred", json!({"minimum_delay": 0}))
        .await;
    mount
        .step("ben", 0, "keys/k/shred/approve", json!({}))
        .await
        .unwrap();
    let twice = mount
        .no_step("cy", 0, "keys/k/shred/approve", json!({}))
        .await;
    assert!(twice.contains("already"), "{twice}");
    let early = mount
        .no_step("ann", 0, "keys/k/shred/destroy", json!({}))
        .await;
    assert!(early.contains("waits until 2030-01-31"), "{early}");
}
