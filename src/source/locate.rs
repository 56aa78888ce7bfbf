//! Which repository and folder a source names, without reading a commit.

use std::path::{Path, PathBuf};

use super::SourceError;
use super::discover::{discover, place};
use super::mirror;

/// Which repository a source names (the git dir that all its work trees share, as a real path) and which folder in it,
/// from the repository's root. Reads no commit and contacts nobody: a URL is found by its private mirror, if there is
/// one.
pub fn locate(text: &str, state_dir: &Path) -> Result<Option<(PathBuf, String)>, SourceError> {
    if !mirror::is_url(text) {
        let found = discover(text)?;
        return Ok(Some((found.common_dir, found.folder)));
    }
    let remote = mirror::parse(text)?;
    let dir = mirror::dir_of(&remote.url, state_dir);
    if !dir.join("HEAD").exists() {
        return Ok(None);
    }
    let found = place(&dir, None, remote.folder)?;
    Ok(Some((found.common_dir, found.folder)))
}
