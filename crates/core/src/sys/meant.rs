//! What a path below `sys/` means that is spelt otherwise. Handlers drop slashes and fold names; the
//! pipeline asks for the right to the path that they act on too, so that no spelling gets around a
//! rule.

use self::Reading::{Name, Plain};
use crate::policies::fold;
use crate::ports::engine::Meant;

/// How the handlers below a folder read the rest of a path.
enum Reading {
    /// With some slashes dropped.
    Plain(fn(&str) -> String),
    /// As a name in lower case.
    Name(fn(&str) -> String),
}

const FOLDERS: &[(&str, Reading)] = &[
    ("mounts/", Plain(mount)),
    ("auth/", Plain(mount)),
    ("policies/acl/", Name(fold)),
    ("policies/detailed/acl/", Name(fold)),
    ("policy/", Name(fold)),
    ("config/auditing/request-headers/", Name(header)),
    ("config/ui/headers/", Name(header)),
    ("leases/lookup/", Plain(prefix)),
    ("leases/revoke-prefix/", Plain(prefix)),
    ("leases/revoke-force/", Plain(prefix)),
    ("revoke-prefix/", Plain(prefix)),
    ("revoke-force/", Plain(prefix)),
];

/// Old names, and what they are called now.
const NAMES: &[(&str, &str)] = &[
    ("renew", "leases/renew"),
    ("revoke", "leases/revoke"),
    ("revoke-prefix", "leases/revoke-prefix"),
    ("revoke-force", "leases/revoke-force"),
];

/// What a path below `sys/` means, where it is not read letter by letter or has two names.
pub(super) fn meant(path: &str) -> Option<Meant> {
    let read = spelt(path);
    let twin = twin(read.as_ref().map_or(path, |meant| &meant.path));
    match twin {
        None => read,
        Some(twin) => {
            let meant = read.unwrap_or_else(|| Meant::plain(path.to_owned()));
            Some(meant.with_twin(twin))
        }
    }
}

/// The other name of a path.
fn twin(path: &str) -> Option<String> {
    let both = NAMES.iter().flat_map(|(old, new)| [(old, new), (new, old)]);
    both.into_iter().find_map(|(name, other)| {
        let rest = path.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{other}{rest}"))
    })
}

fn spelt(path: &str) -> Option<Meant> {
    let (folder, rest, reading) = FOLDERS.iter().find_map(|(folder, reading)| {
        let rest = path.strip_prefix(folder)?;
        Some((folder, rest, reading))
    })?;
    match reading {
        Name(_) if rest.is_empty() => None,
        Name(read) => Some(Meant::named(folder, &read(rest))),
        Plain(read) => {
            let meant = read(rest);
            (meant != rest).then(|| Meant::plain(format!("{folder}{meant}")))
        }
    }
}

/// A mount, its tuning or its dek, without slashes at the end.
fn mount(rest: &str) -> String {
    let rest = rest.trim_end_matches('/');
    let of = |what: &'static str| Some((rest.strip_suffix(what)?, what));
    match of("/tune").or_else(|| of("/rotate-dek")) {
        Some((path, what)) => format!("{}{what}", path.trim_end_matches('/')),
        None => rest.to_owned(),
    }
}

fn header(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Where leases lie: no segment is empty. The slash at the end stays, as rules on what lies below a
/// path are written with it.
fn prefix(rest: &str) -> String {
    let segments: Vec<_> = rest.split('/').filter(|s| !s.is_empty()).collect();
    let slash = if rest.ends_with('/') { "/" } else { "" };
    format!("{}{slash}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{meant, spelt};

    #[test]
    fn another_spelling_means_the_plain_one() {
        for (asked, plain) in [
            ("mounts/kv/", "mounts/kv"),
            ("mounts/kv/tune/", "mounts/kv/tune"),
            ("mounts/kv//tune", "mounts/kv/tune"),
            ("mounts/a/b///", "mounts/a/b"),
            ("mounts/kv//rotate-dek", "mounts/kv/rotate-dek"),
            ("auth/people/", "auth/people"),
            ("auth/people//tune//", "auth/people/tune"),
            ("policies/acl/Admin", "policies/acl/admin"),
            ("policies/acl/ admin ", "policies/acl/admin"),
            ("policies/detailed/acl/Team/", "policies/detailed/acl/team/"),
            ("policy/ADMIN", "policy/admin"),
            (
                "config/auditing/request-headers/X-Id",
                "config/auditing/request-headers/x-id",
            ),
            ("config/ui/headers/X-Id", "config/ui/headers/x-id"),
            (
                "leases/revoke-prefix/auth//a",
                "leases/revoke-prefix/auth/a",
            ),
            ("revoke-force//auth/a//", "revoke-force/auth/a/"),
        ] {
            let told = meant(asked).unwrap();
            assert_eq!(told.path, plain, "{asked}");
            // Said of the plain spelling too, where case means nothing.
            assert_eq!(spelt(plain).is_some(), told.caseless.is_some(), "{plain}");
        }
        for path in [
            "mounts",
            "mounts/",
            "auth/",
            "seal",
            "leases/revoke/A//b",
            "policy/",
        ] {
            assert_eq!(spelt(path), None, "{path}");
        }
    }

    #[test]
    fn old_names_have_twins() {
        let twin = |path| meant(path).and_then(|meant| meant.twin);
        for (one, other) in [
            ("renew", "leases/renew"),
            ("revoke/a/b", "leases/revoke/a/b"),
            ("revoke-prefix/a", "leases/revoke-prefix/a"),
            ("revoke-force/a/", "leases/revoke-force/a/"),
        ] {
            assert_eq!(twin(one).as_deref(), Some(other));
            assert_eq!(twin(other).as_deref(), Some(one));
        }
        assert_eq!(
            twin("revoke-prefix//a").as_deref(),
            Some("leases/revoke-prefix/a")
        );
        for path in [
            "leases/lookup/a",
            "revoked",
            "leases/renewal",
            "mounts/renew",
        ] {
            assert_eq!(twin(path), None, "{path}");
        }
    }
}
