//! A real etcd of three members on loopback, that loses members, its leader, its leases and its lines on command.

use std::net::SocketAddr;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::line::{Line, State};
use crate::parts::installed;
use crate::process::{Process, free_addresses};
use crate::{http, within};

/// How long the members may take to agree on something.
const AGREE: Duration = Duration::from_secs(30);

struct Member {
    process: Process,
    client: SocketAddr,
    /// What stands between this member and whoever uses it; members talk to each other directly.
    line: Line,
}

/// The members; they end, and their data goes, when this is dropped.
pub(crate) struct Cluster {
    members: Vec<Member>,
    _folder: TempDir,
}

impl Cluster {
    /// Starts this many members and waits for their leader; nothing if etcd is not installed.
    pub(crate) fn of(count: usize) -> Option<Self> {
        if !installed("etcd") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let addresses = free_addresses(count * 2);
        let (clients, peers) = addresses.split_at(count);
        let all: Vec<String> = peers.iter().enumerate().map(|(at, peer)| format!("m{at}=http://{peer}")).collect();
        let members = clients.iter().zip(peers).enumerate().map(|(at, (client, peer))| {
            let data = folder.path().join(format!("m{at}"));
            let flags = [
                ("name", format!("m{at}")),
                ("data-dir", data.display().to_string()),
                ("listen-client-urls", format!("http://{client}")),
                ("advertise-client-urls", format!("http://{client}")),
                ("listen-peer-urls", format!("http://{peer}")),
                ("initial-advertise-peer-urls", format!("http://{peer}")),
                ("initial-cluster", all.join(",")),
                ("logger", "zap".to_owned()),
                ("log-level", "error".to_owned()),
            ];
            let args = flags.iter().map(|(name, value)| format!("--{name}={value}")).collect();
            let process = Process::start("etcd", args, &[], folder.path().join(format!("m{at}.log")));
            Member { process, client: *client, line: Line::to(*client) }
        });
        let cluster = Self { members: members.collect(), _folder: folder };
        cluster.leader();
        Some(cluster)
    }

    /// Where clients find the members, each through its line.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().map(|member| member.line.url()).collect()
    }

    /// Does this to the line before one member.
    pub(crate) fn line(&self, member: usize, state: State) {
        self.members[member].line.set(state);
    }

    /// Does this to all lines: etcd as a whole is away, and stays well.
    pub(crate) fn lines(&self, state: State) {
        for member in &self.members {
            member.line.set(state);
        }
    }

    /// SIGKILL to a member; its data stays.
    pub(crate) fn kill(&mut self, member: usize) {
        self.members[member].process.kill();
    }

    /// SIGSTOP to a member: its connections stay, and nothing answers.
    pub(crate) fn stop(&self, member: usize) {
        self.members[member].process.stop();
    }

    /// SIGCONT to a member.
    pub(crate) fn cont(&self, member: usize) {
        self.members[member].process.cont();
    }

    /// Starts a member that was killed.
    pub(crate) fn restart(&mut self, member: usize) {
        self.members[member].process.again();
    }

    /// Which member all that answer call their leader, once they do.
    pub(crate) fn leader(&self) -> usize {
        within(AGREE, "a leader of etcd that answers and takes writes", || {
            let states: Vec<(usize, Value)> = self
                .members
                .iter()
                .enumerate()
                .filter_map(|(at, _)| Some((at, self.asked(at, "/v3/maintenance/status", &json!({}), http::GLANCE)?)))
                .collect();
            let (leader, _) = states.iter().find(|(_, state)| state["leader"] == state["header"]["member_id"])?;
            let name = &states.iter().find(|(at, _)| at == leader)?.1["leader"];
            let agreed = states.iter().all(|(_, state)| state["leader"] == *name);
            // A leader that cannot reach the others may not know yet that it is none.
            (agreed && self.put(*leader, "harness", "there")).then_some(*leader)
        })
    }

    /// Asks one member directly, not through its line; nothing if it gives no good answer.
    pub(crate) fn ask(&self, member: usize, path: &str, body: &Value) -> Option<Value> {
        self.asked(member, path, body, http::PATIENCE)
    }

    fn asked(&self, member: usize, path: &str, body: &Value, limit: Duration) -> Option<Value> {
        match http::post(self.members[member].client, path, body, limit) {
            Some((200, answer)) => Some(answer),
            _ => None,
        }
    }

    /// Writes a key through one member; whether etcd says within two seconds that it did.
    pub(crate) fn put(&self, member: usize, key: &str, value: &str) -> bool {
        let body = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)});
        self.asked(member, "/v3/kv/put", &body, http::GLANCE).is_some()
    }

    /// All keys that start with `prefix`, and the lease that each hangs on (`0` is none), as one member knows them.
    pub(crate) fn keys(&self, member: usize, prefix: &str) -> Option<Vec<(String, String)>> {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().expect("a prefix") += 1;
        let found = self.ask(
            member,
            "/v3/kv/range",
            &json!({"key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end)}),
        )?;
        let pair = |item: &Value| {
            let key = STANDARD.decode(item["key"].as_str()?).ok()?;
            Some((String::from_utf8(key).ok()?, item["lease"].as_str().unwrap_or("0").to_owned()))
        };
        found["kvs"].as_array().map_or(Some(Vec::new()), |items| items.iter().map(pair).collect())
    }

    /// Takes a lease away from whoever holds it.
    pub(crate) fn revoke(&self, lease: &str) {
        let leader = self.leader();
        self.ask(leader, "/v3/lease/revoke", &json!({"ID": lease})).expect("a lease that was there");
    }
}

#[test]
fn a_cluster_survives_one_loss_and_not_two() {
    let Some(mut cluster) = Cluster::of(3) else { return };
    let first = cluster.leader();
    cluster.kill(first);
    let second = cluster.leader();
    assert_ne!(first, second);
    within(AGREE, "two of three take a write", || cluster.put(second, "a", "1").then_some(()));

    let third = (0..3).find(|member| ![first, second].contains(member)).unwrap();
    cluster.kill(third);
    assert!(!cluster.put(second, "a", "2"), "one of three takes no write");

    cluster.restart(third);
    cluster.restart(first);
    let now = cluster.leader();
    assert_eq!(cluster.keys(now, "a").unwrap(), [("a".to_owned(), "0".to_owned())]);
    within(AGREE, "the member that was away knows what happened", || {
        cluster.keys(first, "a").filter(|keys| !keys.is_empty())
    });
}

#[test]
fn a_leader_that_stands_still_is_replaced_and_follows_when_it_wakes() {
    let Some(cluster) = Cluster::of(3) else { return };
    let first = cluster.leader();
    cluster.stop(first);
    assert!(!cluster.put(first, "a", "1"), "a process that stands still answers nothing");
    let second = cluster.leader();
    assert_ne!(first, second);
    within(AGREE, "the new leader takes a write", || cluster.put(second, "a", "2").then_some(()));
    cluster.cont(first);
    within(AGREE, "the one that woke follows", || cluster.keys(first, "a").filter(|keys| !keys.is_empty()));
}

#[test]
fn a_keep_alive_of_a_revoked_lease_is_a_good_answer_without_a_ttl() {
    let Some(cluster) = Cluster::of(3) else { return };
    let leader = cluster.leader();
    let granted = cluster.ask(leader, "/v3/lease/grant", &json!({"TTL": 30})).unwrap();
    let lease = granted["ID"].as_str().unwrap().to_owned();
    let body = json!({"key": STANDARD.encode("election/x"), "value": "", "lease": lease});
    cluster.ask(leader, "/v3/kv/put", &body).unwrap();
    assert_eq!(cluster.keys(leader, "election/").unwrap(), [("election/x".to_owned(), lease.clone())]);

    let renewed = cluster.ask(leader, "/v3/lease/keepalive", &json!({"ID": lease})).unwrap();
    assert_eq!(renewed["result"]["TTL"], "30");
    cluster.revoke(&lease);
    assert_eq!(cluster.keys(leader, "election/").unwrap(), []);
    let after = cluster.ask(leader, "/v3/lease/keepalive", &json!({"ID": lease})).unwrap();
    assert!(after["result"]["header"].is_object() && after["result"].get("TTL").is_none(), "{after}");
}

#[test]
fn a_line_is_cut_held_deaf_and_mended_while_etcd_stays_well() {
    let Some(cluster) = Cluster::of(1) else { return };
    let through: SocketAddr = cluster.urls()[0].trim_start_matches("http://").parse().unwrap();
    let put = || http::post(through, "/v3/kv/put", &json!({"key": "YQ==", "value": "MQ=="}), http::GLANCE);
    let done = |how: &str| within(AGREE, how, || put().filter(|(status, _)| *status == 200));
    let revision = || cluster.ask(0, "/v3/kv/range", &json!({"key": "YQ=="})).unwrap()["header"]["revision"].clone();
    done("open from the start");

    let before = revision();
    for state in [State::Cut, State::Held] {
        cluster.line(0, state);
        assert_eq!(put(), None, "{state:?}");
        assert_eq!(revision(), before, "{state:?}");
    }
    // What was held is no longer wanted by its client, and is carried all the same: as on a real line.
    cluster.line(0, State::Cut);

    cluster.lines(State::Deaf);
    assert_eq!(put(), None);
    within(AGREE, "the write whose answer was lost", || (revision() != before).then_some(()));

    cluster.line(0, State::Slow(Duration::from_millis(100)));
    done("slow");
    cluster.line(0, State::Open);
    done("open again");
}
