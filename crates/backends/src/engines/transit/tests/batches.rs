//! Batches: order, mixed errors, statuses.

use super::*;

#[tokio::test]
async fn one_bad_item_does_not_sink_the_batch() {
    let mount = Mount::new().await;
    mount.key("k", 3).await;
    mount
        .write("keys/k/config", json!({"min_encryption_version": 2}))
        .await;
    let items = json!([
        {"plaintext": HELLO, "reference": "good"},
        {"plaintext": "!!", "reference": "bad"},
        {"plaintext": HELLO, "key_version": 1},
        {"plaintext": HELLO, "key_version": 2, "associated_data": "eA=="},
    ]);
    let answer = mount
        .write("encrypt/k", json!({"batch_input": items}))
        .await;
    assert_eq!(answer.status, Some(400));
    let results = answer.data["batch_results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    assert_eq!(
        (&results[0]["reference"], &results[0]["key_version"]),
        (&json!("good"), &json!(3))
    );
    let bad = json!({"error": "field \"plaintext\": illegal base64 data at input byte 0", "reference": "bad"});
    assert_eq!(results[1], bad);
    assert!(
        results[2]["error"]
            .as_str()
            .unwrap()
            .contains("less than the minimum")
    );
    assert_eq!(results[2]["reference"], "");

    let items = json!([
        {"ciphertext": results[3]["ciphertext"], "associated_data": "eA=="},
        {"ciphertext": "hello", "reference": "x"},
        {"ciphertext": ""},
        {"ciphertext": results[3]["ciphertext"]},
        {"ciphertext": results[0]["ciphertext"]},
    ]);
    let answer = mount
        .write("decrypt/k", json!({"batch_input": items}))
        .await;
    let results = json!([
        {"plaintext": HELLO, "reference": ""},
        {"error": "invalid ciphertext: no prefix", "reference": "x"},
        {"error": "missing ciphertext to decrypt", "reference": ""},
        {"error": "cipher: message authentication failed", "reference": ""},
        {"plaintext": HELLO, "reference": ""},
    ]);
    assert_eq!(
        (answer.status, answer.data["batch_results"].clone()),
        (Some(400), results)
    );
}

#[tokio::test]
async fn items_of_any_versions_in_any_order() {
    let mount = Mount::new().await;
    mount.key("k", 5).await;
    let versions = [3, 1, 5, 2, 3, 0, 4, 1];
    let items: Vec<_> = versions
        .map(|version| json!({"plaintext": HELLO, "key_version": version}))
        .into();
    let answer = mount
        .write("encrypt/k", json!({"batch_input": items}))
        .await;
    let results = answer.data["batch_results"].as_array().unwrap().clone();
    let made = results.iter().map(|result| result["key_version"].as_u64());
    assert!(made.eq([3, 1, 5, 2, 3, 5, 4, 1].map(Some)), "{results:?}");
    let items: Vec<_> = results
        .iter()
        .map(|result| json!({"ciphertext": result["ciphertext"]}))
        .collect();
    let answer = mount
        .write("decrypt/k", json!({"batch_input": items}))
        .await;
    let opened = answer.data["batch_results"].as_array().unwrap();
    assert!(opened.iter().all(|result| result["plaintext"] == HELLO));
}

#[tokio::test]
async fn statuses() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let good = json!({"plaintext": HELLO, "ciphertext": mount.encrypt("k", json!({})).await});
    let bad = json!({"plaintext": "!!", "ciphertext": "vault:v1:AAAA"});
    let table = [
        ("encrypt", json!(null), [None, Some(400), Some(400)]),
        ("encrypt", json!(202), [None, Some(202), Some(400)]),
        ("decrypt", json!(null), [None, Some(400), Some(400)]),
        ("decrypt", json!("207"), [None, Some(207), Some(400)]),
        ("rewrap", json!(null), [None, Some(200), Some(200)]),
        ("rewrap", json!(207), [None, Some(207), Some(400)]),
    ];
    for (op, code, statuses) in table {
        for (items, status) in [vec![&good], vec![&good, &bad], vec![&bad]]
            .iter()
            .zip(statuses)
        {
            let body = json!({"batch_input": items, "partial_failure_response_code": code});
            let answer = mount.write(&format!("{op}/k"), body).await;
            assert_eq!(answer.status, status, "{op} {code}");
            assert_eq!(
                answer.data["batch_results"].as_array().unwrap().len(),
                items.len()
            );
        }
    }
    for code in [json!(99), json!(1000), json!(-1), json!("x")] {
        let body = json!({"batch_input": [good], "partial_failure_response_code": code});
        let error = mount.refused("encrypt/k", body).await;
        assert!(error.contains("partial_failure_response_code"), "{error}");
    }
}

#[tokio::test]
async fn batches_that_are_none() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let table = [
        (json!([]), "missing batch input to process"),
        (
            json!({"plaintext": HELLO}),
            "failed to parse batch input: batch_input must be a list",
        ),
        (
            json!([{}]),
            "failed to parse batch input: '[0].plaintext' missing plaintext to encrypt",
        ),
        (
            json!([{"plaintext": "", "context": "Y3R4"}, {"plaintext": ""}]),
            "context should be set either in all the request blocks or in none",
        ),
    ];
    for (batch, text) in table {
        for key in ["k", "new"] {
            let body = json!({"batch_input": batch});
            assert_eq!(mount.refused(&format!("encrypt/{key}"), body).await, text);
        }
    }
    assert!(matches!(
        mount.ask(Op::Read, "keys/new", "").await,
        Err(Error::NotFound)
    ));
}

#[tokio::test]
async fn members_outside_of_the_items_have_no_effect() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    let old = mount.encrypt("k", json!({"key_version": 1})).await;
    let body = json!({"batch_input": [{"ciphertext": old, "nope": 1}], "key_version": 1});
    let answer = mount.write("rewrap/k", body).await;
    assert_eq!(answer.data["batch_results"][0]["key_version"], 2);
    assert_eq!(answer.warnings.len(), 2);
    assert!(
        answer.warnings[0].contains("[batch_input.nope]"),
        "{:?}",
        answer.warnings
    );
    assert!(
        answer.warnings[1].contains("[key_version]"),
        "{:?}",
        answer.warnings
    );
    let body = json!({"plaintext": "!!", "batch_input": [{"plaintext": HELLO}]});
    assert_eq!(mount.write("encrypt/k", body).await.status, None);
}

#[tokio::test]
async fn a_batch_makes_a_key_only_when_an_item_succeeds() {
    let mount = Mount::new().await;
    let answer = mount
        .write("encrypt/b", json!({"batch_input": [{"plaintext": "!!"}]}))
        .await;
    assert_eq!(answer.status, Some(400));
    assert!(matches!(
        mount.ask(Op::Read, "keys/b", "").await,
        Err(Error::NotFound)
    ));
    let items =
        json!([{"plaintext": "!!", "context": "Y3R4"}, {"plaintext": HELLO, "context": "Y3R4"}]);
    let answer = mount
        .write("encrypt/b", json!({"batch_input": items}))
        .await;
    assert_eq!(mount.show("b").await["derived"], true);
    let ciphertext = &answer.data["batch_results"][1]["ciphertext"];
    let body = json!({"ciphertext": ciphertext, "context": "Y3R4"});
    assert_eq!(
        mount.write("decrypt/b", body).await.data["plaintext"],
        HELLO
    );
}

#[tokio::test]
async fn rewrap_of_many_says_what_it_did() {
    let mount = Mount::new().await;
    mount.write("keys/d", json!({"derived": true})).await;
    let old = mount
        .encrypt("d", json!({"context": "Y3R4", "associated_data": "eA=="}))
        .await;
    mount.write("keys/d/rotate", json!({})).await;
    let new = mount.encrypt("d", json!({"context": "Yg=="})).await;
    let items = json!([
        {"ciphertext": old, "context": "Y3R4", "associated_data": "eA==", "reference": "a"},
        {"ciphertext": new, "context": "Yg==", "reference": "b"},
        {"ciphertext": new, "context": "Y3R4", "reference": "c"},
    ]);
    let answer = mount.write("rewrap/d", json!({"batch_input": items})).await;
    let results = &answer.data["batch_results"];
    assert_eq!(
        (&results[0]["rewrapped"], &results[0]["key_version"]),
        (&json!(true), &json!(2))
    );
    let unchanged =
        json!({"ciphertext": new, "key_version": 2, "rewrapped": false, "reference": "b"});
    assert_eq!(results[1], unchanged);
    let failed = json!({"error": "cipher: message authentication failed", "reference": "c"});
    assert_eq!(results[2], failed);
}
