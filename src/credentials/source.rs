//! Where a secret's value comes from: a variable, a file, a command, the text itself.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::model::Secret;

/// Longest value, in bytes.
const LIMIT: u64 = 1024 * 1024;
/// How often a command is looked at, and how often in all: ten seconds.
const TICK: Duration = Duration::from_millis(10);
const TICKS: u32 = 1_000;

/// Where a value comes from. Nothing is read before it is needed.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A variable of the environment.
    Env(String),
    /// A file; relative to the operator's file.
    File(String),
    /// The output of a program, started without a shell.
    Command(Vec<String>),
    /// The value itself.
    Text(Secret),
}

/// What sources are read from.
pub(super) struct Surroundings<'a> {
    /// The environment.
    pub(super) env: &'a BTreeMap<String, String>,
    /// The folder of the operator's file, if it is a file.
    pub(super) base: Option<&'a Path>,
}

impl Source {
    /// Reads the value. The error says why in words that never hold the value.
    pub(super) fn read(&self, around: &Surroundings<'_>) -> Result<Secret, String> {
        match self {
            Self::Text(value) => Ok(value.clone()),
            Self::Env(name) => match around.env.get(name) {
                Some(value) if !value.is_empty() => Ok(Secret::new(value.as_str())),
                Some(_) => Err("the variable is empty".to_owned()),
                None => Err("the variable is not set".to_owned()),
            },
            Self::File(path) => read_file(path, around.base),
            Self::Command(words) => run(words, around.env),
        }
    }

    /// The value, where knowing it costs nothing.
    pub(super) fn at_hand(&self, env: &BTreeMap<String, String>) -> Option<Secret> {
        match self {
            Self::Text(value) => Some(value.clone()),
            Self::Env(name) => env.get(name).map(|value| Secret::new(value.as_str())),
            Self::File(_) | Self::Command(_) => None,
        }
    }

    /// Where it comes from, for messages.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Env(name) => format!("the variable {name}"),
            Self::File(path) => format!("the file {path}"),
            // Arguments may hold what should not be shown.
            Self::Command(words) => format!("the command {}", words.first().map_or("", String::as_str)),
            Self::Text(_) => "the text in the operator's file".to_owned(),
        }
    }

    /// What to do if it gives no value.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Env(name) => format!("set {name} for whoever runs ctl, or name another source in the operator's file"),
            Self::File(path) => {
                format!("see that {path} is there and that whoever runs ctl may read it; the operator's file names it")
            }
            Self::Command(_) => {
                "run the command by hand as whoever runs ctl: it has to print the value within ten seconds and end with 0".to_owned()
            }
            Self::Text(_) => "mend it in the operator's file".to_owned(),
        }
    }
}

fn read_file(path: &str, base: Option<&Path>) -> Result<Secret, String> {
    let full = match base {
        Some(base) => base.join(path),
        None => PathBuf::from(path),
    };
    if full.is_relative() {
        return Err("a relative path needs an operator's file to be relative to".to_owned());
    }
    let file = std::fs::File::open(&full).map_err(|error| error.to_string())?;
    if file.metadata().map_err(|error| error.to_string())?.is_dir() {
        return Err("it is a folder".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    as_secret(bytes)
}

fn as_secret(bytes: Vec<u8>) -> Result<Secret, String> {
    if bytes.len() as u64 > LIMIT {
        return Err("it is larger than 1 MiB".to_owned());
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(Secret::new(text)) }
}

/// Starts a program without a shell and takes what it prints, within ten seconds. It and its children are ended when
/// it takes longer.
fn run(words: &[String], env: &BTreeMap<String, String>) -> Result<Secret, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("no program is named".to_owned());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("it does not start: {error}"))?;
    let Some(stdout) = child.stdout.take() else {
        return Err("it has no output".to_owned());
    };
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(LIMIT + 1).read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens any more after the deadline, and that is all right.
        let _ = sender.send(read);
    });
    let mut output = None;
    for _ in 0..TICKS {
        if output.is_none() {
            match receiver.recv_timeout(TICK) {
                Ok(read) => output = Some(read.map_err(|error| error.to_string())?),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Err("its output cannot be read".to_owned()),
            }
        }
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return as_secret(output.unwrap_or_default()),
            Some(status) => return Err(format!("it failed ({status})")),
            None => std::thread::sleep(TICK),
        }
    }
    end(&mut child);
    Err("it took longer than 10 s".to_owned())
}

fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // Gone already is fine too.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}
