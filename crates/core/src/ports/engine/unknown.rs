//! What a request says and nobody listens to.

use std::sync::OnceLock;

/// Names that a warning tells at most: a body may have very many.
const TOLD: usize = 64;

/// Members of a body that a call has no use for: noted by whoever reads the body, told in the
/// answer's warnings. A body that nobody reads is unknown as a whole.
#[derive(Default)]
pub struct Unknown(OnceLock<Vec<String>>);

impl Unknown {
    /// The first to read the body says it all.
    pub(super) fn note(&self, names: Vec<String>) {
        let _ = self.0.set(names);
    }

    /// What to tell of the names, or of those that `unread` finds where nobody has read the body.
    /// Those that are `captured` from the path had a value all the same.
    pub(super) fn warnings(
        &self,
        unread: impl FnOnce() -> Vec<String>,
        captured: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let names = self.0.get_or_init(unread).iter();
        let (replaced, ignored): (Vec<&str>, Vec<&str>) =
            names.map(String::as_str).partition(|name| captured(name));
        let ignored = listed(&ignored)
            .map(|told| format!("Endpoint ignored these unrecognized parameters: {told}"));
        let replaced = listed(&replaced).map(|told| {
            format!(
                "Endpoint replaced the value of these parameters with the values captured from \
                 the endpoint's path: {told}"
            )
        });
        ignored.into_iter().chain(replaced).collect()
    }
}

/// In order, so that the same request is always told the same.
fn listed(names: &[&str]) -> Option<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.truncate(TOLD);
    (!names.is_empty()).then(|| format!("[{}]", names.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_path_says_too_is_told_apart() {
        let unknown = Unknown::default();
        unknown.note(vec!["colour".to_owned(), "name".to_owned()]);
        let told = unknown.warnings(Vec::new, |name| name == "name");
        assert_eq!(
            told[0],
            "Endpoint ignored these unrecognized parameters: [colour]"
        );
        assert!(told[1].ends_with("path: [name]") && told.len() == 2);
        assert!(Unknown::default().warnings(Vec::new, |_| true).is_empty());
    }
}
