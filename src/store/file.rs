//! Records in a folder.

mod orders;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::codec::{self, Files, damaged};
use super::lock::{io_error, open_private, private_folder};
use super::{RecordName, Salvage, Store, StoreError, Tip};
use crate::model::{Digest, ProjectName, Record, RecordHead};

/// Generations that are kept: a version has two, its intent and its outcome, and a few more where a run took long.
const KEPT: u64 = 250;

/// Records in a folder: `<project>/<target>/head` names the newest of `<number>-<digest>.record` beside it.
///
/// Several processes may share it, if their file system has locks and atomic renames.
#[derive(Clone, Debug)]
pub struct FileStore {
    dir: PathBuf,
}

impl FileStore {
    /// Records in `dir`, which is made at the first write.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn folder(&self, name: &RecordName) -> PathBuf {
        self.dir.join(name.project.as_str()).join(name.target.as_str())
    }
}

/// `<number>-<64 hexadecimal digits>`
fn parse_tip(text: &str) -> Option<(u64, Digest)> {
    let (number, digest) = text.split_once('-')?;
    Some((number.parse().ok().filter(|n| *n > 0)?, Digest::parse(digest)?))
}

fn read_head(folder: &Path) -> Result<Option<(Tip, u64)>, StoreError> {
    let path = folder.join("head");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(&path, &error)),
    };
    let tip = text.trim_end();
    let (number, _) = parse_tip(tip).ok_or_else(|| damaged("head", None, "it names no generation".to_owned()))?;
    Ok(Some((Tip(tip.to_owned()), number)))
}

fn read_generation(folder: &Path, tip: &Tip) -> Result<Record, StoreError> {
    let (number, digest) = parse_tip(&tip.0).ok_or_else(|| damaged(&tip.0, None, "it is no generation".to_owned()))?;
    let path = folder.join(file_name(number, &digest));
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged(&path.display().to_string(), None, "it is missing".to_owned()));
        }
        Err(error) => return Err(io_error(&path, &error)),
    };
    if Digest::of(&bytes) != digest {
        return Err(damaged(&path.display().to_string(), None, "it is not what its digest says".to_owned()));
    }
    codec::decode(&unpack(&bytes)?)
}

/// The newest outcome that a generation speaks of, without reading its lines. Its digest is checked where it is read
/// whole.
fn read_outcome(folder: &Path, tip: &Tip) -> Result<Option<RecordHead>, StoreError> {
    let (number, digest) = parse_tip(&tip.0).ok_or_else(|| damaged(&tip.0, None, "it is no generation".to_owned()))?;
    let path = folder.join(file_name(number, &digest));
    let io = |error: std::io::Error| io_error(&path, &error);
    let mut file = BufReader::new(File::open(&path).map_err(io)?);
    loop {
        let mut header = String::new();
        if (&mut file).take(1 << 10).read_line(&mut header).map_err(io)? == 0 {
            return Err(damaged(codec::HEAD, None, "it is missing".to_owned()));
        }
        let bad = || damaged(&path.display().to_string(), None, "it is not what was written".to_owned());
        let (len, name) = header.trim_end_matches('\n').split_once(' ').ok_or_else(bad)?;
        let len: u32 = len.parse().map_err(|_| bad())?;
        if name == codec::HEAD {
            let mut bytes = Vec::new();
            file.take(u64::from(len)).read_to_end(&mut bytes).map_err(io)?;
            return codec::decode_head(&bytes);
        }
        file.seek_relative(i64::from(len)).map_err(io)?;
    }
}

fn file_name(number: u64, digest: &Digest) -> String {
    format!("{number:012}-{digest}.record")
}

/// All files in one: for each `<length> <path>\n` and its bytes.
fn pack(files: &Files) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, bytes) in files {
        out.extend_from_slice(format!("{} {path}\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
    }
    out
}

fn unpack(bytes: &[u8]) -> Result<Files, StoreError> {
    let bad = || damaged("record", None, "a file in it is cut off".to_owned());
    let mut files = Files::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').ok_or_else(bad)?;
        let header = std::str::from_utf8(&rest[..end]).map_err(|_| bad())?;
        let (len, path) = header.split_once(' ').ok_or_else(bad)?;
        let len: usize = len.parse().map_err(|_| bad())?;
        rest = &rest[end + 1..];
        let content = rest.get(..len).ok_or_else(bad)?;
        if files.insert(path.to_owned(), content.to_vec()).is_some() {
            return Err(damaged(path, None, "it is there twice".to_owned()));
        }
        rest = &rest[len..];
    }
    Ok(files)
}

/// Puts `bytes` under `name`: whole or not at all, and on the disk.
fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let path = folder.join(format!(".{name}.new"));
    let mut file = open_private(&path)?;
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&path, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// The numbered files of a folder, oldest first.
fn generations(folder: &Path) -> std::io::Result<Vec<(u64, Tip)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let tip = name.to_str().and_then(|n| n.strip_suffix(".record")).and_then(parse_tip);
        found.extend(tip.map(|(number, digest)| (number, Tip(format!("{number}-{digest}")))));
    }
    found.sort_by(|a, b| (a.0, &a.1.0).cmp(&(b.0, &b.1.0)));
    Ok(found)
}

impl Store for FileStore {
    fn read(&self, name: &RecordName) -> Result<(Option<Tip>, Record), StoreError> {
        let folder = self.folder(name);
        match read_head(&folder)? {
            None => Ok((None, Record::default())),
            Some((tip, _)) => Ok((Some(tip.clone()), read_generation(&folder, &tip)?)),
        }
    }

    fn stands(&self, name: &RecordName) -> Result<Option<Tip>, StoreError> {
        Ok(read_head(&self.folder(name))?.map(|(tip, _)| tip))
    }

    fn salvage(&self, name: &RecordName) -> Result<Salvage, StoreError> {
        let folder = self.folder(name);
        let Some((tip, newest)) = read_head(&folder)? else { return Ok(Salvage::default()) };
        let error = match read_generation(&folder, &tip) {
            Ok(record) => return Ok(Salvage { tip: Some(tip), record, damage: Vec::new() }),
            Err(error) => error,
        };
        let (number, digest) = parse_tip(&tip.0).unwrap_or((newest, Digest::of(b"")));
        let files = fs::read(folder.join(file_name(number, &digest))).ok().and_then(|bytes| unpack(&bytes).ok());
        if files.is_some_and(|files| files.get(codec::HEAD).is_some_and(|head| codec::is_newer(head))) {
            return Err(error);
        }
        // One file holds everything: what its digest does not vouch for says nothing. An older one knows the lineage.
        let mut salvage = Salvage { tip: Some(tip), damage: vec![error.to_string()], ..Salvage::default() };
        for (number, older) in generations(&folder).map_err(|e| io_error(&folder, &e))?.into_iter().rev() {
            if number < newest
                && let Ok(record) = read_generation(&folder, &older)
            {
                salvage.record.head = record.head;
                break;
            }
        }
        Ok(salvage)
    }

    fn swap(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        _message: &str,
    ) -> Result<Tip, StoreError> {
        let bytes = pack(&codec::encode(record)?);
        let folder = self.folder(name);
        private_folder(&folder).map_err(|e| io_error(&folder, &e))?;
        let lock = open_private(&folder.join("lock")).map_err(|e| io_error(&folder, &e))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| io_error(&folder, &e.into()))?;
        let head = read_head(&folder)?;
        if head.as_ref().map(|(tip, _)| tip) != expected {
            return Err(StoreError::Moved);
        }
        let number = head.map_or(0, |(_, number)| number) + 1;
        let digest = Digest::of(&bytes);
        let tip = Tip(format!("{number}-{digest}"));
        write_whole(&folder, &file_name(number, &digest), &bytes).map_err(|e| io_error(&folder, &e))?;
        write_whole(&folder, "head", format!("{tip}\n").as_bytes()).map_err(|e| io_error(&folder, &e))?;
        // The record stands; an old generation that cannot be removed now goes another time.
        for (old, tip) in generations(&folder).unwrap_or_default() {
            if old + KEPT <= number
                && let Some((number, digest)) = parse_tip(&tip.0)
            {
                fs::remove_file(folder.join(file_name(number, &digest))).ok();
            }
        }
        Ok(tip)
    }

    fn names(&self, project: &ProjectName) -> Result<Vec<RecordName>, StoreError> {
        let folder = self.dir.join(project.as_str());
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error(&folder, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| io_error(&folder, &e))?;
            if let Some(target) = entry.file_name().to_str().and_then(|n| n.parse().ok())
                && entry.path().join("head").exists()
            {
                names.push(RecordName { project: project.clone(), target });
            }
        }
        names.sort();
        Ok(names)
    }

    fn history(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, Record)>, StoreError> {
        let versions = self.versions(name, limit)?;
        versions.into_iter().map(|(tip, _)| Ok((tip.clone(), self.at(name, &tip)?))).collect()
    }

    fn versions(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, RecordHead)>, StoreError> {
        let folder = self.folder(name);
        let Some((_, newest)) = read_head(&folder)? else { return Ok(Vec::new()) };
        let mut found: Vec<(Tip, RecordHead)> = Vec::new();
        for (number, tip) in generations(&folder).map_err(|e| io_error(&folder, &e))?.into_iter().rev() {
            if number > newest {
                continue; // written before a crash, never pointed at
            }
            let Some(head) = read_outcome(&folder, &tip)? else { break };
            // An intent's generation repeats the outcome before it; the oldest of a number is the outcome itself.
            if found.last().is_some_and(|(_, newer)| newer.number == head.number) {
                found.pop();
            } else if found.len() == limit {
                break;
            }
            found.push((tip, head));
        }
        Ok(found)
    }

    fn at(&self, name: &RecordName, tip: &Tip) -> Result<Record, StoreError> {
        read_generation(&self.folder(name), tip)
    }

    fn is_shared(&self) -> bool {
        true
    }
}
