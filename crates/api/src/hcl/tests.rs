//! What HCL and JSON texts give, and that no text does harm.

use super::*;

/// The tree as text, values included: `Debug` hides them.
fn show(body: &Body) -> String {
    let item = |item: &Item| {
        let labels: String = item
            .labels
            .iter()
            .map(|label| format!(" {label:?}"))
            .collect();
        format!("{}{labels}:{}", item.key, show_value(&item.value))
    };
    body.items.iter().map(item).collect::<Vec<_>>().join(" ")
}

fn show_value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(text) => text.clone(),
        Value::String(text) => format!("{text:?}"),
        Value::List(values) => {
            format!(
                "[{}]",
                values.iter().map(show_value).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Object(body) => format!("{{{}}}", show(body)),
    }
}

fn read(text: &str) -> String {
    match parse_any(text) {
        Ok(body) => show(&body),
        Err(error) => error.to_string(),
    }
}

#[test]
fn hcl() {
    let table = [
        ("", ""),
        ("a = 1", "a:1"),
        ("a = -1.5e3\nb = 0xff", "a:-1.5e3 b:0xff"),
        (
            "\"quoted key\" = true, b = false",
            "quoted key:true b:false",
        ),
        ("# c\n// c\n/* c\n{ */ a = \"b\" # c", "a:\"b\""),
        (
            "path \"x/*\" { capabilities = [\"read\"] ttl = \"1s\" }",
            "path \"x/*\":{capabilities:[\"read\"] ttl:\"1s\"}",
        ),
        ("a \"b\" c {}", "a \"b\" \"c\":{}"),
        ("a { b { c = 1 } }", "a:{b:{c:1}}"),
        (
            "a = { \"k\" = [\"a\", \"b*\",] \"n\" = [] }",
            "a:{k:[\"a\" \"b*\"] n:[]}",
        ),
        ("a = [{b = 1}, [2]]", "a:[{b:1} [2]]"),
        (r#"a = "\n\t\"\\\x41\u00e9\101""#, "a:\"\\n\\t\\\"\\\\AéA\""),
        (r#"a = "${x "y" {}}z""#, "a:\"${x \\\"y\\\" {}}z\""),
        (
            "a = \"$x{{identity.entity.id}}\"",
            "a:\"$x{{identity.entity.id}}\"",
        ),
        (
            "a = <<EOF\n  one\ntwo\nEOF\nb = 1",
            "a:\"  one\\ntwo\\n\" b:1",
        ),
        (
            "a = <<-EOF\n    one\n      two\n    EOF\n",
            "a:\"one\\n  two\\n\"",
        ),
        ("a = <<EOF\r\none\r\nEOF\r\n", "a:\"one\\r\\n\""),
        ("a = <<EOF\nEOF", "a:\"\""),
        ("dashed-and.dotted_name = 1", "dashed-and.dotted_name:1"),
        ("\u{feff}a = 1", "a:1"),
        ("a = 1\na = 2", "a:1 a:2"),
    ];
    for (text, tree) in table {
        assert_eq!(read(text), tree, "{text}");
    }
}

#[test]
fn json() {
    let table = [
        ("{}", ""),
        ("\u{feff}{\"a\":1}", "a:1"),
        (
            " {\"a\":{\"b\":[1,\"x\",null,true]}}",
            "a:{b:[1 \"x\" null true]}",
        ),
        (r#"{"a":"\/é\u00e9\ud83d\ude00${"}"#, "a:\"/éé😀${\""),
        ("{\"a\":1} x", "At line 1: expected the end, found a word"),
        (
            "{\"a\":1,}",
            "At line 1: expected a name in quotes, found `}`",
        ),
        (
            "{\"a\":\n# c\n1}",
            "At line 2: a character that has no meaning here",
        ),
        (r#"{"a":"\x41"}"#, "At line 1: a malformed string"),
    ];
    for (text, tree) in table {
        assert_eq!(read(text), tree, "{text}");
    }
}

#[test]
fn errors_have_the_line() {
    let table = [
        (
            "path \"a\" {",
            "At line 1: a block is not closed: expected `}`",
        ),
        ("\n\na = ", "At line 3: expected a value, found the end"),
        (
            "a = 1\nb = bare",
            "At line 2: expected a value, found a word",
        ),
        ("a = \"x\ny\"", "At line 1: a string is not closed"),
        ("a = \"x", "At line 1: a string is not closed"),
        ("a = \"${x", "At line 1: a string is not closed"),
        (
            "/* x\n",
            "At line 1: a comment is not closed: expected `*/`",
        ),
        ("a = <<EOF\nx", "At line 1: a heredoc is not closed"),
        (
            "a = <<\nx",
            "At line 1: a heredoc needs a name of letters and digits",
        ),
        (
            "a \"b\" = 1",
            "At line 1: expected a label or `{`, found `=`",
        ),
        (
            "a = [1 2]",
            "At line 1: expected a comma or `]`, found a number",
        ),
        ("a = 1 }", "At line 1: expected a name, found `}`"),
        ("a = 1,,", "At line 1: expected a name, found a comma"),
        ("a = \"\\q\"", "At line 1: an escape that is not known"),
        ("a = 1x", "At line 1: a malformed number"),
        ("a = 0x", "At line 1: a malformed number"),
        ("a : 1", "At line 1: a character that has no meaning here"),
        (
            "a",
            "At line 1: expected `=`, a label or `{`, found the end",
        ),
    ];
    for (text, error) in table {
        assert_eq!(read(text), error, "{text}");
    }
}

#[test]
fn depth_is_limited() {
    for text in ["a = [", "a {", "{\"a\":", "a = {a = ", "[", "\"${{"] {
        assert!(parse_any(&text.repeat(200_000)).is_err(), "{text}");
    }
    let nested = format!("a = {}{}", "[".repeat(60), "]".repeat(60));
    assert!(parse_any(&nested).is_ok());
    let blocks = format!("{}{}", "a {".repeat(65), "}".repeat(65));
    assert_eq!(read(&blocks), "At line 1: nested too deep");
}

#[test]
fn lines_count_through_everything() {
    let text = "/*\n*/\nheredoc = <<EOF\none\nEOF\n\"${\n}\" = 1\nlast = 2\n";
    let lines: Vec<_> = parse(text)
        .unwrap()
        .items
        .iter()
        .map(|item| item.line)
        .collect();
    assert_eq!(lines, [3, 6, 8]);
}

#[test]
fn blocks_in_every_spelling() {
    for text in [
        r#"listener "tcp" { a = 1 }"#,
        r#"listener = { tcp = { a = 1 } }"#,
        r#"listener { tcp { a = 1 } }"#,
        r#"{"listener":{"tcp":{"a":1}}}"#,
        r#"{"listener":[{"tcp":{"a":1}}]}"#,
        r#"{"listener":{"tcp":[{"a":1}]}}"#,
    ] {
        let body = parse_any(text).unwrap();
        let blocks = body.blocks("listener").unwrap();
        assert_eq!(blocks.len(), 1, "{text}");
        assert_eq!(
            (blocks[0].0, show(blocks[0].1)),
            ("tcp", "a:1".to_owned()),
            "{text}"
        );
        assert!(body.blocks("other").unwrap().is_empty());
    }
    let body = parse_any("\naudit \"file\" \"name\" { path = \"x\" }").unwrap();
    let blocks = body.labelled_blocks("audit", 2).unwrap();
    assert_eq!(
        (blocks[0].labels.as_slice(), blocks[0].line),
        (&["file", "name"][..], 2)
    );
    for text in [
        "path = 1",
        "path \"a\" \"b\" {}",
        "path { a = 1 }",
        "path {}\npath = []\npath 1",
    ] {
        let read = parse_any(text).and_then(|body| body.blocks("path").map(|_| ()));
        assert!(read.is_err(), "{text}");
    }
}

/// Every policy that the peer took on record is read.
#[test]
fn recorded_policies() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/golden/sys-transcript.json"
    );
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut count = 0;
    for scenario in golden["scenarios"].as_array().unwrap() {
        for step in scenario["steps"].as_array().unwrap() {
            let body = &step["request"]["body"];
            let target = step["request"]["path"].as_str().unwrap();
            let text = body["policy"].as_str().or_else(|| body["rules"].as_str());
            let accepted = matches!(step["status"].as_u64(), Some(200 | 204));
            let Some(text) = text.filter(|text| accepted && text.contains("path")) else {
                continue;
            };
            let parsed = parse_any(text).unwrap_or_else(|error| panic!("{target}: {error}"));
            assert!(!parsed.blocks("path").unwrap().is_empty(), "{target}");
            count += 1;
        }
    }
    assert!(count >= 16, "only {count} policies in the record");
}

/// Cut anywhere, with any one byte changed: an answer, no panic.
#[test]
fn damaged_texts_are_answered() {
    let texts = [
        "path \"x/${a}\" {\n c = [\"r\\u00e9\", 1e5, <<-EOF\n  x\n  EOF\n] # c\n}\n/* é */ b = -1",
        "{\"a\":{\"b\":[1,\"x\\ud83d\\ude00\",null,true]}}",
    ];
    for text in texts {
        for end in 0..=text.len() {
            let bytes = text.as_bytes();
            let _ = parse_any(&String::from_utf8_lossy(&bytes[..end]));
            for replacement in b"\"\\{}[]<=,$\n\0\xff-0e" {
                let mut changed = bytes.to_vec();
                if let Some(byte) = changed.get_mut(end) {
                    *byte = *replacement;
                }
                let _ = parse_any(&String::from_utf8_lossy(&changed));
            }
        }
    }
}
