//! What share holders do together, and what becomes of the keys above the KEK, from the command line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
#![allow(
    dead_code,
    reason = "each test binary uses its part of the support module"
)]

mod support;

use serde_json::Value;
use support::{Ran, Server};

/// A server with 2 of 3 shares, open.
struct Begun {
    server: Server,
    shares: Vec<String>,
    root: String,
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().unwrap().iter();
    texts
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

impl Begun {
    fn new() -> Self {
        let server = Server::stored();
        let made = server.json(&["operator", "init", "-key-shares=3", "-key-threshold=2"]);
        let shares = texts(&made["unseal_keys_b64"]);
        for share in &shares[..2] {
            server.ok(&["operator", "unseal", share]);
        }
        let root = made["root_token"].as_str().unwrap().to_owned();
        Self {
            server,
            shares,
            root,
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.server.run_as(&self.root, arguments)
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.text()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-format=json"]].concat();
        serde_json::from_str(&self.ok(&arguments)).unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], why: &str) {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.text());
        assert!(ran.stderr.contains(why), "{why} is not in {}", ran.stderr);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn new_shares_are_made_and_shown() {
    let begun = Begun::new();
    let rekey = ["operator", "rekey"];
    let with = |more: &[&'static str]| [&rekey[..], more].concat();
    assert_eq!(begun.json(&with(&["-status"]))["started"], false);
    let unbegun = begun.run(&["operator", "rekey", &begun.shares[0]]);
    assert_eq!(unbegun.code, 1);
    assert!(
        unbegun.stderr.contains("begin with -init"),
        "{}",
        unbegun.stderr
    );

    let init = with(&["-init", "-verify", "-key-shares=3", "-key-threshold=2"]);
    let nonce = begun.json(&init)["nonce"].clone();
    let table = begun.ok(&with(&["-status"]));
    assert!(table.contains(text(&nonce)), "{table}");
    assert!(table.contains("Rekey Progress"), "{table}");
    begun.refused(&init, "already in progress");
    assert!(begun.ok(&with(&["-cancel"])).contains("Success!"));
    assert_eq!(begun.json(&with(&["-status"]))["started"], false);

    let nonce = begun.json(&init)["nonce"].clone();
    let nonce = format!("-nonce={}", text(&nonce));
    let give = |share: &str| begun.json(&["operator", "rekey", &nonce, share]);
    assert_eq!(give(&begun.shares[0])["progress"], 1);
    let foreign = "00".repeat(33);
    begun.refused(
        &["operator", "rekey", &nonce, &foreign],
        "none of the shares of today",
    );
    let other = ["operator", "rekey", "-nonce=x", &begun.shares[1]];
    begun.refused(&other, "incorrect nonce");
    let done = give(&begun.shares[1]);
    assert_eq!(
        (&done["complete"], &done["verification_required"]),
        (&true.into(), &true.into())
    );
    let new = texts(&done["keys_base64"]);

    let nonce = format!("-nonce={}", text(&done["verification_nonce"]));
    let show = |share: &str| begun.json(&["operator", "rekey", "-verify", &nonce, share]);
    assert_eq!(show(&new[0])["progress"], 1);
    assert_eq!(begun.json(&with(&["-verify", "-status"]))["progress"], 1);
    let again = begun.ok(&with(&["-verify", "-cancel"]));
    assert!(again.contains("shown again"), "{again}");
    let status = begun.json(&with(&["-verify", "-status"]));
    let nonce = format!("-nonce={}", text(&status["nonce"]));
    let show = |share: &str| begun.json(&["operator", "rekey", "-verify", &nonce, share]);
    show(&new[0]);
    assert_eq!(show(&new[2])["complete"], true);

    begun.ok(&["operator", "seal"]);
    begun.refused(
        &["operator", "unseal", &begun.shares[0]],
        "a share of before",
    );
    begun.ok(&["operator", "unseal", &new[0]]);
    begun.ok(&["operator", "unseal", &new[1]]);
    assert_eq!(begun.run(&["status"]).code, 0);
}

#[test]
fn people_read_the_new_shares_and_what_to_do_with_them() {
    let begun = Begun::new();
    begun.ok(&[
        "operator",
        "rotate-keys",
        "-init",
        "-key-shares=2",
        "-key-threshold=2",
    ]);
    begun.ok(&["operator", "rotate-keys", &begun.shares[0]]);
    let told = begun.ok(&["operator", "rotate-keys", &begun.shares[2]]);
    for part in ["Key 1: ", "Key 2: ", "Give each to another person"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("Key 3: "), "{told}");
}

#[test]
fn a_root_token_comes_out_from_under_its_pad() {
    let begun = Begun::new();
    let command = ["operator", "generate-root"];
    let with = |more: &[&'static str]| [&command[..], more].concat();
    let pad = begun.ok(&with(&["-generate-otp"]));
    assert_eq!(pad.trim().len(), 26);
    assert_eq!(begun.json(&with(&["-status"]))["started"], false);
    let own = format!("-otp={}", pad.trim());
    let asked = begun.json(&["operator", "generate-root", "-init", &own]);
    assert_eq!(asked["otp"], "");
    assert!(begun.ok(&with(&["-cancel"])).contains("Success!"));

    // The pad of the server's, and a token beside it that is asked for with one of our own.
    for own in [None, Some(&own)] {
        let mut init = with(&["-init"]);
        init.extend(own.map(String::as_str));
        let asked = begun.json(&init);
        let pad = match own {
            Some(_) => pad.trim(),
            None => text(&asked["otp"]),
        };
        let nonce = format!("-nonce={}", text(&asked["nonce"]));
        let first = begun.json(&["operator", "generate-root", &nonce, &begun.shares[1]]);
        assert_eq!(
            (&first["progress"], &first["complete"]),
            (&1.into(), &false.into())
        );
        let table = begun.ok(&with(&["-status"]));
        assert!(table.contains("1/2"), "{table}");
        let done = begun.json(&["operator", "generate-root", &nonce, &begun.shares[2]]);
        let decode = format!("-decode={}", text(&done["encoded_token"]));
        let token = begun.ok(&["operator", "generate-root", &decode, &format!("-otp={pad}")]);
        let looked = begun
            .server
            .run_as(token.trim(), &["token", "lookup", "-format=json"]);
        assert_eq!(looked.code, 0, "{}", looked.stderr);
        let looked: Value = serde_json::from_slice(&looked.stdout).unwrap();
        assert_eq!(looked["data"]["policies"], serde_json::json!(["root"]));
        let other = format!("-otp={}", "x".repeat(25));
        let wrong = begun.run(&["operator", "generate-root", &decode, &other]);
        assert_eq!(wrong.code, 1, "{}", wrong.text());
    }
}

#[test]
fn a_rotation_by_time_is_set_and_shown() {
    let server = Server::dev();
    let shown = server.json(&["operator", "rotate", "-config"]);
    assert_eq!(shown["data"]["interval"], 0);
    let set = ["operator", "rotate", "-config", "interval=720h"];
    assert_eq!(server.json(&set)["data"]["interval"], "720h0m0s");
    let off = server.ok(&["operator", "rotate", "-config", "enabled=false"]);
    assert!(off.contains("720h0m0s"), "{off}");
    let short = server.run(&["operator", "rotate", "-config", "interval=1h"]);
    assert_eq!(short.code, 2);
    assert!(short.stderr.contains("24h"), "{}", short.stderr);
    let stray = server.run(&["operator", "rotate", "interval=720h"]);
    assert_eq!(stray.code, 1, "{}", stray.text());
    assert_eq!(server.json(&["operator", "key-status"])["term"], 1);
}

#[test]
fn the_seals_rotate_the_root_key_alone_where_no_shares_open() {
    let refused = Server::dev().run(&["operator", "rotate-root"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("their holders"),
        "{}",
        refused.stderr
    );

    let home = tempfile::tempdir().unwrap();
    let key = "07".repeat(32);
    let config = format!(
        "listener \"tcp\" {{ address = \"127.0.0.1:0\" tls_disable = true }}\n\
         seal \"static\" \"one\" {{ current_key = \"{key}\" current_key_id = \"1\" }}\n\
         seals {{ shares_unseal = false }}"
    );
    let server = Server::listening(home, &config);
    let init = [
        "operator",
        "init",
        "-recovery-shares=3",
        "-recovery-threshold=2",
    ];
    let made = server.json(&init);
    let root = text(&made["root_token"]).to_owned();
    let rotated = server.run_as(&root, &["operator", "rotate-root"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    assert!(
        rotated.text().contains("Rotated the root key"),
        "{}",
        rotated.text()
    );
    assert!(rotated.stderr.is_empty(), "{}", rotated.stderr);
    let checked = server.run_as(&root, &["operator", "seal", "check"]);
    assert_eq!(checked.code, 0, "{}", checked.text());
    let share = text(&made["recovery_keys_b64"][0]);
    let sealed = server.run_as(&root, &["operator", "seal"]);
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    let given = server.run(&["operator", "unseal", share]);
    assert_eq!(given.code, 2);
    assert!(
        given.stderr.contains("only its seals open it"),
        "{}",
        given.stderr
    );
}
