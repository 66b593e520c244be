//! The seals of a configuration.

use keyfold_backends::seals::{KINDS, LEFT_OUT, awaited};
use keyfold_core::lifecycle::SealConfig;
use keyfold_core::ports::seal::{SealKind, SealSetup, Settings};

use crate::config::{Config, ConfigError, Placed, Seal};

/// What a command line takes from the variables that begin with `VAULT_` and `BAO_`: with which server it speaks.
const OF_COMMANDS: &[&str] = &[
    "ADDR",
    "TOKEN",
    "NAMESPACE",
    "CACERT",
    "CLIENT_CERT",
    "CLIENT_KEY",
    "TLS_SERVER_NAME",
    "SKIP_VERIFY",
];

/// Makes the seals that are configured. None of them is asked anything yet, and one whose secret lies
/// in a file that can't be read waits for it: another may open the store meanwhile, or people.
pub fn seals(config: &Config) -> Result<SealConfig, ConfigError> {
    made(config, of_server, Lacking::Wait)
}

/// The same when a configuration is read again: a seal that works is not given up for one that waits.
pub fn seals_anew(config: &Config) -> Result<SealConfig, ConfigError> {
    made(config, of_server, Lacking::Refuse)
}

/// The same for a command: what its shell says of the server that it speaks with is not meant for a seal.
pub fn seals_of_command(config: &Config) -> Result<SealConfig, ConfigError> {
    made(config, of_command, Lacking::Wait)
}

/// What to do where a file is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lacking {
    Wait,
    Refuse,
}

fn of_server(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn of_command(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|_| !is_of_commands(name))
}

fn is_of_commands(name: &str) -> bool {
    let rest = name.strip_prefix("VAULT_").or(name.strip_prefix("BAO_"));
    rest.is_some_and(|rest| OF_COMMANDS.contains(&rest))
}

fn made(
    config: &Config,
    variable: impl Fn(&str) -> Option<String>,
    lacking: Lacking,
) -> Result<SealConfig, ConfigError> {
    Ok(SealConfig {
        seals: setups(&config.seals, variable, lacking)?,
        shares_unseal: config.shares_unseal,
        require: config.require,
    })
}

/// What is wrong with each of them, as [`seals_of_command`] would make them.
pub fn faults(config: &Config) -> Vec<ConfigError> {
    let seals = &config.seals;
    let made = seals
        .iter()
        .map(|seal| setup(seal, seals, of_command, Lacking::Refuse));
    made.filter_map(Result::err).collect()
}

fn setups(
    seals: &[Placed<Seal>],
    variable: impl Fn(&str) -> Option<String>,
    lacking: Lacking,
) -> Result<Vec<SealSetup>, ConfigError> {
    let made = seals
        .iter()
        .map(|seal| setup(seal, seals, &variable, lacking));
    made.collect()
}

fn setup(
    seal: &Placed<Seal>,
    seals: &[Placed<Seal>],
    variable: impl Fn(&str) -> Option<String>,
    lacking: Lacking,
) -> Result<SealSetup, ConfigError> {
    let Some(kind) = KINDS.iter().find(|kind| kind.name == seal.value.kind) else {
        return Err(seal.wrong(not_offered(&seal.value.kind)));
    };
    // Of two seals of a kind the environment can't mean both.
    let alone = seals
        .iter()
        .filter(|other| other.value.kind == seal.value.kind)
        .count()
        == 1;
    let settings = settings(kind, seal, |name| variable(name).filter(|_| alone))?;
    let made = match (kind.make)(&settings) {
        Ok(made) => made,
        Err(error) if error.awaited && lacking == Lacking::Wait => awaited(kind, settings),
        Err(error) => {
            let place = seal.value.settings.get(error.name);
            let message = format!("seal \"{}\": {error}", seal.value.name);
            return Err(place.map_or_else(|| seal.wrong(&message), |place| place.wrong(&message)));
        }
    };
    Ok(SealSetup {
        name: seal.value.name.clone(),
        kind: kind.name,
        priority: seal.value.priority,
        disabled: seal.value.disabled,
        seal: made,
    })
}

fn not_offered(kind: &str) -> String {
    if LEFT_OUT.contains(&kind) {
        return format!("seal \"{kind}\" is not in this build, which was made without the feature");
    }
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let names = names.join(", ");
    format!("seal \"{kind}\" is not offered: there are shamir, {names}")
}

/// What is written, and over it what the environment says.
fn settings(
    kind: &SealKind,
    seal: &Placed<Seal>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Settings, ConfigError> {
    let known = |name: &str| kind.settings.iter().any(|setting| setting.name == name);
    let mut settings = Settings::new();
    for (name, value) in &seal.value.settings {
        if known(name) {
            settings.insert(name.clone(), value.value.clone());
        } else if !kind.idle.contains(&name.as_str()) {
            let (kind, message) = (kind.name, "unknown setting");
            return Err(value.wrong(format!("{message} \"{name}\" of seal \"{kind}\"")));
        }
    }
    for setting in kind.settings {
        let given = setting.variables.iter().find_map(|name| variable(name));
        if let Some(value) = given.filter(|value| !value.is_empty()) {
            settings.insert(setting.name.to_owned(), value);
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn seal(kind: &str, name: &str, settings: &[(&str, &str)]) -> Placed<Seal> {
        let settings = settings.iter();
        let settings = settings.map(|(k, v)| ((*k).to_owned(), Placed::given((*v).to_owned())));
        Placed::given(Seal {
            kind: kind.to_owned(),
            name: name.to_owned(),
            priority: 1,
            disabled: false,
            settings: settings.collect(),
        })
    }

    fn error(seals: &[Placed<Seal>]) -> String {
        setups(seals, |_| None, Lacking::Wait)
            .err()
            .unwrap()
            .to_string()
    }

    #[test]
    fn the_environment_wins_where_it_can_mean_one_seal_only() {
        let variable = |name: &str| match name {
            "BAO_STATIC_SEAL_CURRENT_KEY" => Some(KEY.to_owned()),
            "VAULT_STATIC_SEAL_CURRENT_KEY_ID" => Some("1".to_owned()),
            _ => None,
        };
        let one = [seal("static", "a", &[("current_key", "bad")])];
        assert_eq!(setups(&one, variable, Lacking::Wait).unwrap().len(), 1);
        let two = [seal("static", "a", &[]), seal("static", "b", &[])];
        assert!(setups(&two, variable, Lacking::Wait).is_err());
    }

    #[test]
    fn a_command_keeps_its_server_apart_from_the_seals() {
        for name in ["VAULT_ADDR", "BAO_TOKEN", "VAULT_NAMESPACE"] {
            assert!(is_of_commands(name), "{name}");
        }
        for name in ["VAULT_TRANSIT_SEAL_TOKEN", "AWS_REGION", "BAO_HSM_PIN"] {
            assert!(!is_of_commands(name), "{name}");
        }
        // Each of them is one that some seal takes.
        let taken = |rest: &&&str| {
            let name = format!("VAULT_{rest}");
            let mut settings = KINDS.iter().flat_map(|kind| kind.settings);
            settings.any(|setting| setting.variables.contains(&name.as_str()))
        };
        assert_eq!(OF_COMMANDS.iter().filter(taken).count(), OF_COMMANDS.len());
    }

    #[test]
    fn mistakes() {
        let banana = seal("static", "a", &[("banana", "1")]);
        assert!(error(&[banana]).contains("unknown setting \"banana\" of seal \"static\""));
        let pigeon = seal("pigeon", "a", &[]);
        assert!(
            error(&[pigeon])
                .starts_with("seal \"pigeon\" is not offered: there are shamir, static")
        );
        for kind in LEFT_OUT {
            let wanted = format!("seal \"{kind}\" is not in this build");
            assert!(error(&[seal(kind, "a", &[])]).starts_with(&wanted));
        }
        let away = [seal(
            "static",
            "a",
            &[
                ("current_key", "file:///nonexistent/key"),
                ("current_key_id", "1"),
            ],
        )];
        assert_eq!(setups(&away, |_| None, Lacking::Wait).unwrap().len(), 1);
        let refused = setups(&away, |_| None, Lacking::Refuse).err().unwrap();
        assert!(refused.to_string().contains("\"current_key\" names a file"));
        let missing = seal("static", "a", &[("current_key", KEY)]);
        assert_eq!(
            error(&[missing]),
            "seal \"a\": \"current_key_id\" is needed"
        );
    }
}
