//! `kms_library "pkcs11" { name, library }`: the libraries of devices that keep keys, by the names
//! that managed keys have for them.

use std::path::Path;
use std::sync::Arc;

use keyfold_api::hcl::Block;

use super::place::{ConfigError, Placed};
use super::section::Section;

/// The only type.
const PKCS11: &str = "pkcs11";

/// A library. Managed keys name it, and no other way leads to one.
#[derive(Debug, Clone)]
pub struct KmsLibrary {
    /// Its name, whatever its case.
    pub name: String,
    /// Where its file is.
    pub path: String,
}

/// Reads one block.
pub(super) fn read(
    file: &Arc<Path>,
    block: &Block<'_>,
    warnings: &mut Vec<String>,
) -> Result<KmsLibrary, ConfigError> {
    let kind = block.labels.first().copied().unwrap_or_default();
    let mut section = Section::new(file, format!("kms_library \"{kind}\""), block.body);
    let place = section.place(block.line);
    if kind != PKCS11 {
        let message = format!("kms_library \"{kind}\" is not offered: there is {PKCS11}");
        return Err(ConfigError::at(place, message));
    }
    let needed = |found: Option<Placed<String>>, name: &str| {
        let found = found.filter(|found| !found.value.is_empty());
        let missing = || format!("kms_library \"{kind}\" needs a \"{name}\"");
        let found = found.map(|found| found.value);
        found.ok_or_else(|| ConfigError::at(place.clone(), missing()))
    };
    let library = KmsLibrary {
        name: needed(section.text("name")?, "name")?,
        path: needed(section.text("library")?, "library")?,
    };
    section.finish(&[], warnings)?;
    Ok(library)
}

/// Refuses two of one name.
pub(super) fn resolve(libraries: Vec<Placed<KmsLibrary>>) -> Result<Vec<KmsLibrary>, ConfigError> {
    let mut resolved: Vec<KmsLibrary> = Vec::with_capacity(libraries.len());
    for library in libraries {
        let name = &library.value.name;
        let same = |other: &KmsLibrary| other.name.eq_ignore_ascii_case(name);
        if resolved.iter().any(same) {
            return Err(library.wrong(format!("a second kms_library of the name \"{name}\"")));
        }
        resolved.push(library.value);
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn libraries(text: &str) -> Result<Vec<KmsLibrary>, String> {
        let text =
            format!("storage \"inmem\" {{}}\nlistener \"tcp\" {{ tls_disable = true }}\n{text}");
        let config = Config::parse(&text, Path::new("k.hcl"));
        config
            .map(|config| config.kms_libraries)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn several() {
        let some = libraries(
            "kms_library \"pkcs11\" { name = \"one\" library = \"/a.so\" }
             kms_library \"pkcs11\" { name = \"two\" library = \"/b.so\" }",
        );
        let some = some.unwrap();
        let shown = some.iter().map(|found| (&*found.name, &*found.path));
        assert!(shown.eq([("one", "/a.so"), ("two", "/b.so")]));
    }

    #[test]
    fn mistakes() {
        let twice = "kms_library \"pkcs11\" { name = \"one\" library = \"/a.so\" }
             kms_library \"pkcs11\" { name = \"ONE\" library = \"/b.so\" }";
        for (text, wanted) in [
            ("kms_library \"tpm\" { name = \"a\" }", "is not offered"),
            (
                "kms_library \"pkcs11\" { library = \"/a.so\" }",
                "needs a \"name\"",
            ),
            (
                "kms_library \"pkcs11\" { name = \"a\" }",
                "needs a \"library\"",
            ),
            (twice, "a second kms_library"),
        ] {
            let error = libraries(text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
