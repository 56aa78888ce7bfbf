//! Elections on a real etcd, one member on loopback. Debian: `apt-get install etcd-server`.
//!
//! Where there is none a test says that it was skipped, or fails with `CTL_TEST_ALL=1`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "helpers of a test have nobody else to tell; whether all is to be tested comes from outside"
)]

#[path = "support/ports.rs"]
mod ports;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctl::model::TargetName;
use ctl::reconcile::{Candidacy, ElectionEvent, Elections};
use ctl::store::{Coordinator as _, CoordinatorError, Etcd, EtcdConfig, LeaseId};
use ctl::world::{Clock, Entropy};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PROGRAM: &str = "/usr/bin/etcd";
const WITHIN: Duration = Duration::from_secs(10);
const TTL: Duration = Duration::from_secs(30);

/// A member that ends with the test.
struct Member {
    child: Child,
    url: String,
    peer: String,
    folder: tempfile::TempDir,
}

impl Member {
    /// Starts one, if it is installed, and waits until it answers.
    async fn start() -> Option<Self> {
        let unwanted = std::env::var_os("CTL_TEST_SERVERS").is_some_and(|wanted| wanted == "none");
        if unwanted || !Path::new(PROGRAM).exists() {
            assert!(std::env::var_os("CTL_TEST_ALL").is_none(), "{PROGRAM} is not installed, and CTL_TEST_ALL is set");
            eprintln!("skipped: {PROGRAM} is not installed (Debian: etcd-server), or not wanted");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (url, peer) = (free_address(), free_address());
        let child = spawn(&url, &peer, folder.path());
        let member = Self { child, url, peer, folder };
        member.answers().await;
        Some(member)
    }

    fn client(&self) -> Etcd {
        let config = EtcdConfig { endpoints: vec![self.url.clone()], ..EtcdConfig::default() };
        Etcd::new(&config, Clock::System).unwrap()
    }

    async fn answers(&self) {
        let client = self.client();
        for _ in 0..1_200 {
            if client.look(&["/".to_owned()], Duration::from_secs(1)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("etcd at {} does not answer", self.url);
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn start_again(&mut self) {
        self.child = spawn(&self.url, &self.peer, self.folder.path());
        self.answers().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(url: &str, peer: &str, folder: &Path) -> Child {
    Command::new(PROGRAM)
        .args(["--name", "one", "--data-dir"])
        .arg(folder.join("data"))
        .args(["--listen-client-urls", url, "--advertise-client-urls", url])
        .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
        .arg(format!("--initial-cluster=one={peer}"))
        .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn free_address() -> String {
    format!("http://{}", ports::reserved())
}

#[tokio::test]
async fn leases_and_claims_are_what_the_coordinator_promises() {
    let Some(member) = Member::start().await else { return };
    let etcd = member.client();
    let lease = etcd.grant(TTL, WITHIN).await.unwrap();
    assert_eq!(etcd.keep_alive(lease, WITHIN).await, Ok(TTL));

    let first = etcd.claim("/ctl/election/shop/a", "me", lease, WITHIN).await.unwrap();
    assert!(first.untouched && first.lease == Some(lease) && first.value == "me" && first.created > 0, "{first:?}");
    let again = etcd.claim("/ctl/election/shop/a", "me", lease, WITHIN).await.unwrap();
    assert_eq!(again, first, "asked twice, made once");
    let other = etcd.grant(TTL, WITHIN).await.unwrap();
    assert_eq!(etcd.claim("/ctl/election/shop/a", "they", other, WITHIN).await.unwrap(), first, "never stolen");

    // `shop-2` is not below `shop/`.
    etcd.claim("/ctl/election/shop-2/a", "they", other, WITHIN).await.unwrap();
    let prefixes = ["/ctl/election/shop/".to_owned(), "/ctl/watchers/shop/".to_owned()];
    assert_eq!(etcd.look(&prefixes, WITHIN).await.unwrap(), [vec![first.clone()], vec![]]);

    etcd.give_up(&first.key, first.created + 1, WITHIN).await.unwrap();
    assert_eq!(etcd.look(&prefixes, WITHIN).await.unwrap()[0].len(), 1, "another tenure's");
    etcd.give_up(&first.key, first.created, WITHIN).await.unwrap();
    assert_eq!(etcd.look(&prefixes, WITHIN).await.unwrap()[0], []);

    let second = etcd.claim("/ctl/election/shop/a", "me", lease, WITHIN).await.unwrap();
    assert!(second.created > first.created);
    etcd.revoke(lease, WITHIN).await.unwrap();
    assert_eq!(etcd.look(&prefixes, WITHIN).await.unwrap()[0], [], "its keys go with a lease");
    assert_eq!(etcd.revoke(lease, WITHIN).await, Ok(()), "once more does no harm");
    assert_eq!(etcd.keep_alive(lease, WITHIN).await, Err(CoordinatorError::LeaseLost));
    let late = etcd.claim("/ctl/election/shop/a", "me", lease, WITHIN).await;
    assert_eq!(late, Err(CoordinatorError::LeaseLost), "a claim that comes late makes nothing");
    assert_eq!(etcd.keep_alive(LeaseId(7), WITHIN).await, Err(CoordinatorError::LeaseLost));
}

#[tokio::test]
async fn an_etcd_that_is_away_is_unreachable_and_leases_outlive_it() {
    let Some(mut member) = Member::start().await else { return };
    let etcd = member.client();
    let lease = etcd.grant(TTL, WITHIN).await.unwrap();
    let seat = etcd.claim("/ctl/election/shop/a", "me", lease, WITHIN).await.unwrap();
    member.stop();
    let away = etcd.keep_alive(lease, Duration::from_secs(1)).await;
    assert!(matches!(away, Err(CoordinatorError::Unreachable { .. })), "{away:?}");
    member.start_again().await;
    assert_eq!(etcd.keep_alive(lease, WITHIN).await, Ok(TTL));
    assert_eq!(etcd.look(&["/ctl/election/shop/".to_owned()], WITHIN).await.unwrap(), [vec![seat]]);
}

/// One process with its elections.
struct Watcher {
    elections: Elections,
    events: mpsc::Receiver<ElectionEvent>,
    cancel: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

fn targets() -> BTreeSet<TargetName> {
    ["a", "b", "c", "d", "e"].iter().map(|name| name.parse().unwrap()).collect()
}

fn watcher(member: &Member, name: &str) -> Watcher {
    let who = Candidacy {
        prefix: "/ctl".to_owned(),
        project: "shop".parse().unwrap(),
        targets: targets(),
        me: name.to_owned(),
    };
    let (elections, events) = Elections::new(who, Clock::System, Entropy::System);
    let (cancel, etcd) = (CancellationToken::new(), Arc::new(member.client()));
    let running = tokio::spawn({
        let (elections, cancel) = (elections.clone(), cancel.clone());
        async move { elections.run(&etcd, cancel).await }
    });
    Watcher { elections, events, cancel, running }
}

impl Watcher {
    fn owned(&self) -> usize {
        targets().iter().filter(|target| self.elections.tenure(target).is_some()).count()
    }
}

/// Waits until each target has an owner, and they are shared like this, the smallest share first. Two owners of one are a
/// failure at any time.
async fn all_owned(watchers: &[&Watcher], wanted: &[usize], within: Duration) {
    let start = Instant::now();
    loop {
        for target in targets() {
            let owners = watchers.iter().filter(|watcher| watcher.elections.tenure(&target).is_some()).count();
            assert!(owners <= 1, "{target} has {owners} owners");
        }
        let mut shares: Vec<usize> = watchers.iter().map(|watcher| watcher.owned()).collect();
        shares.sort_unstable();
        if shares == wanted {
            return;
        }
        assert!(start.elapsed() < within, "after {within:?} the shares are {shares:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_watchers_share_five_targets_and_take_over_from_each_other() {
    let Some(member) = Member::start().await else { return };
    let (mut one, two, three) = (watcher(&member, "one"), watcher(&member, "two"), watcher(&member, "three"));
    all_owned(&[&one, &two, &three], &[1, 2, 2], Duration::from_secs(60)).await;
    let before: Vec<_> = targets().into_iter().filter_map(|t| Some((one.elections.tenure(&t)?, t))).collect();
    assert!(one.elections.last_ack_age().is_some_and(|age| age < Duration::from_secs(15)));

    // One resigns: the others have its targets at once, under higher tokens.
    one.cancel.cancel();
    (&mut one.running).await.unwrap();
    assert_eq!(one.owned(), 0);
    // What it counts from is the last renewal that was heard; without a lease nothing makes it young again.
    assert!(one.elections.last_ack_age().is_some());
    // Whoever waited for its lease to run out would wait 25 seconds.
    all_owned(&[&two, &three], &[2, 3], Duration::from_secs(20)).await;
    for (tenure, target) in &before {
        let now = [&two, &three].iter().find_map(|watcher| watcher.elections.tenure(target)).unwrap();
        assert!(now.token > tenure.token);
        assert!(one.elections.gate(target, tenure.token).is_err());
    }
    // What it had and gave to those who came later is told as well.
    let mut lost = BTreeSet::new();
    while let Ok(event) = one.events.try_recv() {
        if let ElectionEvent::Lost { target, .. } = event {
            lost.insert(target);
        }
    }
    assert!(before.iter().all(|(_, target)| lost.contains(target)), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_was_revoked_by_somebody_else_is_lost_and_a_new_one_is_won() {
    let Some(member) = Member::start().await else { return };
    let mut one = watcher(&member, "one");
    all_owned(&[&one], &[5], Duration::from_secs(60)).await;
    let old = one.elections.tenure(&"a".parse().unwrap()).unwrap();
    let etcd = member.client();
    let seats = etcd.look(&["/ctl/election/shop/".to_owned()], WITHIN).await.unwrap().remove(0);
    assert_eq!(seats.len(), 5);
    let lease = seats[0].lease.unwrap();
    assert!(seats.iter().all(|seat| seat.lease == Some(lease)), "one lease for all");
    etcd.revoke(lease, WITHIN).await.unwrap();

    let (mut lost, mut won, revoked) = (BTreeSet::new(), BTreeSet::new(), Instant::now());
    while won.len() < 5 {
        let left = Duration::from_secs(90).saturating_sub(revoked.elapsed());
        match tokio::time::timeout(left, one.events.recv()).await.unwrap().unwrap() {
            ElectionEvent::Lost { target, .. } => drop(lost.insert(target)),
            ElectionEvent::Won { target, token } if lost.contains(&target) => {
                assert!(token > old.token);
                won.insert(target);
            }
            ElectionEvent::Won { .. }
            | ElectionEvent::Lapsed { .. }
            | ElectionEvent::Resumed { .. }
            | ElectionEvent::Unreachable { .. }
            | ElectionEvent::Reachable => {}
        }
    }
    assert!(one.elections.gate(&"a".parse().unwrap(), old.token).is_err());
    one.cancel.cancel();
    one.running.await.unwrap();
}
