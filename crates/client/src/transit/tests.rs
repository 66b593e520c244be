use super::*;
use crate::ClientConfig;
use crate::testing::Answers;
use std::time::Duration;

const KEY: (u16, &str) = (
    200,
    r#"{"data":{"latest_version":3,"min_decryption_version":2}}"#,
);

pub(super) fn keys(server: &Answers) -> TransitKeys {
    let config = ClientConfig {
        address: server.address(),
        retry_pause: Duration::ZERO,
        ..ClientConfig::default()
    };
    TransitKeys::new(Client::new(config).unwrap()).unwrap()
}

pub(super) fn locator() -> Locator {
    "transit/payments".parse().unwrap()
}

fn wrapped(version: u32) -> WrappedDek {
    WrappedDek {
        version,
        blob: b"blob".to_vec(),
    }
}

#[test]
fn wrap_and_unwrap_are_encrypt_and_decrypt() {
    let dek = Protected::<32>::init_with(|dek| dek.fill(7));
    let plaintext = base64::encode(&[7; 32]);
    let opened = format!(r#"{{"data":{{"plaintext":"{plaintext}"}}}}"#);
    let server = Answers::start(&[
        KEY,
        (200, r#"{"data":{"ciphertext":"vault:v3:YmxvYg=="}}"#),
        (200, r#"{"data":{"ciphertext":"vault:v12:YmxvYg=="}}"#),
        (200, &opened),
    ]);
    let keys = keys(&server);
    let aad = [1; 32];
    assert_eq!(keys.wrap(&locator(), &dek, Some(&aad)).unwrap(), wrapped(3));
    // The key is known by now: no second look.
    assert_eq!(keys.wrap(&locator(), &dek, None).unwrap(), wrapped(12));
    let back = keys.unwrap(&locator(), &wrapped(12), Some(&aad)).unwrap();
    assert!(back.ct_eq(&dek));
    let asked = server.asked();
    assert!(asked[0].starts_with("GET /v1/transit/keys/payments"));
    assert!(asked[1].starts_with("PUT /v1/transit/encrypt/payments"));
    assert!(asked[1].contains(&plaintext) && asked[1].contains(&base64::encode(&aad)));
    assert!(!asked[2].contains("associated_data"));
    assert!(asked[3].starts_with("PUT /v1/transit/decrypt/payments"));
    assert!(asked[3].contains("vault:v12:YmxvYg=="));
}

#[test]
fn a_misspelt_key_is_not_made() {
    let server = Answers::start(&[(404, r#"{"errors":[]}"#)]);
    let dek = Protected::<32>::init_with(|dek| dek.fill(7));
    let refused = keys(&server).wrap(&locator(), &dek, None);
    assert_eq!(refused, Err(ServiceError::NotFound));
    assert_eq!(server.asked().len(), 1, "nothing was encrypted");
}

#[test]
fn a_batch_has_an_outcome_for_each_item() {
    let server = Answers::start(&[(
        400,
        r#"{"errors":[],"data":{"batch_results":[{"ciphertext":"vault:v3:YmxvYg=="},
           {"error":"ciphertext or signature version is disallowed by policy (too old)"},
           {"error":"cipher: message authentication failed"}]}}"#,
    )]);
    let item = |version| RewrapItem {
        wrapped: wrapped(version),
        aad: Some([2; 32]),
    };
    let outcomes = keys(&server)
        .rewrap(&locator(), &[item(1), item(2), item(3)])
        .unwrap();
    assert_eq!(
        outcomes,
        [
            Ok(wrapped(3)),
            Err(ServiceError::BelowMinimum),
            Err(ServiceError::WrongKey)
        ]
    );
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("PUT /v1/transit/rewrap/payments"));
    assert!(asked.contains(&base64::encode(&[2; 32])));
}

#[test]
fn many_deks_are_unwrapped_in_one_call() {
    let dek = base64::encode(&[7; 32]);
    let short = base64::encode(&[7; 31]);
    let body = format!(
        r#"{{"data":{{"batch_results":[{{"plaintext":"{dek}"}},{{"plaintext":"{short}"}},
           {{"error":"cipher: message authentication failed"}}]}}}}"#
    );
    let server = Answers::start(&[(400, &body)]);
    let item = |version| RewrapItem {
        wrapped: wrapped(version),
        aad: None,
    };
    let items = [item(1), item(2), item(3)];
    let outcomes = keys(&server).unwrap_many(&locator(), &items).unwrap();
    let [
        Ok(opened),
        Err(ServiceError::Other(_)),
        Err(ServiceError::WrongKey),
    ] = &outcomes[..]
    else {
        panic!("a DEK, none of 32 bytes, one that does not open");
    };
    assert!(opened.ct_eq(&Protected::init_with(|dek| dek.fill(7))));
    assert!(server.asked()[0].starts_with("PUT /v1/transit/decrypt/payments"));
}

#[test]
fn a_batch_answer_of_another_length_is_refused() {
    let server = Answers::start(&[(200, r#"{"data":{"batch_results":[]}}"#)]);
    let item = RewrapItem {
        wrapped: wrapped(1),
        aad: None,
    };
    assert!(keys(&server).rewrap(&locator(), &[item]).is_err());
}

#[test]
fn the_server_says_who_it_is_once() {
    let server = Answers::start(&[(
        200,
        r#"{"sealed":false,"server":"keyfold","cluster_id":"c-1"}"#,
    )]);
    let asking = keys(&server);
    assert!(asking.binds_aad());
    assert_eq!(asking.cluster_id().unwrap(), "c-1");
    assert_eq!(server.asked().len(), 1);

    let stock = Answers::start(&[(200, r#"{"sealed":false,"cluster_id":"c-2"}"#)]);
    assert!(!keys(&stock).binds_aad());
    let sealed = Answers::start(&[(200, r#"{"sealed":true}"#)]);
    assert_eq!(keys(&sealed).cluster_id(), Err(ServiceError::Sealed));
}

#[test]
fn refusals_are_told_apart() {
    for (status, text, expected) in [
        (403, "permission denied", ServiceError::Denied),
        (404, "no handler for route", ServiceError::NotFound),
        (400, "encryption key not found", ServiceError::NotFound),
        (503, "Vault is sealed", ServiceError::Sealed),
        (
            400,
            "invalid ciphertext: version is too new",
            ServiceError::WrongKey,
        ),
    ] {
        let body = format!(r#"{{"errors":["{text}"]}}"#);
        let server = Answers::start(&[(status, &body)]);
        let refused = keys(&server).unwrap(&locator(), &wrapped(1), None);
        assert_eq!(refused.err(), Some(expected), "{text}");
    }
    // A balancer's page: asked three times, and no answer of the server's.
    for status in [502, 503, 504] {
        let server = Answers::start(&[(status, "<html>"), (status, "<html>"), (status, "<html>")]);
        let refused = keys(&server).unwrap(&locator(), &wrapped(1), None);
        let unreachable = matches!(refused.err(), Some(ServiceError::Unreachable(_)));
        assert!(unreachable && server.asked().len() == 3, "{status}");
    }
    let server = Answers::start(&[KEY, (403, "{}")]);
    let keys = keys(&server);
    let versions = keys.versions(&locator()).unwrap().unwrap();
    assert_eq!((versions.latest, versions.min_decryption), (3, 2));
    assert_eq!(keys.versions(&locator()), Ok(None));
}

#[test]
fn an_answer_that_is_no_ciphertext_is_refused() {
    for text in [
        "",
        "vault:v",
        "vault:vx:YQ==",
        "vault:v1:!",
        "v1:YQ==",
        "vault:v1",
    ] {
        assert!(parse_ciphertext(text).is_err(), "{text}");
    }
}

#[test]
fn many_deks_are_wrapped_in_one_call() {
    let server = Answers::start(&[
        KEY,
        (
            200,
            r#"{"data":{"batch_results":[{"ciphertext":"vault:v3:YmxvYg=="},{"error":"no"}]}}"#,
        ),
    ]);
    let dek = |byte| Protected::<32>::init_with(|dek| dek.fill(byte));
    let items = [(dek(1), Some([9; 32])), (dek(2), None)];
    let outcomes = keys(&server).wrap_many(&locator(), &items).unwrap();
    assert_eq!(outcomes[0], Ok(wrapped(3)));
    assert!(outcomes[1].is_err());
    let asked = server.asked().remove(1);
    assert!(asked.starts_with("PUT /v1/transit/encrypt/payments"));
    assert!(asked.contains(&base64::encode(&[1; 32])) && asked.contains(&base64::encode(&[9; 32])));
}

#[test]
fn a_move_within_a_mount_of_keyfold_shows_no_dek() {
    let server = Answers::start(&[
        (
            200,
            r#"{"sealed":false,"server":"keyfold","cluster_id":"c-1"}"#,
        ),
        (
            200,
            r#"{"data":{"batch_results":[{"ciphertext":"vault:v3:YmxvYg=="}]}}"#,
        ),
    ]);
    let item = RewrapItem {
        wrapped: wrapped(1),
        aad: None,
    };
    let to = "transit/orders".parse().unwrap();
    let outcomes = keys(&server).rewrap_to(&locator(), &to, &[item]).unwrap();
    assert_eq!(outcomes, [Ok(wrapped(3))]);
    let asked = server.asked().remove(1);
    assert!(asked.starts_with("PUT /v1/transit/rewrap/payments"));
    assert!(asked.contains(r#""to_key":"orders""#), "{asked}");
}
