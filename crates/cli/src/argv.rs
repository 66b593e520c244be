//! Go's way to write flags (`-format=json`, `-dev`, `-force=true`), put into clap's.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

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

/// A refusal of an unknown flag under the name that was typed: clap takes `-bogus` for `-b`, which
/// nobody wrote. `parse` tells what clap says to another command line.
pub(crate) fn as_typed(
    error: clap::Error,
    argv: &[OsString],
    parse: impl FnOnce(&[OsString]) -> Option<clap::Error>,
) -> clap::Error {
    let Some((at, name)) = misread(&error, argv) else {
        return error;
    };
    let long = format!("-{name}");
    let mut argv = argv.to_vec();
    if let Some(argument) = argv.get_mut(at) {
        *argument = OsString::from(&long);
    }
    // As a long name, it gets clap's advice about names alike.
    let error = match parse(&argv) {
        Some(again) if invalid_argument(&again) == Some(long.as_str()) => again,
        _ => error,
    };
    renamed(error, name)
}

/// Whether the mistake is a command that there is not, and not one below a command that there is:
/// the former has an exit code of its own.
pub(crate) fn names_no_command(error: &clap::Error, command: &Command, argv: &[OsString]) -> bool {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        // `keyfold` alone.
        return argv.len() < 2;
    };
    let mut words = argv.iter().skip(1).filter_map(|word| word.to_str());
    let known = |word: &str| word != "help" && command.find_subcommand(word).is_some();
    words.find(|word| *word == name.as_str() || known(word)) == Some(name.as_str())
}

/// The argument that clap read as a heap of short flags, one of which is unknown: where it is, and
/// its name with one dash.
fn misread(error: &clap::Error, argv: &[OsString]) -> Option<(usize, String)> {
    let letter = match error.kind() {
        ErrorKind::UnknownArgument => invalid_argument(error)?.strip_prefix('-')?,
        _ => return None,
    };
    let candidates = argv
        .iter()
        .enumerate()
        .skip(1)
        .take_while(|(_, argument)| *argument != "--");
    let mut found = candidates.filter_map(|(at, argument)| {
        let text = argument.to_str()?;
        let name = text.split_once('=').map_or(text, |(name, _)| name);
        let short = name.strip_prefix('-')?;
        let heap = !short.starts_with('-') && short.chars().count() > 1;
        (heap && short.contains(letter)).then(|| (at, name.to_owned()))
    });
    found.next()
}

fn invalid_argument(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(name) => Some(name),
        _ => None,
    }
}

fn renamed(mut error: clap::Error, name: String) -> clap::Error {
    error.insert(ContextKind::InvalidArg, ContextValue::String(name));
    // It quotes the misread name.
    error.remove(ContextKind::Suggested);
    error
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

    #[test]
    fn no_such_command_and_no_such_command_of_a_command_differ() {
        for (given, unknown) in [
            ("nonsense", true),
            ("-format=json nonsense kv", true),
            ("help nonsense", true),
            ("kv nonsense", false),
            ("kv", false),
            ("read -nonsense a", false),
        ] {
            let mut command = Cli::command();
            command.build();
            let argv = std::iter::once("keyfold").chain(given.split(' '));
            let argv: Vec<_> = argv.map(OsString::from).collect();
            let argv = rewrite(&command, argv);
            let error = Cli::try_parse_from(&argv).err().unwrap();
            assert_eq!(
                names_no_command(&error, &command, &argv),
                unknown,
                "{given}"
            );
        }
    }

    #[test]
    fn an_unknown_flag_is_refused_as_typed() {
        let parse = |argv: &[OsString]| Cli::try_parse_from(argv).err();
        for (given, named) in [
            ("read -bogus a", "'-bogus'"),
            ("read -bogus=x a", "'-bogus'"),
            ("write -fromat=json a b=c", "'-fromat'"),
            ("status --bogus", "'--bogus'"),
            ("status -b", "'-b'"),
            ("-bogus", "'-bogus'"),
        ] {
            let argv: Vec<_> = std::iter::once("keyfold")
                .chain(given.split(' '))
                .map(OsString::from)
                .collect();
            let error = as_typed(parse(&argv).unwrap(), &argv, parse).to_string();
            let line = error.lines().next().unwrap();
            assert!(
                line.contains(&format!("argument {named} found")),
                "{given}: {error}"
            );
            assert!(!error.contains("'-- "), "{error}");
        }
    }
}
