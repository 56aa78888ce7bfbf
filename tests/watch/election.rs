//! Three watchers that share five targets through a real etcd of three members, and lose each other and it.
//!
//! ```text
//!  Cluster ── a Line for each member ──┬── Lines of watcher 0 ── watcher 0 ──┐
//!  (all watchers lose a member)        ├── Lines of watcher 1 ── watcher 1 ──┼── five servers, whose proxies
//!                                      └── Lines of watcher 2 ── watcher 2 ──┘   note every write and its token
//!                                          (one watcher loses etcd)
//! ```
//!
//! All the time somebody else asks every watcher where it leads: see [`Eyes`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ctl::model::{EndpointStatus, State as Standing, Status};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::line::{Line, State};
use crate::process::free_addresses;
use crate::scene::Scene;
use crate::watchers::Watchers;
use crate::{http, within};

const TARGETS: usize = 5;
pub(crate) const SERVICES: usize = 4;
/// A take-over: the lease of 30 s, and what finding out takes.
pub(crate) const TAKEN_OVER: Duration = Duration::from_secs(35);
/// What the machine may be slower than it should while everything else runs beside this.
pub(crate) const SLACK: Duration = Duration::from_secs(20);
/// Everything is as it should be, with nobody away.
pub(crate) const SETTLED: Duration = Duration::from_secs(60);
/// A write that has no answer by then is given up by whoever sent it (ten seconds, less what it took to see it sent).
const A_WRITE: Duration = Duration::from_secs(9);
/// Two watchers that both say for so long that they lead at a target do so. A process that wakes says what it knew until
/// its loop turned; what it may write then is decided by the gate and by the fence, and the servers' books show it.
const BOTH: Duration = Duration::from_secs(5);

/// Asks every watcher, again and again, where it leads.
pub(crate) struct Eyes {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Eyes {
    fn on(watchers: &Watchers) -> Self {
        let addresses: Vec<SocketAddr> = (0..watchers.count()).map(|watcher| watchers.address(watcher)).collect();
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = std::thread::spawn(move || watch_them(&addresses, &until));
        Self { over, thread: Some(thread) }
    }

    /// What they saw that must never be.
    pub(crate) fn close(&mut self) -> Vec<String> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().map(|thread| thread.join().unwrap()).unwrap_or_default()
    }
}

fn watch_them(addresses: &[SocketAddr], over: &AtomicBool) -> Vec<String> {
    let mut found = Vec::new();
    // Since when two of them say that they lead at a target, each under the same token.
    let mut both: BTreeMap<(String, Vec<(usize, u64)>), Instant> = BTreeMap::new();
    while !over.load(Ordering::SeqCst) {
        let mut leaders: BTreeMap<String, Vec<(usize, u64)>> = BTreeMap::new();
        for (watcher, address) in addresses.iter().enumerate() {
            let Some((200, text)) = http::glance(*address, "/v1/status") else { continue };
            let status: Status = serde_json::from_str(&text).unwrap();
            for target in status.targets.into_iter().filter(|target| target.leader) {
                leaders.entry(target.target).or_default().push((watcher, target.token.unwrap()));
            }
        }
        let now: BTreeSet<_> = leaders.into_iter().filter(|(_, leaders)| leaders.len() > 1).collect();
        both.retain(|claim, _| now.contains(claim));
        for claim in now {
            let since = *both.entry(claim.clone()).or_insert_with(Instant::now);
            if since.elapsed() > BOTH {
                found.push(format!("{} is led by {:?} for {:?}", claim.0, claim.1, since.elapsed()));
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    found
}

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) scene: Scene,
    pub(crate) watchers: Watchers,
    /// Of each watcher, to each member.
    lines: Vec<Vec<Line>>,
    pub(crate) targets: Vec<String>,
    pub(crate) eyes: Eyes,
}

/// Watchers that lead at all targets between them, with everything applied; nothing without etcd.
pub(crate) fn stage() -> Option<Stage> {
    let cluster = Cluster::of(3)?;
    let scene = Scene::of(TARGETS, SERVICES);
    let member = |url: &String| Line::to(url.trim_start_matches("http://").parse().unwrap());
    let lines: Vec<Vec<Line>> = (0..3).map(|_| cluster.urls().iter().map(member).collect()).collect();
    let flags = |lines: &Vec<Line>| {
        let urls: Vec<String> = lines.iter().map(Line::url).collect();
        ["--election".to_owned(), "etcd".to_owned(), "--etcd".to_owned(), urls.join(",")].to_vec()
    };
    let watchers = scene.watch_each("2s", &lines.iter().map(flags).collect::<Vec<_>>());
    let eyes = Eyes::on(&watchers);
    let targets: Vec<String> = (0..TARGETS).map(|at| format!("t{at}")).collect();
    watchers.lead_alone(&targets, SETTLED);
    scene.converges(SETTLED, SERVICES, 1);
    Some(Stage { cluster, scene, watchers, lines, targets, eyes })
}

impl Stage {
    /// Where this watcher leads.
    pub(crate) fn led_by(&self, watcher: usize) -> Vec<usize> {
        let tokens = self.tokens(watcher);
        (0..TARGETS).filter(|at| tokens.contains_key(&self.targets[*at])).collect()
    }

    /// The watcher that leads at most targets.
    pub(crate) fn busiest(&self) -> usize {
        (0..3).max_by_key(|watcher| self.led_by(*watcher).len()).unwrap()
    }

    /// What one of them says, once it says anything.
    fn status(&self, watcher: usize) -> Status {
        within(SETTLED, "a watcher that says how it stands", || self.watchers.status(watcher))
    }

    /// The tokens under which it leads, by target.
    pub(crate) fn tokens(&self, watcher: usize) -> BTreeMap<String, u64> {
        let led = self.status(watcher).targets.into_iter().filter(|target| target.leader);
        led.map(|target| (target.target, target.token.unwrap())).collect()
    }

    /// The lease under which somebody leads at a target.
    #[track_caller]
    fn lease_at(&self, at: usize) -> String {
        let seat = format!("/{}", self.targets[at]);
        within(SETTLED, "the seat of a leader, in etcd", || {
            let keys = self.cluster.keys(self.cluster.leader(), "/ctl/election/")?;
            keys.into_iter().find(|(key, _)| key.ends_with(&seat)).map(|(_, lease)| lease)
        })
    }

    /// Waits until three watchers have two, two and one.
    #[track_caller]
    fn shares_evenly(&self, limit: Duration) {
        within(limit, "five targets shared as two, two and one", || {
            let mut shares: Vec<usize> = (0..3).map(|watcher| self.led_by(watcher).len()).collect();
            shares.sort_unstable();
            (shares == [1, 2, 2]).then_some(())
        });
    }

    /// Waits until the target has another leader, which has brought it there.
    #[track_caller]
    pub(crate) fn taken_over(&self, from: usize, targets: &[usize], port: u64, limit: Duration) {
        within(limit, &format!("others at {targets:?}, with port {port} there"), || {
            targets.iter().all(|at| self.is_taken_over(from, *at, port)).then_some(())
        });
    }

    /// One that stands still is not asked: it would take its time to say nothing.
    fn is_taken_over(&self, from: usize, at: usize, port: u64) -> bool {
        let others = (0..3).filter(|watcher| *watcher != from);
        let leaders = others.filter(|watcher| self.tokens(*watcher).contains_key(&self.targets[at])).count();
        let server = &self.scene.servers[at];
        leaders == 1 && (0..SERVICES).all(|n| server.port(&format!("s{n}")) == Some(port))
    }

    /// Every write bore the token of its leader, none was stale, nothing was deleted, and nobody saw two leaders.
    #[track_caller]
    fn all_was_fenced(&mut self) {
        self.scene.nothing_stale();
        self.scene.nothing_deleted();
        for server in &self.scene.servers {
            let bare: Vec<_> = server.books().into_iter().filter(|written| written.token.is_none()).collect();
            assert!(bare.is_empty(), "writes without a token: {bare:?}");
        }
        assert_eq!(self.eyes.close(), [""; 0]);
    }

    /// Fails if anybody wrote anywhere after that.
    #[track_caller]
    fn nothing_written_after(&self, closed: Instant) {
        for server in &self.scene.servers {
            let late: Vec<_> = server.books().into_iter().filter(|written| written.at > closed).collect();
            assert!(late.is_empty(), "writes behind a closed gate: {late:?}");
        }
    }

    /// A person who applies while a leader writes is told to wait, and the leader's write goes on. All of it takes less
    /// time than a write has, or the machine is too slow to show it, and it is tried again.
    #[track_caller]
    fn is_beside_a_leader_at_work(&self, port: u64) {
        let home = TempDir::new().unwrap();
        for _ in 0..5 {
            let at = self.led_by(self.busiest())[0];
            // Everything that takes long is here before it counts: the clone of the repository above all.
            let (code, said) = self.run(&home, "plan", at, &[]);
            assert!(matches!(code, Some(0 | 2)), "{code:?}: {said}");
            let held = self.scene.servers[at].hold_next();
            let started = Instant::now();
            self.scene.commit(SERVICES, port);
            within(SETTLED, "a write that is under way", || held.came().then_some(()));
            let (code, said) = self.run(&home, "apply", at, &["--yes"]);
            let (late, answer) = held.let_go();
            self.scene.servers[at].mend();
            if started.elapsed() > A_WRITE {
                // The leader gave that write up, as it should, and did it once more. Back, for another try.
                self.scene.converges(SETTLED, SERVICES, port);
                self.scene.commit(SERVICES, port - 1);
                self.scene.converges(SETTLED, SERVICES, port - 1);
                continue;
            }
            assert_eq!(code, Some(9), "{said}");
            assert!(late.accepted() && late.token.is_some(), "{late:?}: {answer}");
            return;
        }
        panic!("five times the machine took longer than a write may");
    }

    /// A command at one target, by somebody who knows of no election; its exit code, and what it said.
    fn run(&self, home: &TempDir, command: &str, at: usize, more: &[&str]) -> (Option<i32>, String) {
        let words = [command, &self.scene.remote.url(), "-t", &self.targets[at]].map(str::to_owned);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ctl"));
        command.args(words).args(more);
        command.current_dir(home.path()).env_clear().env("HOME", home.path()).env("NO_PROXY", "*");
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn leaders_share_evenly_and_are_followed_when_they_lose_their_lease_leave_or_die() {
    let Some(mut stage) = stage() else { return };
    stage.shares_evenly(SETTLED);
    // Whoever does not lead says who does, as soon as it has looked.
    within(SETTLED, "who leads, said by those who do not", || {
        let others = (0..3).flat_map(|watcher| stage.status(watcher).targets).filter(|target| !target.leader);
        let named = |why: &str| why.starts_with("another watcher leads here: ") && why.contains(", process ");
        let says = |at: &EndpointStatus| at.state == Standing::NotLeader && at.why.as_deref().is_some_and(named);
        others.flat_map(|target| target.endpoints).all(|endpoint| says(&endpoint)).then_some(())
    });

    // A person beside a leader that is at work: its open intent is a lock.
    stage.is_beside_a_leader_at_work(2);
    stage.scene.converges(SETTLED, SERVICES, 2);

    // A lease that somebody revokes behind its back: another token, and nobody in between.
    let victim = stage.busiest();
    let before = stage.tokens(victim);
    let lease = stage.lease_at(stage.led_by(victim)[0]);
    stage.cluster.revoke(&lease);
    within(SETTLED, "higher tokens where the lease was revoked", || {
        let all: BTreeMap<String, u64> = (0..3).flat_map(|watcher| stage.tokens(watcher)).collect();
        before.iter().all(|(target, token)| all.get(target).is_some_and(|now| now > token)).then_some(())
    });
    stage.scene.commit(SERVICES, 3);
    stage.scene.converges(SETTLED, SERVICES, 3);

    // One that is told to stop resigns first: nobody waits for a lease to run out.
    stage.shares_evenly(SETTLED);
    let victim = stage.busiest();
    let led = stage.led_by(victim);
    let lease = stage.lease_at(led[0]);
    let ended = stage.watchers.terminate(victim, SETTLED);
    assert_eq!(ended.code(), Some(0), "{}", stage.watchers.said(victim));
    let left = stage.cluster.keys(stage.cluster.leader(), "/ctl/election/").unwrap();
    assert!(left.iter().all(|(_, of)| *of != lease), "it ended with seats under its lease {lease}: {left:?}");
    stage.scene.commit(SERVICES, 4);
    stage.taken_over(victim, &led, 4, SETTLED);
    stage.watchers.restart(victim);
    stage.shares_evenly(SETTLED);

    // One that dies is followed when its lease is over.
    let victim = stage.busiest();
    let led = stage.led_by(victim);
    stage.watchers.kill(victim);
    stage.scene.commit(SERVICES, 5);
    stage.taken_over(victim, &led, 5, TAKEN_OVER + SLACK);
    stage.scene.converges(SETTLED, SERVICES, 5);
    stage.all_was_fenced();
}

#[test]
fn a_leader_that_stands_still_or_is_cut_off_writes_nothing_stale() {
    let Some(mut stage) = stage() else { return };
    stage.shares_evenly(SETTLED);
    // It stands still while a write of its is under way, and stays there longer than it leads.
    let victim = stage.busiest();
    let led = stage.led_by(victim);
    let (at, before) = (led[0], stage.tokens(victim));
    let held = stage.scene.servers[at].hold_next();
    stage.scene.commit(SERVICES, 2);
    within(SETTLED, "a write that is kept back", || held.came().then_some(()));
    stage.watchers.stop(victim);
    let stopped = Instant::now();
    stage.scene.commit(SERVICES, 3);
    stage.taken_over(victim, &led, 3, TAKEN_OVER + SLACK);
    let (late, said) = held.let_go();
    assert_eq!((late.token, late.status), (before.get(&stage.targets[at]).copied(), 412), "{said}");
    assert!(said.contains("stale fencing token") && late.newest_before > late.token, "{late:?}: {said}");
    // It wakes with the next commit in front of it.
    std::thread::sleep(Duration::from_secs(40).saturating_sub(stopped.elapsed()));
    stage.scene.commit(SERVICES, 4);
    stage.watchers.cont(victim);
    within(SETTLED, "one that woke and knows that it leads nowhere by those tokens", || {
        let now = stage.tokens(victim);
        before.iter().all(|(target, token)| now.get(target) != Some(token)).then_some(())
    });
    stage.scene.converges(SETTLED, SERVICES, 4);
    stage.scene.nothing_stale();
    stage.scene.servers[at].mend();
    stage.shares_evenly(SETTLED);

    // One that alone is cut off from etcd: its gate closes by itself, before the others can take over.
    let victim = stage.busiest();
    let led = stage.led_by(victim);
    for line in &stage.lines[victim] {
        line.set(State::Held);
    }
    let cut = Instant::now();
    // The others may lead 25 seconds after the last renewal.
    within(Duration::from_secs(25), "one that is cut off and says that it leads nowhere", || {
        stage.tokens(victim).is_empty().then_some(())
    });
    within(SETTLED, "it is not ready, and says why", || {
        let why = stage.status(victim).not_ready.join("; ");
        let said = why.contains("the coordinator does not answer, so nothing is written");
        (said && stage.watchers.page(victim, "/readyz") == Some(503)).then_some(())
    });
    stage.scene.commit(SERVICES, 5);
    stage.taken_over(victim, &led, 5, (TAKEN_OVER + SLACK).saturating_sub(cut.elapsed()));
    for line in &stage.lines[victim] {
        line.set(State::Open);
    }
    within(SETTLED, "the one that was cut off is ready again", || {
        (stage.watchers.page(victim, "/readyz") == Some(200)).then_some(())
    });
    stage.watchers.lead_alone(&stage.targets, SETTLED);
    stage.scene.converges(SETTLED, SERVICES, 5);
    stage.all_was_fenced();
}

#[test]
fn one_member_of_etcd_is_not_missed_and_two_close_the_gate() {
    let Some(mut stage) = stage() else { return };
    let tokens = |stage: &Stage| (0..3).map(|watcher| stage.tokens(watcher)).collect::<Vec<_>>();
    stage.shares_evenly(SETTLED);
    let before = tokens(&stage);
    let first = stage.cluster.leader();
    stage.cluster.kill(first);
    stage.scene.commit(SERVICES, 2);
    stage.scene.converges(SETTLED, SERVICES, 2);
    // Whoever lost its lease and won it again would have another token.
    within(SETTLED, "nobody lost anything with one member of three", || (tokens(&stage) == before).then_some(()));

    let second = stage.cluster.leader();
    stage.cluster.kill(second);
    let lost = Instant::now();
    // The gate closes 15 s after the last renewal that was acknowledged, and a write may be in flight for 10 s.
    let closed = lost + Duration::from_secs(25);
    within(SETTLED, "nobody leads or is ready without etcd", || {
        let away = |watcher| stage.watchers.page(watcher, "/readyz") == Some(503) && stage.tokens(watcher).is_empty();
        (0..3).all(away).then_some(())
    });
    (0..3).for_each(|watcher| stage.watchers.is_alive(watcher));
    within(SETTLED, "why nobody is ready", || {
        let status = stage.status(0);
        let said = status.not_ready.join("; ").contains("the coordinator does not answer");
        (said && status.election.is_some_and(|election| !election.reachable && election.why.is_some())).then_some(())
    });
    std::thread::sleep(closed.saturating_duration_since(Instant::now()));
    stage.scene.commit(SERVICES, 3);
    stage.scene.servers[0].drift("s0", 77);
    std::thread::sleep(Duration::from_secs(6));
    stage.nothing_written_after(closed);

    stage.cluster.restart(second);
    stage.watchers.lead_alone(&stage.targets, TAKEN_OVER + SETTLED);
    stage.scene.converges(SETTLED, SERVICES, 3);
    within(SETTLED, "all are ready again", || {
        (0..3).all(|watcher| stage.watchers.page(watcher, "/readyz") == Some(200)).then_some(())
    });
    stage.all_was_fenced();
}

#[test]
fn watchers_of_one_repository_share_its_record_without_a_push() {
    let Some(cluster) = Cluster::of(1) else { return };
    let scene = Scene::alone(2, SERVICES);
    let flags = ["--election".to_owned(), "etcd".to_owned(), "--etcd".to_owned(), cluster.urls().join(",")].to_vec();
    let path = scene.remote.path().display().to_string();
    let mut watchers = scene.watch_from(&path, "2s", &[flags.clone(), flags]);
    let mut eyes = Eyes::on(&watchers);
    let targets = ["t0".to_owned(), "t1".to_owned()];
    within(SETTLED, "one target for each", || {
        let mut leaders = watchers.lead_alone(&targets, SETTLED);
        leaders.sort_unstable();
        (leaders == [0, 1]).then_some(())
    });
    scene.commit(SERVICES, 2);
    scene.converges(SETTLED, SERVICES, 2);
    assert_eq!(watchers.terminate(0, SETTLED).code(), Some(0), "{}", watchers.said(0));
    scene.commit(SERVICES, 3);
    scene.converges(Duration::from_secs(10) + SLACK, SERVICES, 3);
    assert_eq!(watchers.lead_alone(&targets, SETTLED), [1, 1]);
    scene.nothing_stale();
    scene.nothing_deleted();
    assert!(scene.servers.iter().all(|server| server.books().iter().all(|written| written.token.is_some())));
    assert_eq!(eyes.close(), [""; 0]);
}

#[test]
fn an_election_with_a_record_that_is_not_shared_is_refused() {
    let scene = Scene::alone(1, 1);
    let nobody = free_addresses(1)[0];
    let flags = ["--election", "etcd", "--etcd", &format!("http://{nobody}")].map(str::to_owned);
    let mut watchers = scene.watch(1, &flags);
    let ended = within(SETTLED, "a watcher that says no", || watchers.ended(0));
    let said = watchers.said(0);
    assert_eq!(ended.code(), Some(64), "{said}");
    assert!(said.contains("record-not-shared") && said.contains("push: origin"), "{said}");
    assert!(scene.servers[0].books().is_empty());
}
