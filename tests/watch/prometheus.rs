//! A real Prometheus that scrapes watchers, with the alert rules that ship.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ctl::metrics::Metrics;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::parts::installed;
use crate::{http, within};

/// How long a scrape and what follows from it may take: both happen every second.
const SOON: Duration = Duration::from_secs(30);

/// The server; it ends when this is dropped.
pub(crate) struct Prometheus {
    address: SocketAddr,
    targets: PathBuf,
    folder: TempDir,
}

fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(name));
    command
}

impl Prometheus {
    /// Starts one that scrapes nobody yet; nothing if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !installed("prometheus") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let output = script("start").args(["prometheus"]).arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let value = |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        Some(Self {
            address: value("CTL_TEST_PROMETHEUS_URL=http://").parse().unwrap(),
            targets: value("CTL_TEST_PROMETHEUS_TARGETS=").into(),
            folder,
        })
    }

    /// Scrapes these, from the next second on.
    pub(crate) fn scrape(&self, watchers: &[SocketAddr]) {
        let watchers: Vec<String> = watchers.iter().map(ToString::to_string).collect();
        // Whole or not at all: it may be read at any moment.
        let draft = self.targets.with_extension("draft");
        std::fs::write(&draft, json!([{"targets": watchers}]).to_string()).unwrap();
        std::fs::rename(draft, &self.targets).unwrap();
    }

    /// What one page of its API says.
    pub(crate) fn page(&self, path: &str) -> Option<Value> {
        let (status, text) = http::get(self.address, path)?;
        (status == 200).then(|| serde_json::from_str::<Value>(&text).unwrap()["data"].clone())
    }

    /// The values of an expression now, one for each series.
    pub(crate) fn query(&self, expression: &str) -> Vec<f64> {
        let encoded = percent_encoding::utf8_percent_encode(expression, percent_encoding::NON_ALPHANUMERIC);
        let found = self.page(&format!("/api/v1/query?query={encoded}")).unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str().and_then(|text| text.parse().ok());
        found["result"].as_array().into_iter().flatten().filter_map(value).collect()
    }

    /// Waits until an expression has exactly these values.
    #[track_caller]
    pub(crate) fn says(&self, expression: &str, values: &[f64]) {
        within(SOON, &format!("{expression} is {values:?}"), || (self.query(expression) == values).then_some(()));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = script("stop").arg(self.folder.path()).stdout(Stdio::null()).status();
    }
}

/// Fails unless `promtool` has no word to say about a page of metrics.
#[track_caller]
pub(crate) fn lint(page: &str) {
    if !installed("promtool") {
        return;
    }
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}

/// Serves one page to everybody who asks for anything, until the test ends.
fn serve(page: String) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let content = ctl::metrics::CONTENT_TYPE;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content}\r\nContent-Length: {}\r\n", page.len());
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{page}").as_bytes());
        }
    });
    address
}

#[test]
fn a_real_prometheus_reads_the_page_and_the_rules() {
    let places = [("dns", "main"), ("mq", "eu")].map(|(target, at)| (target.parse().unwrap(), at.parse().unwrap()));
    let metrics = Metrics::new(&places, false, "0.1.0");
    metrics.snapshot_age(Duration::from_secs(400));
    let page = metrics.text();
    lint(&page);
    let Some(prometheus) = Prometheus::start() else { return };
    prometheus.scrape(&[serve(page)]);
    prometheus.says("up", &[1.0]);
    prometheus.says("ctl_build_info{version=\"0.1.0\"}", &[1.0]);
    prometheus.says("count(ctl_target_state)", &[14.0]);
    prometheus.says("control_plane_is_leader", &[1.0]);
    prometheus.says("control_plane_reconciliation_seconds_count", &[0.0]);
}

#[test]
fn the_rules_are_evaluated_without_an_error() {
    let Some(prometheus) = Prometheus::start() else { return };
    let metrics = Metrics::new(&[("dns".parse().unwrap(), "main".parse().unwrap())], false, "0.1.0");
    metrics.snapshot_age(Duration::from_secs(400));
    prometheus.scrape(&[serve(metrics.text())]);
    // An old source is pending for a minute before it is an alert; everything else waits as well.
    prometheus.says("count(ALERTS{alertname=\"CtlSourceStale\"})", &[1.0]);
    let rules = within(SOON, "every rule was evaluated", || {
        let groups = prometheus.page("/api/v1/rules")?["groups"].as_array()?.clone();
        let rules: Vec<Value> = groups.iter().flat_map(|group| group["rules"].as_array().cloned()).flatten().collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert!(rules.len() > 10);
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
