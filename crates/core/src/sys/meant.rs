//! What a path below `sys/` means that is spelt otherwise. Handlers drop slashes and fold names; the
//! pipeline asks for the right to the path that they act on too, so that no spelling gets around a
//! rule.

use crate::policies::fold;

/// The rest of a path, as the handlers below a folder read it.
type Reading = fn(&str) -> String;

const FOLDERS: &[(&str, Reading)] = &[
    ("mounts/", mount),
    ("auth/", mount),
    ("policies/acl/", fold),
    ("policies/detailed/acl/", fold),
    ("policy/", fold),
    ("config/auditing/request-headers/", header),
    ("config/ui/headers/", header),
    ("leases/lookup/", prefix),
    ("leases/revoke-prefix/", prefix),
    ("leases/revoke-force/", prefix),
    ("revoke-prefix/", prefix),
    ("revoke-force/", prefix),
];

/// The path below `sys/` that is meant, where it is not the one that was asked for.
pub(super) fn meant(path: &str) -> Option<String> {
    let (folder, rest, reading) = FOLDERS.iter().find_map(|(folder, reading)| {
        let rest = path.strip_prefix(folder)?;
        Some((folder, rest, reading))
    })?;
    let meant = reading(rest);
    (meant != rest).then(|| format!("{folder}{meant}"))
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
    use super::meant;

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
            assert_eq!(meant(asked).as_deref(), Some(plain), "{asked}");
            assert_eq!(meant(plain), None, "{plain}");
        }
        for path in ["mounts", "mounts/", "auth/", "seal", "leases/revoke/A//b"] {
            assert_eq!(meant(path), None, "{path}");
        }
    }
}
