//! Servers that lie, break off, send too much, or try to reach the reader's terminal.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::fake::{Answer, Asked, Fake, plain, raw};
use crate::sandbox::{Ran, Sandbox};

/// A description of what the fake server keeps.
pub(crate) const API: &str = "\
api: fake
base: /v1
types:
  thing:
    path: /things/{name}
    list: {get: /things, items: /items}
    write: {put: all}
    fields:
      password: {secret: true}
";

/// A project with two things at `url`, committed. `more` is added to the target.
pub(crate) fn project(url: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("apis/fake.yaml", API);
    project_at(&sandbox, url, more);
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1"));
    sandbox.write("manifests/b.yaml", &thing("b", "size: 2"));
    sandbox.commit("two things");
    sandbox
}

pub(crate) fn project_at(sandbox: &Sandbox, url: &str, more: &str) {
    sandbox.write(
        "ctl.yaml",
        &format!(
            "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\ntargets:\n  shop:\n    api: fake\n    url: {url}\n{more}"
        ),
    );
}

pub(crate) fn thing(name: &str, spec: &str) -> String {
    format!("apiVersion: fake\nkind: thing\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

/// A server that answers every list with what `answer` makes, after an honest first apply of the two things: so that a
/// wrong conclusion would be a delete or a create.
fn lying_list(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (Fake, Sandbox) {
    let lie = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let lies = std::sync::Arc::clone(&lie);
    let fake = Fake::scripted(move |asked| {
        let list = asked.method == "GET" && asked.path.starts_with("/v1/things") && !asked.path.contains("things/");
        (list && lies.load(std::sync::atomic::Ordering::SeqCst)).then(&answer)
    });
    let sandbox = project(&fake.url(), "");
    sandbox.run(["apply", "--yes"]).exits(0);
    lie.store(true, std::sync::atomic::Ordering::SeqCst);
    // One is no longer wanted and one is new: a believed lie would show as a delete and a create.
    sandbox.remove("manifests/a.yaml").write("manifests/c.yaml", &thing("c", "size: 3"));
    sandbox.commit("c for a");
    (fake, sandbox)
}

/// Applies against a lying list: nothing may be written, and the reason must be said.
#[track_caller]
fn concludes_nothing(answer: impl Fn() -> Answer + Send + Sync + 'static, code: i32, why: &str) -> Ran {
    let (fake, sandbox) = lying_list(answer);
    let before = (fake.writes(), fake.names());
    let planned = sandbox.watched(&["plan", "-o", "json"]).stays_small();
    let text = format!("{}{}", planned.stdout, planned.stderr);
    assert_eq!(planned.code, Some(code), "{text}");
    assert!(text.contains(why), "no {why:?} in:\n{text}");
    let summary = &planned.json()["summary"];
    for action in ["delete", "create", "update"] {
        assert_eq!(summary[action], 0, "{summary}");
    }
    let applied = sandbox.watched(&["apply", "--yes"]).stays_small();
    assert_eq!(applied.code, Some(code), "{}{}", applied.stdout, applied.stderr);
    assert_eq!((fake.writes(), fake.names()), before, "something was written");
    applied
}

fn gzipped(zeros: usize) -> Vec<u8> {
    use std::process::{Command, Stdio};
    let mut child =
        Command::new("gzip").args(["-9", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let _ = input.write_all(br#"{"items":[""#);
        let chunk = vec![b' '; 1 << 20];
        for _ in 0..zeros >> 20 {
            let _ = input.write_all(&chunk);
        }
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[test]
fn rsp_01_an_empty_list_is_drift_and_no_reason_to_delete() {
    let (fake, sandbox) = lying_list(|| plain(200, "", r#"{"items":[]}"#));
    let planned = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    // `a` was to go and is gone already; `b` is missing; `c` is new.
    assert_eq!(planned["summary"]["delete"], 0, "{planned}");
    assert_eq!(planned["summary"]["create"], 2, "{planned}");
    assert!(fake.names().contains(&"a".to_owned()));
}

#[test]
fn rsp_02_a_login_page_with_200_is_no_list() {
    let page = "<!doctype html><html><body><form action=/login></form></body></html>";
    concludes_nothing(move || plain(200, "", page), 3, "not JSON");
}

#[test]
fn rsp_03_an_error_with_200_is_no_list() {
    concludes_nothing(|| plain(200, "", r#"{"error":"database is down"}"#), 3, "there is no list at `/items`");
}

#[test]
fn rsp_04_no_content_is_no_list() {
    concludes_nothing(
        || raw(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec()),
        3,
        "answered 204 to a list",
    );
}

#[test]
fn rsp_05_a_list_that_is_missing_or_null_is_no_list() {
    concludes_nothing(|| plain(200, "", "{}"), 3, "there is no list at `/items`");
    concludes_nothing(|| plain(200, "", r#"{"items":null}"#), 3, "expected a list at `/items`");
    concludes_nothing(|| plain(200, "", r#"{"items":{}}"#), 3, "expected a list at `/items`");
    concludes_nothing(|| plain(200, "", "[]"), 3, "there is no list at `/items`");
}

#[test]
fn rsp_06_a_list_that_was_cut_short_is_no_list() {
    concludes_nothing(|| plain(200, "", r#"{"items":[{"name":"b","size":2}"#), 3, "not JSON");
}

#[test]
fn rsp_07_a_chunked_answer_that_ends_early_is_no_answer() {
    let answer = || {
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nc\r\n{\"items\":[]}\r\n"
            .to_vec())
    };
    concludes_nothing(answer, 8, "the answer broke off");
}

#[test]
fn rsp_08_a_length_that_is_wrong_is_no_answer() {
    let long = || raw(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\nConnection: close\r\n\r\n{\"items\":[]}".to_vec());
    concludes_nothing(long, 8, "the answer broke off");
    let short = || raw(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"items\":[]}".to_vec());
    concludes_nothing(short, 3, "not JSON");
    let two = || {
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{\"items\":[]}"
            .to_vec())
    };
    concludes_nothing(two, 8, "");
}

#[test]
fn rsp_14_a_list_that_goes_stale_twice_is_unknown() {
    // Only a later page can go stale; a 410 at the first is a refusal.
    concludes_nothing(|| plain(410, "", "{}"), 3, "410");
}

#[test]
fn rsp_16_two_objects_of_one_key_are_no_list() {
    let answer = || plain(200, "", r#"{"items":[{"name":"b","size":2},{"name":"b","size":3}]}"#);
    concludes_nothing(answer, 3, "two objects with the same key thing/b");
}

#[test]
fn rsp_18_a_gzip_bomb_is_stopped_while_it_is_small() {
    let bomb = gzipped(2 << 30);
    assert!(bomb.len() < 4 << 20);
    let answer = move || {
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            bomb.len()
        )
        .into_bytes();
        bytes.extend_from_slice(&bomb);
        raw(bytes)
    };
    concludes_nothing(answer, 3, "the answer is larger than 67108864 bytes");
}

#[test]
fn rsp_21_a_hundred_thousand_headers_are_refused() {
    let answer = || {
        let mut text = String::from("HTTP/1.1 200 OK\r\n");
        for i in 0..100_000 {
            text.push_str(&format!("X-{i}: y\r\n"));
        }
        raw((text + "Content-Length: 12\r\n\r\n{\"items\":[]}").into_bytes())
    };
    concludes_nothing(answer, 8, "");
    let answer = || {
        let text =
            format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 12\r\n\r\n{{\"items\":[]}}", "y".repeat(1 << 20));
        raw(text.into_bytes())
    };
    concludes_nothing(answer, 8, "");
}
