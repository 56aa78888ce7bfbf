//! Cycles against the reference server, with a real repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use clap::Parser as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cli::args::{Cli, LimitArgs, SourceArgs};
use crate::cli::load;
use crate::cli::session::agree;
use crate::cli::stores::Stores;
use crate::cli::watch::cycled::Outcome;
use crate::model::{Digest, EndpointName, Process};
use crate::net::{HttpTransport, Tls, Transport as _};
use crate::plan::{Action, Operation};
use crate::reconcile::Here;
use crate::server;
use crate::store::{LocalLock, Store, current_process};

/// A repository, a state folder and a server.
struct World {
    root: TempDir,
    ctx: Context,
    server: Arc<server::Server>,
    url: String,
    locks: Arc<Locks>,
}

fn service(name: &str, more: &str) -> String {
    format!("apiVersion: ctl\nkind: service\nmetadata: {{name: {name}}}\nspec:\n  host: {name}.internal\n{more}")
}

async fn serve() -> (Arc<server::Server>, String) {
    let store = server::Store::memory(server::Schema::built_in(), 256).unwrap();
    let config = server::Config { debug_counters: true, ..server::Config::open() };
    let server = Arc::new(server::Server::new(store, config).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server::run(listener, Arc::clone(&server), std::future::pending()));
    (server, url)
}

impl World {
    /// One target with one endpoint, and these services.
    async fn new(services: &[&str]) -> Self {
        let (server, url) = serve().await;
        let targets = format!("  it: {{api: ctl, url: \"{url}\"}}\n");
        Self::with(server, url, &targets, services)
    }

    fn with(server: Arc<server::Server>, url: String, targets: &str, services: &[&str]) -> Self {
        let root = TempDir::new().unwrap();
        let repo = root.path().join("repo");
        fs::create_dir(&repo).unwrap();
        let state = root.path().join("state").display().to_string();
        let cli = Cli::try_parse_from(["ctl", "-q", "--state", &state, "version"]).unwrap();
        let env = [("HOME".to_owned(), root.path().display().to_string())].into();
        let ctx = Context::new(&cli.global, env, repo);
        let world = Self { root, ctx, server, url, locks: Arc::default() };
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        let project = "apiVersion: ctl/v1\nkind: Project\nmetadata: {name: shop}\nmanifests: [m/]\ntargets:\n";
        world.write("ctl.yaml", &format!("{project}{targets}"));
        for name in services {
            world.write(&format!("m/{name}.yaml"), &service(name, "  port: 80\n"));
        }
        world.commit();
        world
    }

    fn repo(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    fn git(&self, args: &[&str]) {
        let fixed = ["-c", "user.name=T", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"];
        let home = ("HOME", self.root.path());
        let done = Command::new("git").args(fixed).args(args).current_dir(self.repo()).env(home.0, home.1).output();
        assert!(done.as_ref().unwrap().status.success(), "{args:?}: {done:?}");
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "x"]);
    }

    /// What the newest commit says.
    fn basis(&self, generation: u64) -> Basis {
        let source = SourceArgs { source: self.repo().display().to_string(), rev: None, trust: None };
        let mut loaded = load::load(&self.ctx, &source, false).unwrap();
        let operator = self.ctx.operator().unwrap();
        agree(&mut loaded, &operator);
        let stores = Stores::open(&self.ctx, &loaded, &operator).unwrap();
        let snapshot = loaded.snapshot(&self.ctx, true).unwrap();
        Basis {
            loaded: Arc::new(loaded),
            snapshot: Arc::new(snapshot),
            operator,
            stores: Arc::new(stores),
            locks: Arc::clone(&self.locks),
            deletes_held: None,
            limits: LimitArgs::default(),
            listener: None,
            generation,
        }
    }

    fn warm() -> Warm {
        Warm::new("it".parse().unwrap())
    }

    async fn cycle(&self, warm: &mut Warm, basis: &Basis) -> CycleReport {
        cycle(&self.ctx, warm, basis, &order()).await
    }

    /// How often each request came, those of the tests left out.
    fn requests(&self) -> BTreeMap<String, u64> {
        let mut counts = self.server.counts();
        counts.retain(|what, _| !what.contains("other"));
        counts
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> u16 {
        let http = HttpTransport::new(&self.url, Tls::default()).unwrap();
        let request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json").body(Bytes::from(body.to_owned())).unwrap();
        http.send(request, Duration::from_secs(5), 1 << 20).await.unwrap().status().as_u16()
    }

    async fn spec(&self, name: &str) -> Option<serde_json::Value> {
        let http = HttpTransport::new(&self.url, Tls::default()).unwrap();
        let request = http::Request::get(format!("{}/v1/service/{name}", self.url)).body(Bytes::new()).unwrap();
        let answer = http.send(request, Duration::from_secs(5), 1 << 20).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        (answer.status() == 200).then(|| body["spec"].clone())
    }
}

fn me() -> Process {
    current_process("tester")
}

fn order<'a>() -> Order<'a> {
    Order {
        here: Here { process: me(), token: None },
        gate: None,
        fence: None,
        dry_run: false,
        pinned: false,
        obeys: &|| Ok(()),
        away: BTreeSet::new(),
        patient: BTreeSet::new(),
        hold: &|_| None,
        approved: Vec::new(),
        tell: &|_| (),
        cancel: CancellationToken::new(),
        apart: Duration::ZERO,
        patience: Duration::from_secs(5),
    }
}

fn outcomes(report: &CycleReport) -> Vec<(&str, &Outcome)> {
    report.operations.iter().map(|op| (op.address.as_str(), &op.outcome)).collect()
}

#[track_caller]
fn went_well(report: &CycleReport) {
    assert!(report.stopped.is_none() && report.clean && report.exit == Exit::Done, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_cycle_asks_one_conditional_request_per_collection() {
    let world = World::new(&["a", "b"]).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    let first = world.cycle(&mut warm, &basis).await;
    went_well(&first);
    assert_eq!(first.operations.len(), 2);
    let version = first.version.unwrap();
    assert_eq!((version.number, version.result.as_str()), (1, "done"));
    let second = world.cycle(&mut warm, &basis).await;
    went_well(&second);
    assert!(!second.quiet && second.operations.is_empty() && second.version.is_none(), "what was written is looked at");
    let before = world.requests();
    for _ in 0..3 {
        let quiet = world.cycle(&mut warm, &basis).await;
        went_well(&quiet);
        assert!(quiet.quiet, "{quiet:#?}");
        assert_eq!(quiet.endpoints.values().map(|e| e.requests).collect::<Vec<_>>(), [1]);
        assert_eq!(quiet.summary.unchanged, 2);
    }
    let mut expected = before;
    *expected.get_mut("GET /v1/service").unwrap() += 3;
    assert_eq!(world.requests(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_own_write_a_cycle_reads_what_changed_and_not_the_whole_list() {
    // More than two pages of a list.
    let names: Vec<String> = (0..2100).map(|n| format!("s{n:04}")).collect();
    let world = World::new(&["a"]).await;
    let texts: Vec<String> = names.iter().map(|name| service(name, "")).collect();
    world.write("m/all.yaml", &texts.join("---\n"));
    world.commit();
    let (basis, mut warm) = (world.basis(1), World::warm());
    for _ in 0..3 {
        went_well(&world.cycle(&mut warm, &basis).await);
    }
    // Another operator's file would be a reason to forget what is known.
    let next = |generation| Basis { operator: Arc::clone(&basis.operator), ..world.basis(generation) };
    for (generation, port) in [(2, 81), (3, 82), (4, 83)] {
        world.write("m/a.yaml", &service("a", &format!("  port: {port}\n")));
        world.commit();
        let report = world.cycle(&mut warm, &next(generation)).await;
        went_well(&report);
        assert_eq!(outcomes(&report), [("it:service/a", &Outcome::Done)]);
        // Who is there, what changed in the list, the write: and nothing for each of the others, or for each page.
        assert_eq!(report.endpoints.values().map(|e| e.requests).collect::<Vec<_>>(), [3]);
        assert_eq!(report.summary.unchanged, 2100);
    }
    // One that somebody else takes away is missed, though nobody read the whole list again.
    assert_eq!(world.send("DELETE", "/v1/service/s1500", "").await, 204);
    let report = world.cycle(&mut warm, &next(5)).await;
    went_well(&report);
    assert_eq!(outcomes(&report), [("it:service/s1500", &Outcome::Done)]);
    assert_eq!(report.operations[0].action, Action::Create);
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_corrected() {
    let world = World::new(&["a", "b"]).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    for _ in 0..3 {
        world.cycle(&mut warm, &basis).await;
    }
    let drifted = r#"{"spec":{"host":"a.internal","port":81},"labels":{"managed-by":"ctl:shop"}}"#;
    assert_eq!(world.send("PUT", "/v1/service/a", drifted).await, 200);
    let corrected = world.cycle(&mut warm, &basis).await;
    went_well(&corrected);
    assert_eq!(outcomes(&corrected), [("it:service/a", &Outcome::Done)]);
    let op = &corrected.operations[0];
    assert_eq!((op.cause, op.fields[0].path.as_str()), (crate::plan::Cause::Drift, "/port"));
    assert_eq!(op.source.as_deref(), Some("m/a.yaml:6:9"));
    assert_eq!(corrected.ended().operations[0].corrected, ["/port"]);
    assert_eq!(world.spec("a").await.unwrap()["port"], 80);
    assert_eq!(corrected.version.unwrap().number, 2);
    assert!(!world.cycle(&mut warm, &basis).await.quiet);
    assert!(world.cycle(&mut warm, &basis).await.quiet);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_applied_and_its_deletes_are_not_while_deletes_are_held() {
    let world = World::new(&["a", "b", "c"]).await;
    let mut warm = World::warm();
    went_well(&world.cycle(&mut warm, &world.basis(1)).await);
    fs::remove_file(world.repo().join("m/b.yaml")).unwrap();
    world.write("m/a.yaml", &service("a", "  port: 8080\n"));
    world.commit();
    let mut basis = world.basis(2);
    basis.deletes_held = Some("the source is an hour old".to_owned());
    let held = world.cycle(&mut warm, &basis).await;
    let old = Outcome::Held("the source is an hour old".to_owned());
    assert_eq!(outcomes(&held), [("it:service/b", &old), ("it:service/a", &Outcome::Done)], "{held:#?}");
    assert!(!held.clean);
    assert_eq!(world.spec("a").await.unwrap()["port"], 8080);
    assert!(world.spec("b").await.is_some(), "nothing is deleted");
    let still = world.cycle(&mut warm, &basis).await;
    assert!(!still.quiet && still.version.is_none() && outcomes(&still) == [("it:service/b", &old)], "{still:#?}");
    (basis.deletes_held, basis.generation) = (None, 3);
    let done = world.cycle(&mut warm, &basis).await;
    went_well(&done);
    assert!(world.spec("b").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn held_deletes_are_no_reason_to_refuse_the_rest() {
    let names: Vec<String> = (0..12).map(|i| format!("s{i}")).collect();
    let world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut warm = World::warm();
    went_well(&world.cycle(&mut warm, &world.basis(1)).await);
    for name in &names[..6] {
        fs::remove_file(world.repo().join(format!("m/{name}.yaml"))).unwrap();
    }
    world.write("m/s9.yaml", &service("s9", "  port: 9\n"));
    world.commit();
    let refused = world.cycle(&mut warm, &world.basis(2)).await;
    assert_eq!((refused.refusals[0].gate, refused.exit), ("deletes", Exit::Refused));
    assert_eq!(world.spec("s9").await.unwrap()["port"], 80);
    let mut basis = world.basis(3);
    basis.deletes_held = Some("old".to_owned());
    let held = world.cycle(&mut warm, &basis).await;
    assert!(held.refusals.is_empty(), "{held:#?}");
    assert_eq!(world.spec("s9").await.unwrap()["port"], 9);
    // An operator lets exactly these deletes through.
    let basis = world.basis(4);
    let mut order = order();
    order.approved = vec![Digest::of(b"another set")];
    assert_eq!(cycle(&world.ctx, &mut warm, &basis, &order).await.refusals.len(), 1);
    order.approved = vec![refused.deletes_checksum.unwrap()];
    let approved = cycle(&world.ctx, &mut warm, &basis, &order).await;
    went_well(&approved);
    assert!(world.spec("s0").await.is_none());
}

/// The reference server's description, as if its lists of services lagged behind.
fn lagging() -> String {
    let api = include_str!("../../../server/api.yaml").replace("api: ctl\n", "api: lagging\n");
    api.replace("    path: /service/{name}\n", "    path: /service/{name}\n    eventual: true\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_lists_lag_behind_two_that_agree_and_are_far_enough_apart_delete() {
    let (server, url) = serve().await;
    let world = World::with(server, url.clone(), &format!("  it: {{api: lagging, url: \"{url}\"}}\n"), &[]);
    world.write("apis/lagging.yaml", &lagging());
    for name in ["a", "b"] {
        world.write(&format!("m/{name}.yaml"), &service(name, "  port: 80\n").replace(": ctl\n", ": lagging\n"));
    }
    world.commit();
    let mut warm = World::warm();
    let first = world.cycle(&mut warm, &world.basis(1)).await;
    went_well(&first);
    fs::remove_file(world.repo().join("m/a.yaml")).unwrap();
    world.commit();
    let (basis, far) = (world.basis(2), Order { apart: Duration::from_secs(3600), ..order() });
    // The list of the first cycle was read before they were made: this one is the first that shows them.
    for _ in 0..3 {
        let waits = cycle(&world.ctx, &mut warm, &basis, &far).await;
        assert!(waits.stopped.is_none() && waits.operations.is_empty() && !waits.quiet, "{waits:#?}");
        assert!(waits.diagnostics.iter().any(|diagnostic| diagnostic.code == "eventual"), "{waits:#?}");
    }
    assert!(world.spec("a").await.is_some());
    // Whoever begins anew knows nothing yet.
    let mut anew = World::warm();
    assert!(cycle(&world.ctx, &mut anew, &basis, &order()).await.operations.is_empty(), "one list proves nothing");
    let gone = cycle(&world.ctx, &mut anew, &basis, &order()).await;
    assert_eq!(outcomes(&gone), [("it:service/a", &Outcome::Done)], "{gone:#?}");
    assert!(world.spec("a").await.is_none() && world.spec("b").await.is_some());
    // Nobody looked whether it is gone: it is ours until a list says so.
    let waits = cycle(&world.ctx, &mut anew, &basis, &order()).await;
    assert!(waits.operations.is_empty() && !waits.quiet, "one list without it proves nothing either: {waits:#?}");
    let forgotten = cycle(&world.ctx, &mut anew, &basis, &order()).await;
    assert_eq!(outcomes(&forgotten), [("it:service/a", &Outcome::Done)], "{forgotten:#?}");
    went_well(&cycle(&world.ctx, &mut anew, &basis, &order()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_owed_its_call_after_the_writes_is_failing_until_it_took_it() {
    let saving = |call: &str| {
        let api = include_str!("../../../server/api.yaml").replace("api: ctl\n", "api: saving\n");
        api.replace("types:\n", &format!("after-apply: {call}\ntypes:\n"))
    };
    let (server, url) = serve().await;
    let world = World::with(server, url.clone(), &format!("  it: {{api: saving, url: \"{url}\"}}\n"), &[]);
    world.write("apis/saving.yaml", &saving("{post: /nowhere/save}"));
    world.write("m/a.yaml", &service("a", "  port: 80\n").replace(": ctl\n", ": saving\n"));
    world.commit();
    let (basis, mut warm) = (world.basis(1), World::warm());
    for first in [true, false] {
        let report = world.cycle(&mut warm, &basis).await;
        assert_eq!(outcomes(&report).len(), usize::from(first), "the write is done once: {report:#?}");
        assert!(report.exit == Exit::Partial && !report.clean && !report.quiet, "{report:#?}");
        let endpoint = &report.endpoints[&EndpointName::only()];
        assert!(endpoint.why.as_ref().unwrap().contains("owed `POST /nowhere/save` after its writes"), "{endpoint:?}");
        let reach = &report.ended().endpoints[&EndpointName::only()];
        assert!(matches!(reach, reconcile::Reach::Troubled(_)), "it is tried again with a backoff: {reach:?}");
    }
    assert!(world.spec("a").await.is_some());
    world.write("apis/saving.yaml", &saving("{put: /service/saved, body: {spec: {host: x, port: 1}}}"));
    world.commit();
    let mut anew = World::warm();
    let made = world.cycle(&mut anew, &world.basis(2)).await;
    went_well(&made);
    assert!(made.operations.is_empty() && world.spec("saved").await.is_some(), "{made:#?}");
    let quiet = world.cycle(&mut anew, &world.basis(2)).await;
    went_well(&quiet);
    assert!(quiet.version.is_none(), "it was called once: {quiet:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_resource_is_skipped_and_the_rest_goes_on() {
    let world = World::new(&["a", "b"]).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    let hold =
        |op: &Operation| (op.resource.to_string() == "it:service/a").then(|| "it failed a moment ago".to_owned());
    let order = Order { hold: &hold, ..order() };
    let report = cycle(&world.ctx, &mut warm, &basis, &order).await;
    let held = Outcome::Held("it failed a moment ago".to_owned());
    assert_eq!(outcomes(&report), [("it:service/a", &held), ("it:service/b", &Outcome::Done)], "{report:#?}");
    assert!(!report.clean && report.version.is_some());
    assert!(world.spec("a").await.is_none());
    let again = cycle(&world.ctx, &mut warm, &basis, &order).await;
    assert_eq!(outcomes(&again), [("it:service/a", &held)]);
    assert!(again.version.is_none(), "what is held alone makes no version");
    went_well(&world.cycle(&mut warm, &basis).await);
    assert!(world.spec("a").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_away_is_not_contacted_and_the_other_goes_on() {
    let (server, url) = serve().await;
    let (other, other_url) = serve().await;
    let targets = format!(
        "  it:\n    api: ctl\n    endpoints:\n      a: {{url: \"{url}\"}}\n      b: {{url: \"{other_url}\"}}\n"
    );
    let world = World::with(server, url, &targets, &["s"]);
    let (basis, mut warm) = (world.basis(1), World::warm());
    let away = Order { away: ["b".parse().unwrap()].into(), ..order() };
    for _ in 0..2 {
        let report = cycle(&world.ctx, &mut warm, &basis, &away).await;
        assert!(report.stopped.is_none() && !report.clean, "{report:#?}");
    }
    assert!(world.spec("s").await.is_some());
    let quiet = cycle(&world.ctx, &mut warm, &basis, &away).await;
    assert!(quiet.quiet && !quiet.clean, "{quiet:#?}");
    assert_eq!(other.counts(), BTreeMap::new());
    assert!(!quiet.ended().endpoints.contains_key(&"b".parse::<EndpointName>().unwrap()));
    probe(&world.ctx, &mut warm, &basis, &"b".parse().unwrap()).await.unwrap();
    let back = world.cycle(&mut warm, &basis).await;
    went_well(&back);
    assert_eq!(back.operations.len(), 1);
    assert!(other.counts().contains_key("PUT /v1/service/{name}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_reports_drift_and_writes_nothing_not_even_a_record() {
    let world = World::new(&["a"]).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    let order = Order { dry_run: true, ..order() };
    for _ in 0..2 {
        let report = cycle(&world.ctx, &mut warm, &basis, &order).await;
        assert_eq!(outcomes(&report), [("it:service/a", &Outcome::Pending)]);
        assert!(report.version.is_none() && !report.clean);
    }
    assert!(world.spec("a").await.is_none());
    let name = RecordName { project: "shop".parse().unwrap(), target: "it".parse().unwrap() };
    assert_eq!(basis.stores.stands(&name), Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shut_gate_lets_nothing_through() {
    let world = World::new(&["a"]).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    let gate = |_: &TargetName| Err("not the leader".to_owned());
    let order = Order { gate: Some(Arc::new(gate)), ..order() };
    let report = cycle(&world.ctx, &mut warm, &basis, &order).await;
    assert_eq!(outcomes(&report), [("it:service/a", &Outcome::Held("not the leader".to_owned()))]);
    assert!(world.spec("a").await.is_none() && report.version.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_ordered_meanwhile_is_obeyed_before_anything_is_written() {
    let world = World::new(&["a"]).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    let name = RecordName { project: "shop".parse().unwrap(), target: "it".parse().unwrap() };
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let obeys = || {
        asked.fetch_add(1, Ordering::SeqCst);
        Err(Stop::with(Exit::Locked, Diagnostic::error("ordered", "ann suspended it meanwhile")))
    };
    let stopped = Order { obeys: &obeys, ..order() };
    let report = cycle(&world.ctx, &mut warm, &basis, &stopped).await;
    assert_eq!(report.stopped.as_ref().map(|s| s.code), Some("ordered"), "{report:#?}");
    assert!(world.spec("a").await.is_none() && report.version.is_none());
    assert_eq!(basis.stores.stands(&name), Ok(None), "no intent either");

    went_well(&world.cycle(&mut warm, &basis).await);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "asked once, and before the first write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_moved_meanwhile_is_read_again_and_planned_again() {
    let world = World::new(&["a", "b"]).await;
    let (basis, mut warm, mut rival) = (world.basis(1), World::warm(), World::warm());
    went_well(&world.cycle(&mut warm, &basis).await);
    world.write("m/a.yaml", &service("a", "  port: 8080\n"));
    world.commit();
    let basis = world.basis(2);
    let other = world.cycle(&mut rival, &basis).await;
    went_well(&other);
    assert_eq!(other.version.unwrap().number, 2);
    let after = world.cycle(&mut warm, &basis).await;
    went_well(&after);
    assert!(after.operations.is_empty() && after.version.is_none(), "{after:#?}");
    world.cycle(&mut warm, &basis).await;
    assert!(world.cycle(&mut warm, &basis).await.quiet);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_another_process_keeps_it_from_writing_and_is_said() {
    let world = World::new(&["a"]).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    let other = LocalLock::take(&world.ctx.state, basis.loaded.source.common_dir(), &me()).unwrap();
    let report = world.cycle(&mut warm, &basis).await;
    assert!(report.stopped.as_ref().is_some_and(|s| s.locked) && report.exit == Exit::Locked, "{report:#?}");
    assert!(world.spec("a").await.is_none());
    drop(other);
    went_well(&world.cycle(&mut warm, &basis).await);
    let again = LocalLock::take(&world.ctx.state, basis.loaded.source.common_dir(), &me());
    assert!(again.is_ok(), "an idle watcher holds no lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_commit_is_refused_unless_an_operator_chose_it() {
    let world = World::new(&["a"]).await;
    let mut warm = World::warm();
    let old = world.basis(1);
    went_well(&world.cycle(&mut warm, &old).await);
    world.write("m/a.yaml", &service("a", "  port: 8080\n"));
    world.commit();
    went_well(&world.cycle(&mut warm, &world.basis(2)).await);
    let back = world.cycle(&mut warm, &old).await;
    assert_eq!((back.refusals[0].gate, back.exit), ("older-commit", Exit::Conflict));
    assert_eq!(world.spec("a").await.unwrap()["port"], 8080);
    let pinned = Order { pinned: true, ..order() };
    went_well(&cycle(&world.ctx, &mut warm, &old, &pinned).await);
    assert_eq!(world.spec("a").await.unwrap()["port"], 80);
    went_well(&cycle(&world.ctx, &mut warm, &old, &pinned).await);
    assert!(cycle(&world.ctx, &mut warm, &old, &pinned).await.quiet);
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_run_side_by_side_on_threads_of_their_own() {
    let (server, url) = serve().await;
    let (other, other_url) = serve().await;
    let targets = format!("  it: {{api: ctl, url: \"{url}\"}}\n  up: {{api: ctl, url: \"{other_url}\"}}\n");
    let world = World::with(server, url, &targets, &[]);
    world.write("m/it.yaml", &service("a", "").replace("{name: a}", "{name: a, targets: [it]}"));
    world.write("m/up.yaml", &service("b", "").replace("{name: b}", "{name: b, targets: [up]}"));
    world.commit();
    let (basis, ctx) = (Arc::new(world.basis(1)), Arc::new(world.ctx));
    let runs = ["it", "up"].map(|target| {
        let (basis, ctx) = (Arc::clone(&basis), Arc::clone(&ctx));
        let mut warm = Warm::new(target.parse().unwrap());
        tokio::task::spawn_blocking(move || {
            tokio::runtime::Handle::current().block_on(async {
                let report = cycle(&ctx, &mut warm, &basis, &order()).await;
                (warm, report)
            })
        })
    });
    for run in runs {
        let (_, report) = run.await.unwrap();
        went_well(&report);
        assert_eq!(report.operations.len(), 1, "{report:#?}");
    }
    assert!(other.counts().contains_key("PUT /v1/service/{name}"));
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

const ALONE: &str = "CTL_TEST_ALONE";

#[test]
fn memory_does_not_grow_over_two_thousand_cycles() {
    // In a process of its own, where nobody else's memory counts.
    let this = "cli::watch::cycle::tests::two_thousand_cycles";
    let done = Command::new(std::env::current_exe().unwrap()).args([this, "--exact"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "whether this is the process of its own is said from outside")]
async fn two_thousand_cycles() {
    let alone = std::env::var_os(ALONE).is_some();
    let names: Vec<String> = (0..if alone { 300 } else { 3 }).map(|i| format!("s{i}")).collect();
    let world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    let mut after_some = 0;
    for n in 0..if alone { 2_400 } else { 24 } {
        if n % 100 == 5 {
            let drifted = r#"{"spec":{"host":"x.internal"},"labels":{"managed-by":"ctl:shop"}}"#;
            assert_eq!(world.send("PUT", "/v1/service/s1", drifted).await, 200);
        }
        let report = world.cycle(&mut warm, &basis).await;
        went_well(&report);
        assert_eq!(report.quiet, !matches!(n % 100, 5 | 6) && n > 1, "cycle {n}");
        if n == 399 {
            after_some = resident();
        }
    }
    let grown = resident().saturating_sub(after_some);
    assert!(!alone || grown <= 1024, "{grown} KiB more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_everything_is_not_taken_for_unchanged() {
    let (server, url) = serve().await;
    let world = World::with(server, url.clone(), &format!("  it: {{api: ctl, url: \"{url}\"}}\n"), &["a"]);
    let (basis, mut warm) = (world.basis(1), World::warm());
    for _ in 0..3 {
        world.cycle(&mut warm, &basis).await;
    }
    assert_eq!(world.send("DELETE", "/v1/service/a", "").await, 204);
    let made_again = world.cycle(&mut warm, &basis).await;
    went_well(&made_again);
    assert_eq!(made_again.operations[0].action, Action::Create);
    assert!(world.spec("a").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_left_is_settled_before_anything_else() {
    let world = World::new(&["a"]).await;
    let (basis, mut warm) = (world.basis(1), World::warm());
    went_well(&world.cycle(&mut warm, &basis).await);
    let name = RecordName { project: "shop".parse().unwrap(), target: "it".parse().unwrap() };
    let (tip, mut record) = basis.stores.read(&name).unwrap();
    // A process of this boot that runs no more.
    let gone = Process { pid: 1 << 22, started: 1, ..me() };
    let intent = crate::model::Intent {
        run: "r".to_owned(),
        holder: gone,
        until: Some(i64::MAX - 100),
        token: None,
        commit: "x".to_owned(),
        checksum: "y".to_owned(),
        operations: Vec::new(),
    };
    record.intents.push(intent.clone());
    let tip = basis.stores.swap(&name, tip.as_ref(), &record, "a run begins").unwrap();
    let settled = world.cycle(&mut warm, &basis).await;
    went_well(&settled);
    assert!(settled.diagnostics.iter().any(|d| d.code == "settled"), "{settled:#?}");
    let (after, record) = basis.stores.read(&name).unwrap();
    assert!(record.intents.is_empty() && after != Some(tip));
    // One of which nobody can say that it is over is waited for.
    let (tip, mut record) = basis.stores.read(&name).unwrap();
    record.intents.push(crate::model::Intent { holder: Process { host: "elsewhere".to_owned(), ..me() }, ..intent });
    basis.stores.swap(&name, tip.as_ref(), &record, "another begins").unwrap();
    let locked = world.cycle(&mut warm, &basis).await;
    assert!(locked.stopped.as_ref().is_some_and(|s| s.locked), "{locked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_to_stop_does_not_wait_for_a_server_that_takes_its_time() {
    let (server, _) = serve().await;
    // It takes connections and answers none.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", deaf.local_addr().unwrap());
    let targets = format!("  it: {{api: ctl, url: \"{url}\"}}\n");
    let world = World::with(server, url, &targets, &["a"]);
    let (basis, mut warm) = (world.basis(1), World::warm());
    let order = order();
    let cancel = order.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    let ended = tokio::time::timeout(Duration::from_secs(8), cycle(&world.ctx, &mut warm, &basis, &order)).await;
    let ended = ended.expect("it ends before the server had its time");
    assert!(!ended.clean && !ended.quiet && ended.operations.is_empty() && ended.stopped.is_none(), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_lets_an_older_commit_through_and_no_other_guard() {
    let names: Vec<String> = (0..12).map(|i| format!("s{i}")).collect();
    let world = World::new(&["first"]).await;
    let mut warm = World::warm();
    let old = world.basis(1);
    went_well(&world.cycle(&mut warm, &old).await);
    for name in &names {
        world.write(&format!("m/{name}.yaml"), &service(name, "  port: 80\n"));
    }
    world.commit();
    went_well(&world.cycle(&mut warm, &world.basis(2)).await);
    let pinned = Order { pinned: true, ..order() };
    let refused = cycle(&world.ctx, &mut warm, &old, &pinned).await;
    assert_eq!(refused.refusals.iter().map(|refusal| refusal.gate).collect::<Vec<_>>(), ["deletes"]);
    assert!(world.spec("s0").await.is_some(), "twelve of thirteen are not deleted unasked");
    let approved = Order { approved: vec![refused.deletes_checksum.unwrap()], pinned: true, ..order() };
    went_well(&cycle(&world.ctx, &mut warm, &old, &approved).await);
    assert!(world.spec("s0").await.is_none());
}
