//! One test's corner of one server, with a repository and a proxy of its own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::proxy::{Fault, Proxy, Seen};
use crate::sandbox::{Ran, Sandbox};

/// What a server holds, or should hold, by a name of the test's own choice. Only what manifests state, plus what the
/// test needs to see.
pub(crate) type Holds = BTreeMap<String, Value>;

/// What the manifests say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Everything, as it begins.
    All,
    /// Some fields other than in [`State::All`], in some resources.
    Changed,
    /// A field other than in [`State::All`] that the server does not let change.
    Replaced,
    /// Less than in [`State::All`].
    Fewer,
}

/// A server that goes through the states. What belongs to one test carries that test's suffix.
pub(crate) trait Subject: Send + Sync {
    /// The description and the origin.
    fn api(&self) -> &'static str;
    fn upstream(&self) -> String;
    /// The credential in the operator's file, without `hosts`; `None` where the server asks for none.
    fn credential(&self) -> Option<String>;
    /// `secrets:` of the operator's file.
    fn secrets(&self) -> Option<String> {
        None
    }
    /// The manifests of a state, as one file.
    fn manifests(&self, state: State) -> String;
    /// How many resources they declare.
    fn count(&self, state: State) -> u64;
    /// What the server must hold in that state.
    fn expected(&self, state: State) -> Holds;
    /// What the server holds in this test's corner, asked of it directly.
    fn holds(&self) -> Holds;
    /// Writes that lead from `All` to `Changed`.
    fn writes_to_changed(&self) -> usize;
    /// The requests of a plan in which everything of `All` is there, as `METHOD path?query`, sorted.
    fn plan_requests(&self) -> Vec<String>;
    /// Such a line without what differs from run to run.
    fn normal(&self, line: &str) -> String {
        line.to_owned()
    }
    /// Spoils the list that holds what `Fewer` takes away: its second page where it has pages.
    fn failing(&self, seen: &Seen) -> Fault;
    /// Makes everything of `All` by hand, and equal; or with one field different.
    fn make_by_hand(&self, different: bool);
    /// Makes an object that no manifest declares in a container that `All` declares.
    fn make_foreign(&self);
    /// Whether it is there, exactly as it was made.
    fn foreign_stands(&self) -> bool;
    /// Changes a field that `All` declares, in something that `Changed` changes too.
    fn drift(&self);
    /// Whether a path is one that a read or a write of what `drift` changes goes to.
    fn rival_path(&self, path: &str) -> bool;
    /// Whether every write carries a precondition that the server checks.
    fn conditional(&self) -> bool;
    /// Whether the server makes it by itself, together with its container.
    fn makes_itself(&self, _address: &str) -> bool {
        false
    }
    /// A manifest that the server refuses though the description does not, and words of its reason.
    fn refused(&self) -> (String, Vec<&'static str>);
    /// Takes away everything.
    fn clean(&self);
}

/// A subject with everything around it.
pub(crate) struct Scene {
    pub(crate) subject: Arc<dyn Subject>,
    pub(crate) sandbox: Sandbox,
    pub(crate) proxy: Proxy,
    /// The operator's file.
    operator: String,
    commits: Cell<u32>,
}

impl Scene {
    /// A scene, if the server is there. A server that is missing is a failure with `CTL_TEST_ALL=1`.
    pub(crate) fn of(subject: Option<Arc<dyn Subject>>) -> Option<Self> {
        let subject = subject?;
        let proxy = Proxy::start(&subject.upstream());
        let url = proxy.url();
        let mut operator = String::new();
        let mut credentials = "";
        if let Some(credential) = subject.credential() {
            operator += &format!("credentials:\n  it: {{hosts: [\"{url}\"], {credential}}}\n");
            credentials = ", credentials: it";
        }
        if let Some(secrets) = subject.secrets() {
            operator += &format!("secrets: {secrets}\n");
        }
        let sandbox = Sandbox::new();
        sandbox.write(
            "ctl.yaml",
            &format!(
                "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: conf}}\nmanifests: [m/]\n\
                 targets:\n  it: {{api: {}, url: \"{url}\"{credentials}}}\n",
                subject.api()
            ),
        );
        Some(Self { subject, sandbox, proxy, operator, commits: Cell::new(0) })
    }

    /// Commits these manifests and nothing else.
    pub(crate) fn declare_text(&self, manifests: &str) {
        self.sandbox.write("m/all.yaml", manifests);
        self.commits.set(self.commits.get() + 1);
        self.sandbox.commit(&format!("state {}", self.commits.get()));
    }

    pub(crate) fn declare(&self, state: State) {
        self.declare_text(&self.subject.manifests(state));
    }

    /// Applies and looks at the server.
    #[track_caller]
    pub(crate) fn apply(&self, state: State) -> Value {
        self.declare(state);
        let applied = self.run(&["apply", "--yes", "-o", "json"]).exits(0).json();
        self.settled(state);
        applied
    }

    /// The server holds that state, and a second plan is empty.
    #[track_caller]
    pub(crate) fn settled(&self, state: State) {
        self.holds(&self.subject.expected(state));
        self.plan_is_empty();
    }

    #[track_caller]
    pub(crate) fn plan_is_empty(&self) {
        let plan = self.run(&["plan", "--detailed-exitcode", "-o", "json"]).exits(0).json();
        assert_eq!(plan["operations"], Value::Array(Vec::new()));
    }

    #[track_caller]
    pub(crate) fn holds(&self, expected: &Holds) {
        let held = self.subject.holds();
        let text = |holds: &Holds| serde_json::to_string_pretty(holds).unwrap();
        assert!(held == *expected, "the server holds\n{}\nand should hold\n{}", text(&held), text(expected));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(args);
        command.env("CTL_CREDENTIALS_YAML", &self.operator);
        command
    }

    /// Runs `ctl` with these arguments.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args).output().unwrap())
    }

    /// Starts `ctl`; its process id is in the cell as soon as it runs.
    pub(crate) fn start(&self, args: &[&str], pid: &AtomicU32) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().unwrap();
        pid.store(child.id(), Ordering::SeqCst);
        child
    }

    /// The number of a summary.
    pub(crate) fn number(document: &Value, name: &str) -> u64 {
        document["summary"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", document["summary"]))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.subject.clean();
    }
}

/// What a finished run printed.
pub(crate) fn ran(output: std::process::Output) -> Ran {
    Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// The variables of a server that `tests/servers/start` started: its URL and two more.
pub(crate) fn server(name: &str, more: &[&str]) -> Option<Vec<String>> {
    let read = |name: String| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut values = Vec::new();
    for suffix in std::iter::once(&"URL").chain(more) {
        let variable = format!("CTL_TEST_{name}_{suffix}");
        let Some(value) = read(variable.clone()) else {
            assert!(read("CTL_TEST_ALL".to_owned()).is_none(), "{variable} is not set, and CTL_TEST_ALL is");
            eprintln!("skipped: {variable} is not set (tests/servers/start {} DIR)", name.to_lowercase());
            return None;
        };
        values.push(value);
    }
    Some(values)
}

/// A name that no other test has.
pub(crate) fn suffix() -> String {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u8(0);
    format!("{:08x}", hasher.finish() as u32)
}
