//! All secrets below a folder, however deep.

use keyfold_core::barrier::View;
use keyfold_core::error::Error;

/// Names that the store is asked for at once.
const PAGE: usize = 1_000;

/// Paths of the secrets below `folder` (a storage key that ends in `/`), relative to it, and at
/// most `limit` of them (0: all): those of a folder before those of the folders in it.
pub(super) async fn below(view: &View, folder: &str, limit: usize) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(at) = folders.pop() {
        let mut after = String::new();
        loop {
            let page = view.list(&format!("{folder}{at}"), &after, PAGE).await?;
            after = page.names.last().cloned().unwrap_or_default();
            for name in page.names {
                let path = format!("{at}{name}");
                if name.ends_with('/') {
                    folders.push(path);
                } else {
                    found.push(path);
                    if found.len() == limit {
                        return Ok(found);
                    }
                }
            }
            if !page.more {
                break;
            }
        }
    }
    Ok(found)
}
