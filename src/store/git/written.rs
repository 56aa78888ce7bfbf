//! Objects that are written to a repository, and have to reach its disk before a ref may name them.
//!
//! A few are loose: each a file, often in a folder of its own. Many are one pack. To make two hundred and fifty files and
//! their folders took longer than all else about a record of ten thousand entries, and only a flush of the whole file
//! system was quicker than one for each of them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use flate2::{Compression, write::ZlibEncoder};
use git2::{Error, Indexer, ObjectType, OdbLookupFlags, Oid, Repository, TreeBuilder};
use sha1::{Digest as _, Sha1};

use crate::store::parallel::in_chunks;

/// Fewer blobs than this stay loose: git repacks a repository that has more than fifty packs.
const WORTH: usize = 33;

/// What was written and is not known to be on the disk.
#[derive(Default)]
pub(super) struct Written {
    loose: Vec<Oid>,
}

impl Written {
    /// Writes one blob.
    pub(super) fn blob(&mut self, repo: &Repository, bytes: &[u8]) -> Result<Oid, Error> {
        let id = repo.odb()?.write(ObjectType::Blob, bytes)?;
        self.loose.push(id);
        Ok(id)
    }

    /// Writes one tree.
    pub(super) fn tree(&mut self, tree: &TreeBuilder<'_>) -> Result<Oid, Error> {
        let id = tree.write()?;
        self.loose.push(id);
        Ok(id)
    }

    /// An object that was written elsewhere.
    pub(super) fn note(&mut self, id: Oid) {
        self.loose.push(id);
    }

    /// Writes those of the blobs that are not there, and gives the id of each. What is there may be of a run that ended
    /// before it reached the disk: a pack is seen only once it is there, and a loose one waits for [`Written::sync`].
    pub(super) fn blobs(&mut self, repo: &Repository, blobs: &[&[u8]]) -> Result<Vec<Oid>, Error> {
        let ids = in_chunks(blobs, |chunk| chunk.iter().map(|bytes| id_of(bytes)).collect())?;
        let odb = repo.odb()?;
        odb.refresh()?;
        let there = |id: &Oid| odb.exists_ext(*id, OdbLookupFlags::NO_REFRESH);
        let mut seen = BTreeSet::new();
        let mut missing: Vec<&[u8]> = Vec::new();
        for (id, bytes) in ids.iter().zip(blobs).filter(|(id, _)| seen.insert(**id)) {
            if there(id) { self.note(*id) } else { missing.push(bytes) }
        }
        if missing.len() < WORTH {
            for bytes in missing {
                self.blob(repo, bytes)?;
            }
            return Ok(ids);
        }
        write_pack(&repo.path().join("objects"), &missing)?;
        odb.refresh()?;
        Ok(ids)
    }

    /// Returns once all of it is on the disk.
    pub(super) fn sync(self, git_dir: &Path) -> io::Result<()> {
        let objects = git_dir.join("objects");
        let mut dirs = BTreeSet::new();
        for id in &self.loose {
            let hex = id.to_string();
            let dir = objects.join(&hex[..2]);
            match File::open(dir.join(&hex[2..])) {
                Ok(file) => file.sync_all()?,
                // It was there before, in a pack or elsewhere.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            dirs.insert(dir);
        }
        dirs.insert(objects);
        dirs.iter().try_for_each(|dir| File::open(dir)?.sync_all())
    }
}

/// Writes blobs as one pack, and shows it once it is on the disk: git looks for a pack by its index.
fn write_pack(objects: &Path, blobs: &[&[u8]]) -> Result<(), Error> {
    let entries = in_chunks(blobs, |chunk| chunk.iter().map(|bytes| entry(bytes)).collect())?;
    // By this name `git gc` knows what a run that was killed has left, and takes it away once it is two weeks old.
    let hidden = tempfile::Builder::new().prefix("tmp_objdir-ctl-").tempdir_in(objects).map_err(|e| io_error(&e))?;
    let mut indexer = Indexer::new(None, hidden.path(), 0, false)?;
    let mut sum = Sha1::new();
    let count = u32::try_from(entries.len()).map_err(|_| Error::from_str("more objects than a pack holds"))?;
    let mut put = |bytes: &[u8]| {
        sum.update(bytes);
        indexer.write_all(bytes).map_err(|e| io_error(&e))
    };
    put(&[b"PACK".as_slice(), &2u32.to_be_bytes(), &count.to_be_bytes()].concat())?;
    entries.iter().try_for_each(|entry| put(entry))?;
    indexer.write_all(&sum.finalize()).map_err(|e| io_error(&e))?;
    let name = format!("pack-{}", indexer.commit()?);
    let show = || {
        let packs = objects.join("pack");
        fs::create_dir_all(&packs)?;
        for ending in ["pack", "idx"] {
            let file = format!("{name}.{ending}");
            File::open(hidden.path().join(&file))?.sync_all()?;
            fs::rename(hidden.path().join(&file), packs.join(&file))?;
        }
        File::open(&packs)?.sync_all()
    };
    show().map_err(|e| io_error(&e))
}

/// The id that git gives a blob.
fn id_of(bytes: &[u8]) -> Result<Oid, Error> {
    let mut sum = Sha1::new();
    sum.update(format!("blob {}\0", bytes.len()));
    sum.update(bytes);
    Oid::from_bytes(&sum.finalize())
}

/// A blob as it stands in a pack: its kind and size in groups of bits, the lowest first, and what is in it, deflated
/// (git's `gitformat-pack`).
fn entry(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    const BLOB: u8 = 3;
    const MORE: u8 = 0x80;
    let mut out = Vec::with_capacity(bytes.len() / 3 + 16);
    let (mut byte, mut rest) = ((BLOB << 4) | low(bytes.len(), 0x0f), bytes.len() >> 4);
    while rest > 0 {
        out.push(byte | MORE);
        (byte, rest) = (low(rest, 0x7f), rest >> 7);
    }
    out.push(byte);
    let mut deflated = ZlibEncoder::new(out, Compression::fast());
    deflated.write_all(bytes).and_then(|()| deflated.finish()).map_err(|e| io_error(&e))
}

/// The lowest bits of a number.
fn low(number: usize, mask: u8) -> u8 {
    number.to_le_bytes()[0] & mask
}

fn io_error(error: &io::Error) -> Error {
    Error::from_str(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packs(repo: &Repository) -> usize {
        let files = fs::read_dir(repo.path().join("objects/pack")).unwrap();
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "pack")).count()
    }

    #[test]
    fn git_finds_each_blob_of_a_pack_and_calls_it_whole() {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repository::init_bare(dir.path()).unwrap();
        // From empty to more than three groups of bits, some of them twice.
        let texts: Vec<String> = (0..200).map(|n| "lorem ".repeat((n % 150) * n)).collect();
        let blobs: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        let mut written = Written::default();
        let ids = written.blobs(&repo, &blobs).unwrap();
        assert_eq!((packs(&repo), written.loose.len()), (1, 0), "one pack, and nothing else");
        let left = fs::read_dir(dir.path().join("objects")).unwrap().count();
        assert_eq!(left, 2, "only `info` and `pack`");
        written.sync(dir.path()).unwrap();
        let git = |args: &[&str]| {
            let out = std::process::Command::new("git").arg("-C").arg(dir.path()).args(args).output().unwrap();
            assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
            out.stdout
        };
        git(&["fsck", "--strict", "--full"]);
        for (id, bytes) in ids.iter().zip(&blobs) {
            assert_eq!(git2::Oid::hash_object(ObjectType::Blob, bytes).unwrap(), *id);
            assert_eq!(repo.find_blob(*id).unwrap().content(), *bytes);
        }
        assert_eq!(git(&["cat-file", "blob", &ids[199].to_string()]), blobs[199]);
    }

    #[test]
    fn what_is_there_is_not_written_again_and_few_stay_loose() {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repository::init_bare(dir.path()).unwrap();
        let texts: Vec<String> = (0..100).map(|n| format!("text {n}")).collect();
        let blobs: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        let mut first = Written::default();
        first.blobs(&repo, &blobs[..90]).unwrap();
        assert_eq!((packs(&repo), first.loose.len()), (1, 0));
        let mut second = Written::default();
        let ids = second.blobs(&repo, &blobs).unwrap();
        // What was there is flushed with the rest: nobody knows that it was.
        assert_eq!((packs(&repo), second.loose.len()), (1, 100));
        assert_eq!(ids.len(), 100);
        second.sync(dir.path()).unwrap();
        let mut third = Written::default();
        third.blobs(&repo, &blobs).unwrap();
        assert_eq!((packs(&repo), third.loose.len()), (1, 100));
        third.sync(dir.path()).unwrap();
    }
}
