//! Go's way to write flags (`-format=json`, `-dev`, `-force=true`), put into clap's.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::Command;

/// `argv` with each `-name` of a known long flag written `--name`. A switch may say `=true`, which
/// is dropped, or `=false`, which drops the switch. Everything after `--`, and whatever is no known
/// flag, stays.
pub(crate) fn rewrite(command: &Command, argv: Vec<OsString>) -> Vec<OsString> {
    let mut flags = HashMap::new();
    collect(command, &mut flags);
    let mut argv = argv.into_iter();
    let mut rewritten = Vec::with_capacity(argv.len());
    // The name of the program.
    rewritten.extend(argv.next());
    for argument in argv.by_ref() {
        if argument == "--" {
            rewritten.push(argument);
            break;
        }
        rewritten.extend(rewrite_one(&flags, argument));
    }
    rewritten.extend(argv);
    rewritten
}

/// Each long flag of the command tree, and whether it takes a value.
fn collect(command: &Command, flags: &mut HashMap<String, bool>) {
    for argument in command.get_arguments() {
        let takes_value = argument.get_action().takes_values();
        let names = argument.get_long().into_iter();
        for name in names.chain(argument.get_all_aliases().unwrap_or_default()) {
            flags.insert(name.to_owned(), takes_value);
        }
    }
    for inner in command.get_subcommands() {
        collect(inner, flags);
    }
}

fn rewrite_one(flags: &HashMap<String, bool>, argument: OsString) -> Option<OsString> {
    let bytes = argument.as_bytes();
    let Some(flag) = bytes.strip_prefix(b"-") else {
        return Some(argument);
    };
    let flag = flag.strip_prefix(b"-").unwrap_or(flag);
    let (name, value) = match flag.iter().position(|byte| *byte == b'=') {
        Some(at) => (flag.get(..at), flag.get(at + 1..)),
        None => (Some(flag), None),
    };
    let name = name.and_then(|name| std::str::from_utf8(name).ok());
    // A name of one letter is clap's own short flag.
    let Some(name) = name.filter(|name| name.len() > 1) else {
        return Some(argument);
    };
    match (flags.get(name), value) {
        (None, _) => Some(argument),
        (Some(false), Some(b"true" | b"1" | b"t")) => Some(OsString::from(format!("--{name}"))),
        (Some(false), Some(b"false" | b"0" | b"f")) => None,
        (Some(_), _) => Some(OsString::from_vec([b"--", flag].concat())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::{CommandFactory as _, Parser as _};

    fn rewritten(arguments: &str) -> String {
        let mut command = Cli::command();
        command.build();
        let argv = std::iter::once("vault").chain(arguments.split(' '));
        let argv = rewrite(&command, argv.map(OsString::from).collect());
        let texts: Vec<_> = argv.iter().skip(1).map(|a| a.to_str().unwrap()).collect();
        texts.join(" ")
    }

    #[test]
    fn go_flags_become_ours() {
        for (given, expected) in [
            ("server -dev -config=x.hcl", "server --dev --config=x.hcl"),
            ("read -format json a", "read --format json a"),
            ("read --format=json a", "read --format=json a"),
            ("write -f a", "write -f a"),
            ("write -force a", "write --force a"),
            ("write -force=true a", "write --force a"),
            ("write -force=false a", "write a"),
            ("kv put a b=-format", "kv put a b=-format"),
            ("kv put a -", "kv put a -"),
            ("kv put a -- -force", "kv put a -- -force"),
            ("read -nonsense a", "read -nonsense a"),
            ("list -ns=team a", "list --ns=team a"),
            (
                "encrypt -key transit/k -context a=b f",
                "encrypt --key transit/k --context a=b f",
            ),
            ("-help", "--help"),
        ] {
            assert_eq!(rewritten(given), expected);
        }
    }

    #[test]
    fn what_is_rewritten_parses() {
        for arguments in [
            "server -config=x -config y",
            "server -dev -dev-root-token-id=root -dev-listen-address=127.0.0.1:0",
            "operator init -key-shares=1 -key-threshold=1 -format=json",
            "operator unseal -reset",
            "secrets enable -path=x -version=2 kv",
            "kv get -mount=secret -field=a -version=1 b",
            "token create -policy=a -policy=b -ttl=1h -orphan -renewable=false",
            "rewrap -dry-run -verify=commit a b",
            "write -address=http://h -force sys/x",
        ] {
            let argv = rewritten(&arguments.replace("  ", " "));
            let argv = std::iter::once("keyfold").chain(argv.split(' '));
            assert!(Cli::try_parse_from(argv).is_ok(), "{arguments}");
        }
    }
}
