//! `user_lockout "kind" {…}`: when a name that fails to log in is locked.

use std::path::Path;
use std::sync::Arc;

use keyfold_api::hcl::Block;
use keyfold_core::lockout::LockoutRules;
use keyfold_core::mounts::Lockout;

use super::place::{ConfigError, Placed};
use super::section::Section;

/// The kinds of auth methods that lock names, and all of them.
const KINDS: [&str; 4] = ["all", "userpass", "approle", "ldap"];

/// A block as written.
pub struct RawLockout {
    /// The label.
    pub kind: String,
    /// `lockout_threshold`, `lockout_duration`, `lockout_counter_reset`; what is not written is zero.
    pub lockout: Lockout,
    /// `disable_lockout`.
    pub disable: Option<bool>,
}

/// Reads a block.
pub fn raw(
    file: &Arc<Path>,
    block: &Block<'_>,
    warnings: &mut Vec<String>,
) -> Result<RawLockout, ConfigError> {
    let kind = block.labels.first().copied().unwrap_or_default();
    let mut section = Section::new(file, format!("user_lockout \"{kind}\""), block.body);
    let secs = |of: Option<Placed<std::time::Duration>>| of.map_or(0, |d| d.value.as_secs());
    let threshold = section.number("lockout_threshold")?;
    let lockout = RawLockout {
        kind: kind.to_owned(),
        lockout: Lockout {
            threshold: threshold.map_or(0, |n| u64::try_from(n.value).unwrap_or(u64::MAX)),
            duration: secs(section.duration("lockout_duration")?),
            counter_reset: secs(section.duration("lockout_counter_reset")?),
            disable: false,
        },
        disable: section.flag("disable_lockout")?.map(|flag| flag.value),
    };
    section.finish(&[], warnings)?;
    Ok(lockout)
}

/// What is written of a kind goes before what is written of all.
pub fn resolve(raw: Vec<Placed<RawLockout>>) -> Result<LockoutRules, ConfigError> {
    let mut rules = LockoutRules::default();
    for lockout in &raw {
        let RawLockout { kind, .. } = &lockout.value;
        if !KINDS.contains(&kind.as_str()) {
            let known = KINDS.join(", ");
            return Err(lockout.wrong(format!(
                "user_lockout \"{kind}\" is not offered: there are {known}"
            )));
        }
        if kind == "all" {
            rules.all = complete(&lockout.value, &Lockout::default());
        }
    }
    for Placed { value, .. } in raw {
        if value.kind != "all" {
            let lockout = complete(&value, &rules.all);
            rules.kinds.insert(value.kind, lockout);
        }
    }
    Ok(rules)
}

fn complete(raw: &RawLockout, all: &Lockout) -> Lockout {
    let or = |own: u64, all: u64| if own > 0 { own } else { all };
    Lockout {
        threshold: or(raw.lockout.threshold, all.threshold),
        duration: or(raw.lockout.duration, all.duration),
        counter_reset: or(raw.lockout.counter_reset, all.counter_reset),
        disable: raw.disable.unwrap_or(all.disable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(kind: &str, threshold: u64, disable: Option<bool>) -> Placed<RawLockout> {
        Placed::given(RawLockout {
            kind: kind.to_owned(),
            lockout: Lockout {
                threshold,
                ..Lockout::default()
            },
            disable,
        })
    }

    #[test]
    fn a_kind_goes_before_all_of_them() {
        let written = vec![
            given("userpass", 0, Some(false)),
            given("all", 7, Some(true)),
            given("approle", 3, None),
        ];
        let rules = resolve(written).unwrap();
        let of = |kind: &str| rules.kinds.get(kind).map(|l| (l.threshold, l.disable));
        assert_eq!(of("userpass"), Some((7, false)));
        assert_eq!(of("approle"), Some((3, true)));
        assert!(rules.all.disable);
        let error = resolve(vec![given("moon", 1, None)]).err().unwrap();
        assert!(error.to_string().contains("moon"));
    }
}
