//! Several watchers of one project, as real processes, each with a state folder and a port of its own.
//!
//! `lead_alone` is what the tests of the election ask: at most one leader, and soon exactly one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use ctl::model::Status;
use tempfile::TempDir;

use crate::http;
use crate::process::{Process, free_addresses};
use crate::within;

/// What proves that an order may be given.
pub(crate) const TOKEN: &str = "only-for-tests-0123456789";

struct Watcher {
    process: Process,
    listen: SocketAddr,
}

/// The watchers, numbered from 0; they end when this is dropped.
pub(crate) struct Watchers {
    watchers: Vec<Watcher>,
    folder: TempDir,
}

impl Watchers {
    /// Starts this many processes of `ctl` with what `args` says for each, given its state folder and its address.
    pub(crate) fn of(count: usize, env: &[(&str, &str)], args: impl Fn(&str, SocketAddr) -> Vec<String>) -> Self {
        let folder = TempDir::new().unwrap();
        let watchers = free_addresses(count).into_iter().enumerate().map(|(at, listen)| {
            let own = folder.path().join(format!("w{at}"));
            std::fs::create_dir_all(own.join("home")).unwrap();
            let state = own.join("state").display().to_string();
            let home = own.join("home").display().to_string();
            let env: Vec<(&str, &str)> = [("HOME", home.as_str()), ("GIT_CONFIG_NOSYSTEM", "1"), ("NO_PROXY", "*")]
                .into_iter()
                .chain(env.iter().copied())
                .collect();
            let process = Process::start(env!("CARGO_BIN_EXE_ctl"), args(&state, listen), &env, own.join("log"));
            Watcher { process, listen }
        });
        Self { watchers: watchers.collect(), folder }
    }

    /// How many there are, whether they run or not.
    pub(crate) fn count(&self) -> usize {
        self.watchers.len()
    }

    /// SIGKILL to one of them; its state folder stays.
    pub(crate) fn kill(&mut self, watcher: usize) {
        self.watchers[watcher].process.kill();
    }

    /// SIGSTOP to one of them.
    pub(crate) fn stop(&self, watcher: usize) {
        self.watchers[watcher].process.stop();
    }

    /// SIGCONT to one of them.
    pub(crate) fn cont(&self, watcher: usize) {
        self.watchers[watcher].process.cont();
    }

    /// SIGTERM to one of them, and how it ended.
    pub(crate) fn terminate(&mut self, watcher: usize, limit: Duration) -> ExitStatus {
        self.watchers[watcher].process.terminate(limit)
    }

    /// How one of them ended, if it did.
    pub(crate) fn ended(&mut self, watcher: usize) -> Option<ExitStatus> {
        self.watchers[watcher].process.ended()
    }

    /// Starts one that ended, with the state folder that it had.
    pub(crate) fn restart(&mut self, watcher: usize) {
        self.watchers[watcher].process.again();
    }

    /// Where one of them listens.
    pub(crate) fn address(&self, watcher: usize) -> SocketAddr {
        self.watchers[watcher].listen
    }

    /// The state folder of one of them.
    pub(crate) fn state(&self, watcher: usize) -> PathBuf {
        self.folder.path().join(format!("w{watcher}/state"))
    }

    /// All that one of them wrote to its outputs.
    pub(crate) fn said(&self, watcher: usize) -> String {
        self.watchers[watcher].process.said()
    }

    /// CPU time that one of them used.
    pub(crate) fn cpu(&self, watcher: usize) -> Duration {
        self.watchers[watcher].process.cpu()
    }

    /// Memory that one of them holds, in bytes.
    pub(crate) fn memory(&self, watcher: usize) -> u64 {
        self.watchers[watcher].process.memory()
    }

    /// The status of a page of one of them, such as `/livez`; nothing if it does not answer.
    pub(crate) fn page(&self, watcher: usize, path: &str) -> Option<u16> {
        http::glance(self.address(watcher), path).map(|(status, _)| status)
    }

    /// Waits until it answers that it is alive.
    #[track_caller]
    pub(crate) fn is_alive(&self, watcher: usize) {
        within(http::PATIENCE, "a watcher that is alive", || (self.page(watcher, "/livez") == Some(200)).then_some(()));
    }

    /// What one of them measures; nothing if it does not answer.
    pub(crate) fn metrics(&self, watcher: usize) -> Option<Metrics> {
        let (status, text) = http::glance(self.address(watcher), "/metrics")?;
        (status == 200).then(|| Metrics::read(&text))
    }

    /// How one of them says that it stands; nothing if it does not answer.
    pub(crate) fn status(&self, watcher: usize) -> Option<Status> {
        let (status, text) = http::glance(self.address(watcher), "/v1/status")?;
        (status == 200).then(|| serde_json::from_str(&text).unwrap())
    }

    /// Gives one of them an order, as a person does: `ctl ORDER… --server URL`.
    pub(crate) fn order(&self, watcher: usize, order: &[&str]) {
        let (code, said) = self.ask(watcher, order);
        assert_eq!(code, Some(0), "{order:?}: {said}");
    }

    /// The same; the exit code and what was said to the person.
    pub(crate) fn ask(&self, watcher: usize, order: &[&str]) -> (Option<i32>, String) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ctl"));
        command.args(order).args(["--server", &format!("http://{}", self.address(watcher))]);
        let output =
            command.current_dir(self.folder.path()).env("NO_PROXY", "*").env("CTL_TOKEN", TOKEN).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Who says, of those that answer, that it leads at the target.
    pub(crate) fn leaders(&self, target: &str) -> Vec<usize> {
        let leads = |watcher: &usize| {
            let targets = self.status(*watcher).map(|status| status.targets).unwrap_or_default();
            targets.iter().any(|at| at.target == target && at.leader)
        };
        (0..self.count()).filter(leads).collect()
    }

    /// Waits until each of these targets has one leader, and never sees two for five seconds; gives the leaders.
    ///
    /// A process that wakes says what it knew until its loop turned: what it may write then is decided by the gate and by
    /// the fence, not by its status.
    #[track_caller]
    pub(crate) fn lead_alone(&self, targets: &[String], limit: Duration) -> Vec<usize> {
        let look = || targets.iter().map(|target| self.leaders(target)).collect::<Vec<_>>();
        within(limit, &format!("one leader at each of {targets:?}"), || {
            let mut leaders = look();
            if leaders.iter().any(|leaders| leaders.len() > 1) {
                std::thread::sleep(Duration::from_secs(5));
                let before = std::mem::replace(&mut leaders, look());
                let both = |(before, now): (&Vec<usize>, &Vec<usize>)| now.len() > 1 && before == now;
                assert!(!before.iter().zip(&leaders).any(both), "two leaders at once: {before:?}, then {leaders:?}");
            }
            let one = |leaders: &Vec<usize>| (leaders.len() == 1).then(|| leaders[0]);
            leaders.iter().map(one).collect()
        })
    }
}

/// The samples of one page of metrics.
pub(crate) struct Metrics(Vec<(String, BTreeMap<String, String>, f64)>);

impl Metrics {
    /// Reads the text format of Prometheus; a line that is none is no sample.
    pub(crate) fn read(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// All samples of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = (&BTreeMap<String, String>, f64)> {
        self.0.iter().filter(move |(of, ..)| of == name).map(|(_, labels, value)| (labels, *value))
    }

    /// The sum of all samples of this name that have these labels; nothing if there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.all(name)
            .filter(|(has, _)| labels.iter().all(|(label, value)| has.get(*label).is_some_and(|v| v == value)))
            .map(|(_, value)| value)
            .reduce(|sum, value| sum + value)
    }
}

/// `name{label="value",…} 1.5`: the parts.
fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let Some((name, rest)) = line.split_once('{') else {
        let mut words = line.split_whitespace();
        return Some((words.next()?.to_owned(), BTreeMap::new(), words.next()?.parse().ok()?));
    };
    let (mut rest, mut labels) = (rest, BTreeMap::new());
    while !rest.starts_with('}') {
        let (label, after) = rest.split_once("=\"")?;
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in after.char_indices() {
            match c {
                _ if escaped => {
                    value.push(if c == 'n' { '\n' } else { c });
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                c => value.push(c),
            }
        }
        labels.insert(label.to_owned(), value);
        rest = &after[end? + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    let value = rest[1..].split_whitespace().next()?.parse().ok()?;
    Some((name.to_owned(), labels, value))
}

/// The processes are those of another command here: what is tested is what this harness does to them.
#[test]
fn watchers_are_killed_stopped_ended_and_started_again() {
    let limit = Duration::from_secs(20);
    let mut watchers = Watchers::of(2, &[], |state, listen| {
        ["serve", "--data", state, "--listen", &listen.to_string()].map(str::to_owned).to_vec()
    });
    let all_live = |watchers: &Watchers| {
        (0..watchers.count()).all(|watcher| watchers.page(watcher, "/livez") == Some(200)).then_some(())
    };
    within(limit, "both answer", || all_live(&watchers));
    assert!(watchers.metrics(0).is_none(), "another command has no metrics");
    assert_eq!(watchers.leaders("any"), [0; 0]);

    watchers.stop(0);
    assert_eq!(watchers.page(0, "/livez"), None);
    watchers.is_alive(1);
    watchers.cont(0);
    within(limit, "the one that woke answers", || all_live(&watchers));

    watchers.kill(1);
    assert_eq!(watchers.page(1, "/livez"), None);
    assert!(watchers.state(1).exists());
    watchers.restart(1);
    within(limit, "the one that was killed answers again", || all_live(&watchers));
    assert_eq!(watchers.terminate(0, limit).code(), Some(0), "{}", watchers.said(0));
}

#[test]
fn samples_are_read_with_their_labels() {
    let text =
        "# HELP a x\n# TYPE a gauge\na 1\nb{x=\"1\",y=\"a \\\"b\\\" }\"} 2.5\nb{x=\"2\"} 3 1700000000\nno sample\n";
    let metrics = Metrics::read(text);
    assert_eq!(metrics.sum("a", &[]), Some(1.0));
    assert_eq!(metrics.sum("b", &[]), Some(5.5));
    assert_eq!(metrics.sum("b", &[("y", "a \"b\" }")]), Some(2.5));
    assert_eq!(metrics.sum("b", &[("x", "3")]), None);
}
