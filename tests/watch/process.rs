//! A process that can be killed, stopped and started again.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::ports::reserved;
use crate::within;

/// One program and, most of the time, one process of it. It is killed when dropped.
pub(crate) struct Process {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    cwd: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Starts `program`, both its outputs at the end of `log`, in the folder of that file.
    pub(crate) fn start(program: &str, args: Vec<String>, env: &[(&str, &str)], log: PathBuf) -> Self {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let cwd = log.parent().unwrap().to_owned();
        let mut process = Self { program: program.to_owned(), args, env, cwd, log, child: None };
        process.again();
        process
    }

    /// Starts it once more with the same arguments, after it ended.
    pub(crate) fn again(&mut self) {
        assert!(self.ended().is_some() || self.child.is_none(), "{} still runs", self.program);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.cwd).env_clear().envs(self.env.iter().cloned());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Sends a signal. After SIGSTOP the process stands still: its threads do so one by one, each when it is looked at.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a process to send a signal to");
        kill_process(Pid::from_child(child), signal).unwrap();
        if signal == Signal::STOP {
            within(Duration::from_secs(20), "a process that stands still", || stands_still(child.id()).then_some(()));
        }
    }

    /// SIGKILL: it has no last word.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP: it stands still and does not know.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it goes on where it stood.
    pub(crate) fn cont(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, and how it then ended.
    pub(crate) fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        within(limit, "the end after SIGTERM", || self.ended())
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    /// CPU time that it used so far, its threads included.
    pub(crate) fn cpu(&self) -> Duration {
        let id = self.child.as_ref().expect("a process").id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // After the name in brackets: the 14th and 15th field of all, in hundredths of a second.
        let fields: Vec<u64> =
            stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2).map(|n| n.parse().unwrap()).collect();
        Duration::from_millis(fields.iter().sum::<u64>() * 10)
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let id = self.child.as_ref().expect("a process").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        kib.unwrap().parse::<u64>().unwrap() << 10
    }

    /// All that it wrote so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

/// Whether every thread of a process is stopped.
fn stands_still(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // One that has ended meanwhile has no state any more.
        stat.is_empty() || stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = self.said();
            let start = said.char_indices().rev().nth(20_000).map_or(0, |(at, _)| at);
            eprintln!("-- the end of {}:\n{}", self.log.display(), &said[start..]);
        }
    }
}

/// Loopback addresses for processes that come and go, no two the same, and nobody else's until the end.
pub(crate) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    (0..count).map(|_| reserved()).collect()
}
