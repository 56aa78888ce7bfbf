//! The record under faults: real processes, a real server, real repositories, and `kill -9`.
//!
//! `CTL_KILLS=250 cargo test --test cli kill` sweeps longer than the default.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fake::Fake;
use super::hostile::project;
use super::ports::reserved;
use super::sandbox::{Ran, Sandbox};

const REF: &str = "refs/ctl/records/shop/edge";

/// The reference server as a process of its own.
pub(super) struct Server {
    process: Child,
    pub(super) url: String,
}

impl Server {
    fn start(sandbox: &Sandbox, listen: &str, faults: &str) -> Self {
        let data = sandbox.root().join("data").display().to_string();
        let mut args = vec!["serve", "--listen", listen, "--debug-counters", "--data", &data];
        if !faults.is_empty() {
            args.extend(["--faults", faults]);
        }
        let mut process = sandbox.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "the server did not start: {url:?}");
        Self { process, url: url.trim().to_owned() }
    }

    fn get(&self, path: &str) -> Value {
        let address = self.url.strip_prefix("http://").unwrap();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
            let mut answer = String::new();
            // A server that misbehaves on purpose drops our connections too.
            if stream.read_to_string(&mut answer).is_err() || answer.is_empty() {
                continue;
            }
            let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
            return serde_json::from_str(body).unwrap_or_else(|e| panic!("{path}: {e}: {answer}"));
        }
        panic!("{path}: no answer")
    }

    /// Everything that is there: `kind/name` with uid and spec.
    pub(super) fn live(&self) -> BTreeMap<String, (String, Value)> {
        let mut found = BTreeMap::new();
        for kind in ["service", "route", "policy"] {
            let page = self.get(&format!("/v1/{kind}?limit=1000"));
            assert!(page.get("next").is_none(), "one page was enough so far");
            for item in page["items"].as_array().unwrap() {
                let name = format!("{kind}/{}", item["name"].as_str().unwrap());
                let uid = item["uid"].as_str().unwrap().to_owned();
                let before = found.insert(name.clone(), (uid, item["spec"].clone()));
                assert!(before.is_none(), "{name} is there twice");
            }
        }
        found
    }

    /// How many writes it was asked for.
    pub(super) fn writes(&self) -> u64 {
        let counts = self.get("/debug/requests");
        let counts = counts.as_object().unwrap().iter();
        counts.filter(|(what, _)| !what.starts_with("GET ")).map(|(_, n)| n.as_u64().unwrap()).sum()
    }
}

impl World {
    /// SIGKILL to the server, and after a while the same one at the same address.
    pub(super) fn kill_server(&mut self, away: Duration, faults: &str) {
        let listen = self.server.url.strip_prefix("http://").unwrap().to_owned();
        self.server.process.kill().unwrap();
        self.server.process.wait().unwrap();
        std::thread::sleep(away);
        self.server = Server::start(&self.sandbox, &listen, faults);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A user, a server, and where the record is.
pub(super) struct World {
    pub(super) sandbox: Sandbox,
    pub(super) server: Server,
    /// The repository that holds the record.
    records: PathBuf,
}

impl World {
    /// A record in the user's own repository.
    pub(super) fn local(faults: &str) -> Self {
        Self::new(faults, false)
    }

    /// A record that is pushed to a bare repository.
    fn pushed(faults: &str) -> Self {
        Self::new(faults, true)
    }

    fn new(faults: &str, push: bool) -> Self {
        let sandbox = Sandbox::new();
        // It is killed and comes back at the same address.
        let server = Server::start(&sandbox, &reserved().to_string(), faults);
        let mut records = sandbox.repo().join(".git");
        if push {
            records = sandbox.root().join("remote.git");
            let path = records.display().to_string();
            sandbox.git(["init", "--quiet", "--bare", &path]);
            sandbox.git(["remote", "add", "origin", &path]);
        }
        let record = if push { "record: {push: origin}\n" } else { "" };
        sandbox.write(
            "ctl.yaml",
            &format!(
                "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\n{record}\
                 targets:\n  edge: {{api: ctl, url: \"{}\"}}\n",
                server.url
            ),
        );
        Self { sandbox, server, records }
    }

    fn git(&self, args: &[&str]) -> String {
        let output = self.sandbox.git_try(&self.records, args);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The record's entries: `kind/name` and uid.
    fn recorded(&self) -> BTreeMap<String, String> {
        let lines = self.git(&["grep", "-h", "-e", "", REF, "--", "*.jsonl"]);
        let mut found = BTreeMap::new();
        for line in lines.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            let name = format!("{}/{}", entry["kind"].as_str().unwrap(), entry["key"][0].as_str().unwrap());
            let before = found.insert(name.clone(), entry["uid"].as_str().unwrap_or_default().to_owned());
            assert!(before.is_none(), "{name} is recorded twice");
        }
        found
    }

    fn intents(&self) -> usize {
        self.git(&["ls-tree", "-r", "--name-only", REF]).lines().filter(|l| l.starts_with("intents/")).count()
    }

    /// The version numbers of the record's history, newest first, each once.
    fn numbers(&self) -> Vec<u64> {
        let log = self.git(&["log", "--format=%(trailers:key=Number,valueonly,separator=)", REF]);
        let mut numbers: Vec<u64> = log.lines().filter_map(|l| l.trim().parse().ok()).collect();
        numbers.dedup();
        numbers
    }

    /// Runs until a run says that all is done; what the runs before it said.
    #[track_caller]
    pub(super) fn until_done(&self) -> Vec<Ran> {
        let mut before = Vec::new();
        for _ in 0..4 {
            let ran = self.sandbox.run(["apply", "--yes"]);
            if ran.code == Some(0) {
                return before;
            }
            before.push(ran);
        }
        let said: Vec<String> =
            before.iter().map(|r| format!("exit {:?}\n{}\n{}", r.code, tail(&r.stdout), tail(&r.stderr))).collect();
        panic!("it does not come to an end:\n{}", said.join("\n---\n"));
    }

    /// The server holds what is declared and nothing else, the record says so, entry by object, and nobody holds it.
    #[track_caller]
    pub(super) fn assert_converged(&self, declared: &BTreeMap<String, Value>) {
        let live = self.server.live();
        let names = |map: &BTreeSet<&String>| map.iter().map(|s| (*s).clone()).collect::<Vec<_>>();
        let (have, want): (BTreeSet<_>, BTreeSet<_>) = (live.keys().collect(), declared.keys().collect());
        assert_eq!(names(&(&have - &want)), Vec::<String>::new(), "there and not declared");
        assert_eq!(names(&(&want - &have)), Vec::<String>::new(), "declared and not there");
        for (name, wanted) in declared {
            for (field, value) in wanted.as_object().unwrap() {
                assert_eq!(&live[name].1[field], value, "{field} of {name}");
            }
        }
        let uids: BTreeMap<String, String> = live.into_iter().map(|(name, (uid, _))| (name, uid)).collect();
        assert_eq!(self.recorded(), uids, "the record and the server");
        assert_eq!(self.intents(), 0, "an intent is left");
    }
}

pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// About 100 resources, of which each round renames some services and changes nearly all: deletes, creates, updates,
/// and routes that let go of a service before it goes.
pub(super) fn declare(world: &World, round: usize) -> BTreeMap<String, Value> {
    let service = |i: usize| if i % 7 == round % 7 { format!("s{i}r{round}") } else { format!("s{i}") };
    let mut declared = BTreeMap::new();
    let mut text = String::new();
    let mut add = |kind: &str, name: String, spec: Value| {
        text.push_str(&format!("---\napiVersion: ctl\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"));
        declared.insert(format!("{kind}/{name}"), spec);
    };
    for i in 0..75 {
        let spec = serde_json::json!({"host": format!("h{i}"), "port": 1000 + round, "protocol": "http"});
        add("service", service(i), spec);
    }
    for i in 0..25 {
        let path = format!("/{i}/{}", round / 3);
        add(
            "route",
            format!("r{i}"),
            serde_json::json!({"service": service(i * 3), "host": "shop.example", "path": path}),
        );
    }
    world.sandbox.write("manifests/all.yaml", &text);
    world.sandbox.commit(&format!("round {round}"));
    declared
}

/// Numbers that differ from run to run are no use to whoever has to repeat a failure.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

pub(super) fn kills(default: usize) -> usize {
    std::env::var("CTL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Kills runs at random moments; after each, the next runs must bring all in order.
fn sweep(world: &World, kills: usize) {
    let mut chance = Chance(20_261_122);
    declare(world, 0);
    let begun = Instant::now();
    world.sandbox.run(["apply", "--yes"]);
    world.until_done();
    // How long a whole run takes here, so that the moments cover all of it.
    let mut whole = begun.elapsed();
    for round in 1..=kills {
        let declared = declare(world, round);
        let begun = Instant::now();
        let mut run =
            world.sandbox.command(&["apply", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moment = Duration::from_micros(chance.below(u64::try_from(whole.as_micros()).unwrap()));
        let ended = loop {
            if run.try_wait().unwrap().is_some() {
                break true;
            }
            if begun.elapsed() >= moment {
                break false;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        run.kill().unwrap();
        run.wait().unwrap();
        if ended {
            whole = begun.elapsed();
        }
        for ran in world.until_done() {
            assert!(matches!(ran.code, Some(3 | 5)), "round {round}: exit {:?}\n{}", ran.code, tail(&ran.stderr));
        }
        world.assert_converged(&declared);
    }
    let numbers = world.numbers();
    assert!(numbers.windows(2).all(|pair| pair[0] == pair[1] + 1), "a version is missing or there twice: {numbers:?}");
    let idle = world.server.writes();
    world.sandbox.run(["apply", "--yes"]).exits(0);
    assert_eq!(world.server.writes(), idle, "nothing was left to do");
}

#[test]
fn killed_at_any_moment_the_next_run_converges() {
    sweep(&World::local("slow=4ms"), kills(12));
}

#[test]
fn killed_at_any_moment_with_a_pushed_record_and_lost_answers_the_next_run_converges() {
    sweep(&World::pushed("slow=4ms:0.5,drop-answer=0.02,seed=11"), kills(8));
}

/// A few services, `port` telling the commit.
pub(super) fn services(world: &World, names: std::ops::Range<usize>, port: usize) -> BTreeMap<String, Value> {
    let mut declared = BTreeMap::new();
    let mut text = String::new();
    for i in names {
        let spec = serde_json::json!({"host": format!("h{i}"), "port": port, "protocol": "http"});
        text.push_str(&format!("---\napiVersion: ctl\nkind: service\nmetadata: {{name: s{i}}}\nspec: {spec}\n"));
        declared.insert(format!("service/s{i}"), spec);
    }
    world.sandbox.write("manifests/all.yaml", &text);
    world.sandbox.commit("services");
    declared
}

fn spawn(world: &World, args: &[&str]) -> Child {
    world.sandbox.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[track_caller]
pub(super) fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn hook(repository: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = repository.join("hooks/pre-receive");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn no_hook(repository: &Path) {
    std::fs::remove_file(repository.join("hooks/pre-receive")).unwrap();
}

#[test]
fn killed_between_the_intent_and_the_first_write_nothing_is_lost() {
    let mut world = World::local("slow=3s");
    let declared = services(&world, 0..5, 80);
    let mut run = spawn(&world, &["apply", "--yes"]);
    wait_for("the intent", || world.intents() == 1);
    run.kill().unwrap();
    run.wait().unwrap();
    let listen = world.server.url.strip_prefix("http://").unwrap().to_owned();
    drop(std::mem::replace(
        &mut world.server,
        Server { process: Command::new("true").spawn().unwrap(), url: String::new() },
    ));
    world.server = Server::start(&world.sandbox, &listen, "");
    assert!(world.server.live().is_empty(), "no write was under way yet");
    world.sandbox.run(["plan"]).exits(0).says("open-intent").says("5 to create");
    assert_eq!(world.intents(), 1, "plan leaves it");
    world.sandbox.run(["apply", "--yes"]).exits(0).warns("settled");
    world.assert_converged(&declared);
}

#[test]
fn killed_after_the_last_write_the_next_run_writes_nothing() {
    let world = World::pushed("");
    let (seen, late) = (world.sandbox.root().join("seen"), world.sandbox.root().join("late"));
    let second = format!("if [ -e '{0}' ]; then touch '{1}'; sleep 2; exit 1; fi", seen.display(), late.display());
    hook(&world.records, &format!("{second}; touch '{}'", seen.display()));
    let declared = services(&world, 0..5, 80);
    let mut run = spawn(&world, &["apply", "--yes"]);
    wait_for("the last write", || world.server.live().len() == 5);
    // The outcome is on its way, and will not arrive. Before that, there would be nothing that keeps it from arriving.
    wait_for("the outcome", || late.exists());
    run.kill().unwrap();
    run.wait().unwrap();
    no_hook(&world.records);
    assert_eq!(world.intents(), 1, "the outcome is not there");
    let writes = world.server.writes();
    world.until_done();
    assert_eq!(world.server.writes(), writes);
    world.assert_converged(&declared);
}

#[test]
fn an_outcome_that_is_refused_is_partial_and_the_next_run_shares_it() {
    let world = World::pushed("");
    let seen = world.sandbox.root().join("seen");
    hook(&world.records, &format!("if [ -e '{0}' ]; then echo enough >&2; exit 1; fi; touch '{0}'", seen.display()));
    let declared = services(&world, 0..5, 80);
    world.sandbox.run(["apply", "--yes"]).exits(3).warns("enough");
    no_hook(&world.records);
    let writes = world.server.writes();
    world.sandbox.run(["apply", "--yes"]).exits(0).says("Nothing to do");
    assert_eq!(world.server.writes(), writes);
    world.assert_converged(&declared);
}

#[test]
fn a_ref_that_may_not_be_written_stops_before_the_first_write() {
    let world = World::pushed("");
    hook(&world.records, "echo 'no refs/ctl for you' >&2; exit 1");
    services(&world, 0..5, 80);
    world.sandbox.run(["apply", "--yes"]).exits(4).warns("no refs/ctl for you");
    assert_eq!(world.server.writes(), 0);
}

#[test]
fn an_older_commit_never_goes_over_a_newer_one() {
    let world = World::local("");
    services(&world, 0..5, 80);
    let old = world.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    let declared = services(&world, 0..5, 81);
    world.sandbox.run(["apply", "--yes"]).exits(0);
    let writes = world.server.writes();
    world.sandbox.run(["apply", "--yes", "--rev", &old]).exits(5).says("git revert");
    assert_eq!(world.server.writes(), writes);
    world.assert_converged(&declared);
}

#[test]
fn what_follows_a_squash_merge_is_newer() {
    let world = World::local("");
    services(&world, 0..5, 80);
    world.sandbox.git(["checkout", "--quiet", "-b", "feature"]);
    services(&world, 0..5, 81);
    world.sandbox.run(["apply", "--yes"]).exits(0);
    world.sandbox.git(["checkout", "--quiet", "main"]);
    services(&world, 0..5, 81);
    let writes = world.server.writes();
    world.sandbox.run(["apply", "--yes"]).exits(0).says("Nothing to do");
    assert_eq!(world.server.writes(), writes, "an equal tree passes");
    let declared = services(&world, 0..5, 82);
    world.sandbox.run(["apply", "--yes"]).exits(0);
    world.assert_converged(&declared);
}

#[test]
fn a_rewritten_history_needs_leave_for_this_very_commit() {
    let world = World::local("");
    services(&world, 0..5, 80);
    services(&world, 0..5, 81);
    world.sandbox.run(["apply", "--yes"]).exits(0);
    let was = world.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    world.sandbox.git(["reset", "--quiet", "--hard", "HEAD~1"]);
    let declared = services(&world, 0..5, 82);
    let now = world.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    world.sandbox.run(["apply", "--yes"]).exits(7).says(&format!("--accept-rewrite {now}"));
    world.sandbox.run(["apply", "--yes", "--accept-rewrite", &was]).exits(7);
    world.sandbox.run(["apply", "--yes", "--accept-rewrite", &now]).exits(0);
    world.assert_converged(&declared);
}

#[test]
fn an_interrupted_run_records_what_it_did() {
    let world = World::local("slow=200ms");
    let declared = services(&world, 0..40, 80);
    let mut run = spawn(&world, &["apply", "--yes", "--concurrency", "1"]);
    wait_for("two writes", || world.server.live().len() >= 2);
    signal(&run, "-INT");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let live: BTreeMap<_, _> = world.server.live().into_iter().map(|(name, (uid, _))| (name, uid)).collect();
    assert!(live.len() < 40, "it was too quick to be interrupted");
    assert_eq!(world.recorded(), live);
    assert_eq!(world.intents(), 0);
    world.sandbox.run(["apply", "--yes"]).exits(0);
    world.assert_converged(&declared);
}

#[test]
fn a_second_interrupt_leaves_at_once() {
    let world = World::pushed("");
    let pushing = world.sandbox.root().join("pushing");
    hook(&world.records, &format!("touch '{}'; sleep 30", pushing.display()));
    services(&world, 0..5, 80);
    let mut command = world.sandbox.command(&["apply", "--yes"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    wait_for("the push", || pushing.exists());
    let begun = Instant::now();
    signal(&run, "-INT");
    // Two that come together would be one.
    assert!(said.any(|line| line.unwrap().contains("interrupt again to leave at once")));
    signal(&run, "-INT");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    // Whoever waited for the push would wait half a minute.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn an_interrupt_before_the_first_write_says_that_nothing_was_written() {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let fake = Fake::scripted(move |request| {
        if request.method == "GET" {
            seen.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_secs(5));
        }
        None
    });
    let sandbox = project(&fake.url(), "");
    let run = sandbox.command(&["apply", "--yes"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the list is asked for", || asked.load(Ordering::SeqCst));
    signal(&run, "-INT");
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("Nothing was written: the run was interrupted"), "{said}");
    assert!(fake.names().is_empty());
}

fn signal(process: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn in_ci_a_record_that_only_the_runner_sees_is_refused() {
    let world = World::local("");
    services(&world, 0..5, 80);
    let mut command = world.sandbox.command(&["apply", "--yes"]);
    let output = command.env("CI", "true").output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).contains("record: {push: origin}"));
    assert_eq!(world.server.writes(), 0);
}

#[test]
fn a_name_that_a_stranger_points_at_this_machine_gets_nothing_of_the_reference_server() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, "127.0.0.1:0", "");
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let ask = |line: &str, host: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close";
        write!(stream, "{line} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n{{}}").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.get(9..12).unwrap_or_default().to_owned()
    };
    for line in ["GET /v1/service", "PUT /v1/service/a", "GET /debug/requests"] {
        assert_eq!(ask(line, "evil.example"), "421", "{line}");
        assert_eq!(ask(line, "localhost\r\nHost: evil.example"), "421", "{line}");
    }
    assert_eq!(server.live().len(), 0);
    assert_eq!(ask("PUT /v1/service/a", &address), "201");
    assert_eq!(ask("GET /v1/service", "localhost"), "200");
}
