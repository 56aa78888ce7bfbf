//! Parsed manifests on disk, by blob id: a commit that touches k of n files parses k.
//!
//! One file holds all blobs of a project's last run, so that a warm plan opens one file and not thousands. It is
//! verified as a whole (SHA-256) before a byte of it is used, and anything odd in it means an empty cache.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::manifest::ParsedFile;
use crate::model::Digest;

const MAGIC: &[u8] = concat!("ctl parse cache 1 ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// The parsed files of one project.
pub(super) struct ParseCache {
    path: PathBuf,
    bytes: Vec<u8>,
    /// What `bytes` holds, in its order.
    places: Vec<Place>,
    /// The blob that is probably asked for next: a project's files are asked for in the order of their paths, as they
    /// were when they were written here.
    next: Cell<usize>,
    /// Where each blob is in `places`, made where something else is asked for.
    by_blob: OnceCell<HashMap<Vec<u8>, usize>>,
}

/// Where a blob's name and its parsed form are in the cache's bytes.
struct Place {
    blob: Range<usize>,
    parsed: Range<usize>,
}

impl ParseCache {
    /// Opens the cache of the project that `name` (a path and a folder) stands for.
    pub(super) fn open(dir: &Path, name: &str) -> Self {
        let path = dir.join("parsed").join(format!("{}.cache", Digest::of(name.as_bytes()).short(32)));
        let bytes = read_own(&path).unwrap_or_default();
        let places = index(&bytes).unwrap_or_default();
        Self { path, bytes, places, next: Cell::new(0), by_blob: OnceCell::new() }
    }

    /// The parsed form of a blob, for the file at `path`.
    pub(super) fn get(&self, path: &str, blob: &str) -> Option<ParsedFile> {
        ParsedFile::decode(path, self.find(blob)?)
    }

    fn find(&self, blob: &str) -> Option<&[u8]> {
        let is =
            |at: usize| self.places.get(at).is_some_and(|place| &self.bytes[place.blob.clone()] == blob.as_bytes());
        let at = match self.next.get() {
            next if is(next) => next,
            _ => {
                let by_blob = self.by_blob.get_or_init(|| {
                    let named = self.places.iter().map(|place| self.bytes[place.blob.clone()].to_vec());
                    named.enumerate().map(|(at, blob)| (blob, at)).collect()
                });
                *by_blob.get(blob.as_bytes())?
            }
        };
        self.next.set(at + 1);
        Some(&self.bytes[self.places[at].parsed.clone()])
    }

    /// Replaces the cache by exactly these blobs. A cache that cannot be written is no error: the next run parses.
    pub(super) fn replace<'a>(&self, files: impl Iterator<Item = (&'a str, &'a ParsedFile)>) {
        let mut body = Vec::with_capacity(self.bytes.len() + 4096);
        for (blob, file) in files {
            let encoded = self.find(blob).map_or_else(|| file.encode(), <[u8]>::to_vec);
            body.extend_from_slice(format!("{blob} {}\n", encoded.len()).as_bytes());
            body.extend_from_slice(&encoded);
        }
        let digest = Digest::of(&body);
        let _ = self.write(&[MAGIC, digest.as_bytes(), &body]);
    }

    fn write(&self, parts: &[&[u8]]) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let new = self.path.with_extension(format!("{}.new", std::process::id()));
        // A leftover of another process of that number goes; whatever else stands there is not written through.
        drop(std::fs::remove_file(&new));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        let done = written.and_then(|()| std::fs::rename(&new, &self.path));
        if done.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        done
    }
}

/// Reads a file that only we can have written: its digest tells damage, and not who made it.
fn read_own(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o022 != 0 {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Finds every blob in a cache whose digest holds.
fn index(bytes: &[u8]) -> Option<Vec<Place>> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (digest, body) = rest.split_at_checked(32)?;
    if Digest::of(body).as_bytes() != digest {
        return None;
    }
    let start = bytes.len() - body.len();
    let mut places = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let line = at + body[at..].iter().position(|b| *b == b'\n')?;
        let (blob, len) = std::str::from_utf8(&body[at..line]).ok()?.split_once(' ')?;
        let (from, to) = (line + 1, (line + 1).checked_add(len.parse().ok()?)?);
        if to > body.len() {
            return None;
        }
        let name = start + at;
        places.push(Place { blob: name..name + blob.len(), parsed: start + from..start + to });
        at = to;
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse_file;

    #[test]
    fn what_was_parsed_once_is_found_again_and_a_damaged_cache_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let parsed = parse_file("a.yaml", b"kind: x\nspec: {a: 1}\n");
        ParseCache::open(dir.path(), "p").replace([("b1", &parsed)].into_iter());
        let cache = ParseCache::open(dir.path(), "p");
        assert_eq!(cache.get("a.yaml", "b1"), Some(parsed));
        assert_eq!(cache.get("a.yaml", "b2"), None);
        // In whatever order they are asked for, again or in between.
        let more: Vec<(String, ParsedFile)> =
            (0..5).map(|n| (format!("c{n}"), parse_file("a.yaml", format!("kind: k{n}\n").as_bytes()))).collect();
        cache.replace(more.iter().map(|(blob, file)| (blob.as_str(), file)));
        let cache = ParseCache::open(dir.path(), "p");
        for n in [0, 1, 4, 2, 3, 3, 0] {
            assert_eq!(cache.get("a.yaml", &more[n].0).as_ref(), Some(&more[n].1), "{n}");
        }
        assert_eq!(cache.get("a.yaml", "c1x"), None);
        let mut bytes = std::fs::read(&cache.path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&cache.path, bytes).unwrap();
        assert_eq!(ParseCache::open(dir.path(), "p").get("a.yaml", "b1"), None);
    }

    #[test]
    fn a_cache_that_others_could_have_written_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let parsed = parse_file("a.yaml", b"kind: x\nspec: {a: 1}\n");
        ParseCache::open(dir.path(), "p").replace([("b1", &parsed)].into_iter());
        let cache = ParseCache::open(dir.path(), "p");
        assert!(cache.get("a.yaml", "b1").is_some());
        std::fs::set_permissions(&cache.path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(ParseCache::open(dir.path(), "p").get("a.yaml", "b1").is_none());
    }
}
