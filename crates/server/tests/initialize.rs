//! A server whose configuration says what a new vault is told first.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
#![allow(dead_code, reason = "each test binary uses its part of the site")]

mod site;

use serde_json::json;
use site::Site;

fn config(folder: &std::path::Path, stanzas: &str) -> String {
    format!(
        "storage \"redb\" {{ path = \"{}\" }}\n\
         listener \"tcp\" {{ address = \"127.0.0.1:0\" tls_disable = true }}\n{stanzas}",
        folder.join("store").display()
    )
}

#[tokio::test]
async fn a_new_vault_comes_up_configured_and_only_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let stanzas = format!(
        r#"
        initialize "base" {{
          request "kv" {{ operation = "update" path = "sys/mounts/kv" data = {{ type = "kv" options = {{ version = "2" }} }} }}
          request "read" {{
            operation = "update"
            path = "sys/policies/acl/reader"
            data {{ policy = "path \"kv/*\" {{ capabilities = [\"read\"] }}" }}
          }}
          request "token" {{ operation = "update" path = "auth/token/create" data = {{ policies = ["default"] ttl = "1h" }} }}
          request "secret" {{
            operation = "create"
            path = "kv/data/first"
            data = {{ data = {{ password = {{ eval_source = "file" path = "{}" }} }} }}
          }}
          request "seen" {{
            operation = "read"
            path = "auth/token/lookup-self"
            token = {{ eval_source = "response" initialize_name = "base" response_name = "token" field_selector = ["auth", "client_token"] }}
          }}
          request "may fail" {{ operation = "read" path = "nowhere/at/all" allow_failure = true }}
        }}
        "#,
        secret.display()
    );
    let mut site = Site::start(&config(folder.path(), &stanzas)).await;
    let share = site.open().await;
    let (status, read) = site.get("kv/data/first").await;
    assert_eq!(status, 200, "{read}");
    assert_eq!(read["data"]["data"], json!({"password": "hunter2"}));
    let (_, policies) = site.get("sys/policy").await;
    assert_eq!(
        policies["data"]["policies"],
        json!(["default", "reader", "root"])
    );
    let (_, accessors) = site.send("LIST", "auth/token/accessors", None).await;
    let keys = accessors["data"]["keys"].as_array().unwrap();
    assert_eq!(
        keys.len(),
        2,
        "the first root token and the one that was asked for: the stanzas' own is gone"
    );

    // Once only: what was changed since stays.
    site.send("DELETE", "sys/mounts/kv", None).await;
    site.server.core().seal().await.unwrap();
    site.unseal(&share).await;
    assert_eq!(site.get("kv/data/first").await.0, 404);
}

#[tokio::test]
async fn a_request_that_fails_keeps_the_vault_sealed_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("not there yet");
    let stanzas = format!(
        r#"initialize "base" {{
             request "kv" {{ operation = "update" path = "sys/mounts/kv" data = {{ type = "transit" }} }}
             request "policy" {{
               operation = "update"
               path = "sys/policies/acl/p"
               data = {{ policy = {{ eval_source = "file" path = "{}" }} }}
             }}
           }}"#,
        missing.display()
    );
    let mut site = Site::start(&config(folder.path(), &stanzas)).await;
    let split = json!({"secret_shares": 1, "secret_threshold": 1});
    let (_, keys) = site.put("sys/init", split).await;
    site.token = keys["root_token"].as_str().unwrap().to_owned();
    let share = keys["keys_base64"][0].as_str().unwrap().to_owned();
    let (status, refused) = site.put("sys/unseal", json!({"key": share})).await;
    assert_eq!(status, 400, "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("request \\\"policy\\\" at sys/policies/acl/p")
            && text.contains("not there yet"),
        "{text}"
    );
    assert_eq!(site.get("sys/mounts").await.0, 503);

    std::fs::write(&missing, "path \"a\" { capabilities = [\"read\"] }").unwrap();
    // It goes on where it failed: to mount a second time would be an error of its own.
    site.unseal(&share).await;
    let (_, policies) = site.get("sys/policy").await;
    assert_eq!(
        policies["data"]["policies"],
        json!(["default", "p", "root"])
    );
    let (_, mounts) = site.get("sys/mounts").await;
    assert_eq!(mounts["data"]["kv/"]["type"], "transit");
}

#[tokio::test]
async fn a_request_is_asked_only_when_it_is_wished_and_its_headers_are_audited() {
    let folder = tempfile::tempdir().unwrap();
    let wish = folder.path().join("wish");
    std::fs::write(&wish, "false\n").unwrap();
    let wish = format!("{{ eval_source = \"file\" path = \"{}\" }}", wish.display());
    let request = |name: &str, more: &str| {
        format!(
            "request \"{name}\" {{ operation = \"update\" path = \"sys/mounts/{name}\" \
             data = {{ type = \"transit\" }} {more} }}\n"
        )
    };
    let audit = folder.path().join("audit.log");
    let stanzas = format!(
        "audit \"file\" \"f\" {{ options {{ file_path = \"{}\" }} }}\ninitialize \"base\" {{\n\
         request \"header\" {{ operation = \"update\" \
         path = \"sys/config/auditing/request-headers/x-why\" }}\n{}{}{}}}",
        audit.display(),
        request("never", "when = false"),
        request("perhaps", &format!("when = {wish}")),
        request(
            "always",
            "when = \"true\" headers = { \"X-Why\" = \"setup\" }"
        ),
    );
    let mut site = Site::start(&config(folder.path(), &stanzas)).await;
    site.open().await;
    let (_, mounts) = site.get("sys/mounts").await;
    let there = |name: &str| mounts["data"].get(name).is_some();
    assert!(
        there("always/") && !there("never/") && !there("perhaps/"),
        "{mounts}"
    );
    let lines = std::fs::read_to_string(&audit).unwrap();
    let line = lines
        .lines()
        .find(|line| line.contains("sys/mounts/always"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["request"]["headers"], json!({"x-why": ["setup"]}));
}
