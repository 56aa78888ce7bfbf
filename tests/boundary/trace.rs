//! One run under `strace`, and what the kernel was asked for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;

/// A file that was opened, or that somebody tried to open.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Opened {
    /// As it was asked for, made absolute; or where a link led to.
    pub(crate) path: PathBuf,
    /// Whether it might have been written through this.
    pub(crate) writes: bool,
}

/// What one run and all its children asked the kernel for.
#[derive(Default, Debug)]
pub(crate) struct Traced {
    /// Programs that were started, by path; a path of the search path where there is none is not started.
    pub(crate) started: Vec<PathBuf>,
    pub(crate) opened: Vec<Opened>,
    /// Connections to other machines or to this one by address, tried ones included.
    pub(crate) connected: Vec<SocketAddr>,
    /// Connections that are none of these: by name on this machine, as `strace` shows them.
    pub(crate) others: Vec<String>,
    pub(crate) code: Option<i32>,
    /// Both outputs of the run.
    pub(crate) said: String,
    /// Starts whose end the log shows later: another process came in between. By process.
    pending: BTreeMap<String, PathBuf>,
}

const CALLS: &str = "trace=execve,execveat,open,openat,openat2,creat,connect,sendto,sendmsg";

impl Traced {
    /// Runs `ctl` with these arguments under `strace`.
    pub(crate) fn run(sandbox: &Sandbox, args: &[&str]) -> Self {
        let log = sandbox.root().join("trace");
        let command = sandbox.command(args);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-qq", "-s", "4096", "-e", "signal=none", "-e", CALLS, "-o"]).arg(&log);
        strace.arg(command.get_program()).args(command.get_args()).current_dir(sandbox.repo()).env_clear();
        strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
        let output = strace.output().unwrap();
        let mut traced = Self { code: output.status.code(), ..Self::default() };
        traced.said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let text = std::fs::read(&log).unwrap();
        for line in String::from_utf8_lossy(&text).lines() {
            traced.read(line);
        }
        traced.started.extend(std::mem::take(&mut traced.pending).into_values());
        assert!(!traced.started.is_empty() && traced.opened.len() > 10, "nothing was traced: {}", traced.said);
        traced
    }

    /// One line: `PID call(arguments) = result`, or the half of one that was interrupted.
    fn read(&mut self, line: &str) {
        let Some((process, call)) = line.split_once(' ') else { return };
        let call = call.trim_start();
        // Where a link led to is seen in the result.
        if let Some(real) = call.rsplit_once(" = ").and_then(|(_, result)| between(result, '<', '>'))
            && (call.starts_with("open") || call.starts_with("creat") || call.starts_with("<... open"))
            && real.starts_with('/')
        {
            self.opened.push(Opened { path: real.into(), writes: false });
        }
        let failed = call.contains(" = -1 ENOENT") || call.contains(" = -1 EACCES");
        if call.starts_with("<... exec") {
            self.started.extend(self.pending.remove(process).filter(|_| !failed));
            return;
        }
        let Some((name, rest)) = call.split_once('(') else { return };
        match name {
            "execve" | "execveat" if call.ends_with("<unfinished ...>") => {
                self.pending.insert(process.to_owned(), quoted(rest).expect("a program's path").into());
            }
            "execve" | "execveat" if !failed => self.started.push(quoted(rest).expect("a program's path").into()),
            "open" | "openat" | "openat2" | "creat" => {
                let path = quoted(rest).expect("a path");
                let base = between(rest, '<', '>').filter(|_| name.starts_with("openat")).unwrap_or_default();
                let path = plain(&Path::new(base).join(path));
                let writes =
                    name == "creat" || ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|f| rest.contains(f));
                self.opened.push(Opened { path, writes });
            }
            "connect" | "sendto" | "sendmsg" => self.connection(rest),
            _ => {}
        }
    }

    fn connection(&mut self, rest: &str) {
        if !rest.contains("sa_family=AF_") {
            return;
        }
        let port = after(rest, "_port=htons(").and_then(|port| port.split_once(')')?.0.parse().ok());
        let host = after(rest, "inet_addr(").or_else(|| after(rest, "inet_pton(AF_INET6, ")).and_then(quoted);
        match (host.and_then(|host| host.parse().ok()), port) {
            (Some(host), Some(port)) => self.connected.push(SocketAddr::new(host, port)),
            _ => self.others.push(rest.to_owned()),
        }
    }
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    Some(text.split_once(open)?.1.split_once(close)?.0)
}

/// The first text in quotation marks.
fn quoted(text: &str) -> Option<&str> {
    between(text, '"', '"')
}

/// Without `.` and `..`, as far as names tell.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}
