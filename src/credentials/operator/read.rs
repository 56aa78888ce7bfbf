//! The operator's file, from where it stands into an [`Operator`].

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Operator;
use crate::credentials::credential::Credential;
use crate::credentials::file::{self, OperatorFile};
use crate::credentials::origin::Allowed;
use crate::model::{Diagnostic, Digest, Guard};

/// Longest operator's file, in bytes.
const LIMIT: u64 = 1024 * 1024;

impl Operator {
    /// Reads the operator's file: the text of `CTL_CREDENTIALS_YAML`, else the file `CTL_CREDENTIALS`, else
    /// `$XDG_CONFIG_HOME/ctl/credentials.yaml` (`$HOME/.config/…`), which need not be there.
    ///
    /// A file that others than its owner can read is refused.
    pub fn load(env: &BTreeMap<String, String>) -> Result<Self, Diagnostic> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        if let Some(text) = set("CTL_CREDENTIALS_YAML") {
            if set("CTL_CREDENTIALS").is_some() {
                return Err(Diagnostic::error(
                    "operator-file",
                    "CTL_CREDENTIALS and CTL_CREDENTIALS_YAML are both set",
                )
                .help("keep one of them"));
            }
            return Self::from_text(text, "CTL_CREDENTIALS_YAML", None, env);
        }
        if let Some(path) = set("CTL_CREDENTIALS") {
            return Self::from_file(Path::new(path), env, true);
        }
        let folder = match (set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute()), set("HOME")) {
            (Some(folder), _) => folder,
            (None, Some(home)) => Path::new(home).join(".config"),
            (None, None) => return Ok(Self { env: env.clone(), ..Self::empty() }),
        };
        Self::from_file(&folder.join("ctl/credentials.yaml"), env, false)
    }

    fn from_file(path: &Path, env: &BTreeMap<String, String>, must_exist: bool) -> Result<Self, Diagnostic> {
        let place = path.display().to_string();
        let cannot = |error: std::io::Error| {
            Diagnostic::error("operator-file", format!("the operator's file {place} cannot be read: {error}"))
                .help("CTL_CREDENTIALS names another file")
        };
        let opened = match std::fs::File::open(path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
                return Ok(Self { env: env.clone(), place: format!("{place} (not there yet)"), ..Self::empty() });
            }
            Err(error) => return Err(cannot(error)),
        };
        let about = opened.metadata().map_err(cannot)?;
        if about.is_dir() {
            return Err(Diagnostic::error("operator-file", format!("the operator's file {place} is a folder")));
        }
        let me = rustix::process::geteuid().as_raw();
        if is_open_to_others(about.mode(), about.uid(), me) {
            return Err(Diagnostic::error(
                "operator-file",
                format!("others can read the operator's file {place} (mode {:04o})", about.mode() & 0o7777),
            )
            .help(format!("chmod 600 {place}")));
        }
        if about.uid() != me && about.uid() != 0 {
            return Err(Diagnostic::error(
                "operator-file",
                format!("the operator's file {place} belongs to user {}, and this is user {me}", about.uid()),
            )
            .help("own it yourself, or let root own it"));
        }
        let mut text = String::new();
        opened.take(LIMIT + 1).read_to_string(&mut text).map_err(cannot)?;
        if text.len() as u64 > LIMIT {
            return Err(Diagnostic::error("operator-file", format!("the operator's file {place} is over 1 MiB")));
        }
        Self::from_text(&text, &place, path.parent(), env)
    }

    fn from_text(
        text: &str,
        place: &str,
        base: Option<&Path>,
        env: &BTreeMap<String, String>,
    ) -> Result<Self, Diagnostic> {
        let OperatorFile { credentials, secrets, allow, record_key, ceiling, record, limits } =
            file::read(text, place)?;
        // A command that fetches one value is not handed all the others.
        let env: BTreeMap<String, String> = env
            .iter()
            .filter(|(name, _)| *name != "CTL_CREDENTIALS_YAML")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let mut operator = Self {
            secrets,
            record_key,
            ceiling: Guard {
                deletes: ceiling.deletes.map_or(100, |share| share.0),
                updates: ceiling.updates.map(|share| share.0),
            },
            limits: limits.limits(),
            push: record.push,
            file: record.file,
            env,
            base: base.map(Path::to_owned),
            place: place.to_owned(),
            text: Digest::of(text.as_bytes()),
            ..Self::empty()
        };
        if let Some(lines) = allow {
            let read = |(i, line): (usize, &String)| {
                Allowed::parse(line)
                    .map_err(|why| Diagnostic::error("operator-file", format!("{place}: `allow[{i}]`: {why}")))
            };
            operator.allow = lines.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        }
        for (name, entry) in credentials {
            let credential = Credential::read(&name, entry, place)?;
            operator.credentials.insert(name, credential);
        }
        operator.learn_what_is_at_hand();
        Ok(operator)
    }

    /// What costs nothing to know is hidden from the first line of output on, whether it is used or not.
    fn learn_what_is_at_hand(&self) {
        let credentials = self.credentials.iter().flat_map(|(name, c)| c.sources().map(move |s| (name.as_str(), s)));
        let secrets = self.secrets.iter().map(|(name, entry)| (name.as_str(), &entry.source));
        let key = self.record_key.iter().map(|source| ("record-key", source));
        for (name, source) in credentials.chain(secrets).chain(key) {
            if let Some(value) = source.at_hand(&self.env) {
                self.redactor.learn(name, &value);
            }
        }
    }
}

/// Whether somebody besides `me` may read or change a file of this mode and owner.
///
/// Service managers and container platforms hand a secret to an unprivileged process as a file of root's that this
/// process's group, or an access list that the group bits stand for, may read: whom root lets read it is root's word.
pub(super) fn is_open_to_others(mode: u32, owner: u32, me: u32) -> bool {
    let handed_over = owner == 0 && me != 0;
    mode & if handed_over { 0o037 } else { 0o077 } != 0
}
