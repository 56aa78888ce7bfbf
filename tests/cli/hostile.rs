//! Servers that lie, break off or send too much.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::fake::{Answer, Fake, plain, raw};
use crate::sandbox::Sandbox;
use crate::told::told;

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

/// Plans and applies against a lying list: nothing may be written, and the reason must be said, to the letter as `case`
/// says.
#[track_caller]
fn concludes_nothing(case: &str, answer: impl Fn() -> Answer + Send + Sync + 'static, code: i32, why: &str) {
    let (fake, sandbox) = lying_list(answer);
    let before = (fake.writes(), fake.names());
    // What was not heard to its end is asked for again, with pauses: the two wait side by side.
    let (planned, applied) = std::thread::scope(|both| {
        let planned = both.spawn(|| sandbox.watched(&["plan", "-o", "json"]).stays_small());
        let applied = sandbox.watched(&["apply", "--yes"]).stays_small();
        (planned.join().unwrap(), applied)
    });
    let text = format!("{}{}", planned.stdout, planned.stderr);
    assert_eq!(planned.code, Some(code), "{text}");
    assert!(text.contains(why), "no {why:?} in:\n{text}");
    let summary = &planned.json()["summary"];
    for action in ["delete", "create", "update"] {
        assert_eq!(summary[action], 0, "{summary}");
    }
    assert_eq!(applied.code, Some(code), "{}{}", applied.stdout, applied.stderr);
    assert!(applied.stdout.contains(why), "no {why:?} in:\n{}", applied.stdout);
    told(&sandbox, case, &["apply", "--yes"], &applied);
    assert_eq!((fake.writes(), fake.names()), before, "something was written");
}

/// One apply against a lying list that is large: refused while it is small, with the limit's name, and nothing written.
#[track_caller]
fn is_too_much(answer: impl Fn() -> Answer + Send + Sync + 'static, limit: &str) {
    let (fake, sandbox) = lying_list(answer);
    let before = (fake.writes(), fake.names());
    let applied = sandbox.watched(&["apply", "--yes"]).stays_small().exits(3);
    assert!(applied.stdout.contains(limit), "no {limit:?} in:\n{}", applied.stdout);
    assert_eq!((fake.writes(), fake.names()), before, "something was written");
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
    told(&sandbox, "RSP-01", &["plan"], &sandbox.run(["plan"]));
    sandbox.run(["apply", "--yes"]);
    assert!(fake.asked().iter().all(|asked| asked.method != "DELETE"), "{:?}", fake.asked());
    assert!(fake.names().contains(&"a".to_owned()));
}

#[test]
fn rsp_02_a_login_page_with_200_is_no_list() {
    let page = "<!doctype html><html><body><form action=/login></form></body></html>";
    concludes_nothing("RSP-02", move || plain(200, "", page), 3, "found a page of HTML or XML");
}

#[test]
fn rsp_03_an_error_with_200_is_no_list() {
    concludes_nothing(
        "RSP-03",
        || plain(200, "", r#"{"error":"database is down"}"#),
        3,
        "there is no list at `/items`",
    );
}

#[test]
fn rsp_04_no_content_is_no_list() {
    concludes_nothing(
        "RSP-04",
        || raw(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec()),
        3,
        "answered 204 to a list",
    );
}

#[test]
fn rsp_05_a_list_that_is_missing_or_null_is_no_list() {
    concludes_nothing("RSP-05", || plain(200, "", "{}"), 3, "there is no list at `/items`");
    concludes_nothing("RSP-05-null", || plain(200, "", r#"{"items":null}"#), 3, "expected a list at `/items`");
    concludes_nothing("RSP-05-object", || plain(200, "", r#"{"items":{}}"#), 3, "expected a list at `/items`");
    concludes_nothing("RSP-05-bare", || plain(200, "", "[]"), 3, "there is no list at `/items`");
}

#[test]
fn rsp_06_a_list_that_was_cut_short_is_no_list() {
    concludes_nothing(
        "RSP-06",
        || plain(200, "", r#"{"items":[{"name":"b","size":2}"#),
        3,
        "the JSON ends early, after 31 bytes",
    );
}

#[test]
fn rsp_07_a_chunked_answer_that_ends_early_is_no_answer() {
    let answer = || {
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nc\r\n{\"items\":[]}\r\n"
            .to_vec())
    };
    concludes_nothing("RSP-07", answer, 8, "the answer broke off");
}

#[test]
fn rsp_08_a_length_that_is_wrong_is_no_answer() {
    let long = || raw(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\nConnection: close\r\n\r\n{\"items\":[]}".to_vec());
    let short = || raw(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"items\":[]}".to_vec());
    let two = || {
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{\"items\":[]}"
            .to_vec())
    };
    // What is not heard to its end is asked for again, after a pause each time: the three wait side by side.
    std::thread::scope(|all| {
        all.spawn(|| concludes_nothing("RSP-08", long, 8, "the answer broke off"));
        all.spawn(|| concludes_nothing("RSP-08-short", short, 3, "the JSON ends early, after 11 bytes"));
        all.spawn(|| concludes_nothing("RSP-08-two", two, 8, ""));
    });
}

#[test]
fn rsp_14_a_410_where_no_page_was_read_is_an_error() {
    concludes_nothing("RSP-14", || plain(410, "", "{}"), 3, "answered 410");
}

/// The same for an API that pages with a token: `page` answers for each token (none for the first page).
#[track_caller]
fn pages_conclude_nothing(
    case: &str,
    page: impl Fn(Option<&str>) -> Answer + Send + Sync + Clone + 'static,
    code: i32,
    why: &str,
) -> usize {
    let fake = Fake::scripted(move |asked| {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let token = query.split('&').find_map(|pair| pair.strip_prefix("continue="));
        (asked.method == "GET" && path == "/v1/things").then(|| page(token))
    });
    let sandbox = project(&fake.url(), "");
    sandbox.write("apis/fake.yaml", &API.replace("base: /v1\n", "base: /v1\npage: {token: /next, as: continue}\n"));
    sandbox.commit("pages");
    let ran = sandbox.watched(&["apply", "--yes"]).stays_small().exits(code);
    assert!(ran.stdout.contains(why), "no {why:?} in:\n{}", ran.stdout);
    told(&sandbox, case, &["apply", "--yes"], &ran);
    assert_eq!(fake.writes(), 0, "something was written");
    fake.asked().len()
}

#[test]
fn rsp_09_a_second_page_that_fails_makes_the_whole_list_unknown() {
    let page = |token: Option<&str>| match token {
        None => plain(200, "", r#"{"items":[{"name":"a","size":1}],"next":"p2"}"#),
        Some(_) => plain(500, "", r#"{"error":"disk"}"#),
    };
    // Nothing at all could be observed.
    pages_conclude_nothing("RSP-09", page, 8, "answered 500");
}

#[test]
fn rsp_10_a_token_that_comes_again_is_a_circle() {
    let page = |_: Option<&str>| plain(200, "", r#"{"items":[],"next":"p2"}"#);
    let asked = pages_conclude_nothing("RSP-10", page, 3, "the pages turn in a circle");
    assert!(asked <= 6, "{asked} requests");
}

#[test]
fn rsp_12_a_page_that_repeats_an_object_makes_the_list_unknown() {
    let page = |token: Option<&str>| match token {
        None => plain(200, "", r#"{"items":[{"name":"a","size":1}],"next":"p2"}"#),
        Some(_) => plain(200, "", r#"{"items":[{"name":"a","size":1}]}"#),
    };
    pages_conclude_nothing("RSP-12", page, 3, "two objects with the same key");
}

#[test]
fn rsp_13_a_total_that_does_not_agree_makes_the_list_unknown() {
    let answer = || plain(200, "", r#"{"items":[{"name":"b","size":2}],"total":100}"#);
    let fake = Fake::scripted(move |asked| (asked.method == "GET").then(answer));
    let sandbox = project(&fake.url(), "");
    let api = API.replace("base: /v1\n", "base: /v1\npage: {token: /next, as: continue, total: /total}\n");
    sandbox.write("apis/fake.yaml", &api);
    sandbox.commit("a total");
    let ran = sandbox.run(["plan", "-o", "json"]).exits(3);
    assert!(ran.stdout.contains("100"), "{}", ran.stdout);
    sandbox.run(["apply", "--yes"]).exits(3);
    assert_eq!(fake.writes(), 0);
}

/// Ten things in pages of five; in the first reading one goes before the second page is asked for, so that another one
/// slips over to the page that was read already. `always` does so in each reading.
fn slipping(always: bool) -> (Fake, Sandbox) {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let fake = Fake::scripted(move |asked| {
        let second = asked.path.contains("continue=");
        if asked.method != "GET" || !asked.path.starts_with("/v1/things") {
            return None;
        }
        let look = if second {
            looks.load(std::sync::atomic::Ordering::SeqCst)
        } else {
            looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1
        };
        let gone = usize::from(second && (always || look == 1)) + if always { 0 } else { usize::from(look > 1) };
        let names: Vec<String> = ('0'..='9').map(|c| format!(r#"{{"name":"t{c}","size":1}}"#)).skip(gone).collect();
        let page: Vec<String> = names.iter().skip(if second { 5 } else { 0 }).take(5).cloned().collect();
        let next = if second { "null".to_owned() } else { r#""p2""#.to_owned() };
        Some(plain(200, "", &format!(r#"{{"items":[{}],"next":{next},"total":{}}}"#, page.join(","), names.len())))
    });
    let sandbox = project(&fake.url(), "");
    let api = API.replace("base: /v1\n", "base: /v1\npage: {token: /next, as: continue, total: /total}\n");
    sandbox.write("apis/fake.yaml", &api);
    sandbox.remove("manifests/a.yaml").remove("manifests/b.yaml");
    sandbox.write("manifests/t.yaml", &thing("t5", "size: 1"));
    sandbox.commit("one of ten");
    (fake, sandbox)
}

#[test]
fn what_slips_from_one_page_to_another_is_not_taken_for_absent() {
    let (_fake, sandbox) = slipping(false);
    let planned = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    assert_eq!((&planned["summary"]["create"], &planned["summary"]["adopt"]), (&0.into(), &1.into()), "{planned}");
    let (_fake, sandbox) = slipping(true);
    let planned = sandbox.run(["plan", "-o", "json"]).exits(3);
    assert!(planned.stdout.contains("the list changed while it was read, twice"), "{}", planned.stdout);
}

#[test]
fn rsp_14_pages_that_go_stale_twice_are_unknown() {
    let page = |token: Option<&str>| match token {
        None => plain(200, "", r#"{"items":[],"next":"p2"}"#),
        Some(_) => plain(410, "", "{}"),
    };
    pages_conclude_nothing("RSP-14-pages", page, 3, "stale twice");
}

#[test]
fn rsp_15_items_that_are_no_such_object_make_the_list_unknown() {
    for (case, item) in [
        ("RSP-15-null", "null"),
        ("RSP-15-number", "7"),
        ("RSP-15-text", r#""b""#),
        ("RSP-15-list", "[]"),
        ("RSP-15-empty", "{}"),
        ("RSP-15-nameless", r#"{"size":1}"#),
    ] {
        let body = format!(r#"{{"items":[{item}]}}"#);
        let fake = Fake::scripted(move |asked| (asked.method == "GET").then(|| plain(200, "", &body)));
        let sandbox = project(&fake.url(), "");
        let ran = sandbox.run(["plan", "-o", "json"]);
        assert_eq!(ran.code, Some(3), "{item}: {}", ran.stdout);
        assert_eq!(ran.json()["summary"]["unknown"], 2, "{item}: {}", ran.stdout);
        let ran = sandbox.run(["apply", "--yes"]).exits(3);
        told(&sandbox, case, &["apply", "--yes"], &ran);
        assert_eq!(fake.writes(), 0, "{item}");
    }
}

#[test]
fn rsp_15_a_child_of_another_parent_makes_the_list_unknown() {
    let fake = Fake::scripted(|asked| {
        let body = match asked.path.as_str() {
            "/v1/rooms" => r#"[{"name":"mine"}]"#,
            _ => r#"[{"name":"x","room":"theirs"}]"#,
        };
        (asked.method == "GET").then(|| plain(200, "", body))
    });
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake\nbase: /v1\ntypes:\n  room: {path: \"/rooms/{name}\"}\n  chair: {in: room, path: \"/rooms/{room}/chairs/{name}\"}\n",
    );
    project_at(&sandbox, &fake.url(), "    own: exclusive\n");
    let docs = "apiVersion: fake\nkind: room\nspec: {name: mine}\n---\napiVersion: fake\nkind: chair\nspec: {room: mine, name: y}\n";
    sandbox.write("manifests/a.yaml", docs);
    sandbox.commit("rooms");
    let ran = sandbox.run(["plan", "-o", "json"]).exits(3);
    assert_eq!(ran.json()["summary"]["delete"], 0);
    assert_eq!(ran.json()["summary"]["create"], 0);
    let ran = sandbox.run(["apply", "--yes"]).exits(3);
    told(&sandbox, "RSP-15", &["apply", "--yes"], &ran);
    assert_eq!(fake.writes(), 0);
}

/// An API with `If-Match`, whose object `a` differs and carries this ETag line.
fn conditional(etag: &'static str) -> (Fake, Sandbox) {
    let fake = Fake::scripted(move |asked| {
        let one = asked.method == "GET" && asked.path == "/v1/things/a";
        let all = asked.method == "GET" && asked.path == "/v1/things";
        if all {
            return Some(plain(200, "", r#"{"items":[{"name":"a","size":9},{"name":"b","size":2}]}"#));
        }
        one.then(|| plain(200, etag, r#"{"name":"a","size":9}"#))
    });
    let sandbox = project(&fake.url(), "");
    sandbox.write("apis/fake.yaml", &API.replace("base: /v1\n", "base: /v1\netag: if-match\n"));
    sandbox.commit("etags");
    (fake, sandbox)
}

#[test]
fn rsp_17_without_a_strong_etag_nothing_is_written() {
    for (case, etag) in [("RSP-17", ""), ("RSP-17-weak", "ETag: W/\"1\"\r\n")] {
        let (fake, sandbox) = conditional(etag);
        let ran = sandbox.run(["apply", "--yes"]);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(matches!(ran.code, Some(1 | 3)), "{text}");
        assert!(text.contains("carries no strong ETag"), "{text}");
        told(&sandbox, case, &["apply", "--yes"], &ran);
        assert_eq!(fake.writes(), 0, "{etag}");
    }
}

#[test]
fn rsp_17_an_etag_that_is_another_one_at_each_read_is_a_conflict_and_never_forced() {
    let reads = std::sync::atomic::AtomicUsize::new(0);
    let fake = Fake::scripted(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/v1/things") => Some(plain(200, "", r#"{"items":[{"name":"a","size":9},{"name":"b","size":2}]}"#)),
        ("GET", _) => {
            let read = reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Some(plain(200, &format!("ETag: \"{read}\"\r\n"), r#"{"name":"a","size":9}"#))
        }
        _ => Some(plain(412, "", r#"{"message":"it changed"}"#)),
    });
    let sandbox = project(&fake.url(), "");
    sandbox.write("apis/fake.yaml", &API.replace("base: /v1\n", "base: /v1\netag: if-match\n"));
    sandbox.commit("etags");
    let ran = sandbox.run(["apply", "--yes"]).exits(3);
    told(&sandbox, "RSP-17-restless", &["apply", "--yes"], &ran);
    let asked = fake.asked();
    let writes: Vec<_> = asked.iter().filter(|asked| asked.method != "GET").collect();
    assert!((1..=6).contains(&writes.len()), "{writes:?}");
    assert!(writes.iter().all(|asked| asked.head.to_lowercase().contains("\r\nif-match: \"")), "{writes:?}");
}

#[test]
fn rsp_17_an_etag_that_is_always_the_same_does_not_hide_a_change() {
    // The list shows one size, and the read before the write another one, under the tag that never changes.
    let fake = Fake::scripted(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/v1/things") => Some(plain(200, "", r#"{"items":[{"name":"a","size":9},{"name":"b","size":2}]}"#)),
        ("GET", "/v1/things/a") => Some(plain(200, "ETag: \"1\"\r\n", r#"{"name":"a","size":8,"kept":true}"#)),
        _ => None,
    });
    let sandbox = project(&fake.url(), "");
    sandbox.write("apis/fake.yaml", &API.replace("base: /v1\n", "base: /v1\netag: if-match\n"));
    sandbox.commit("etags");
    let ran = sandbox.run(["apply", "--yes"]).exits(5).says("somebody changed it since the plan was made");
    told(&sandbox, "RSP-17-constant", &["apply", "--yes"], &ran);
    assert_eq!(fake.writes(), 0);
}

#[test]
fn rsp_19_an_encoding_that_nobody_asked_for_is_no_list() {
    for encoding in ["br", "zstd", "deflate"] {
        let case = format!("RSP-19-{encoding}");
        let answer =
            move || plain(200, &format!("Content-Encoding: {encoding}\r\n"), "\u{1}\u{2}\u{3} not what it says");
        concludes_nothing(&case, answer, 3, "not JSON");
    }
}

#[test]
fn rsp_22_json_nested_a_hundred_thousand_deep_is_no_list() {
    let deep = format!(r#"{{"items":[{{"name":"b","size":{}{}}}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    concludes_nothing("RSP-22", move || plain(200, "", &deep), 3, "nested more than 64 deep");
}

#[test]
fn rsp_23_numbers_beyond_2_to_the_53_are_compared_exactly() {
    let fake = Fake::honest();
    fake.put("a", serde_json::json!({"name": "a", "size": 9_007_199_254_740_993_u64}));
    let sandbox = project(&fake.url(), "");
    sandbox.remove("manifests/b.yaml").write("manifests/a.yaml", &thing("a", "size: 9007199254740993"));
    sandbox.commit("equal");
    let same = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    assert_eq!((&same["summary"]["update"], &same["summary"]["adopt"]), (&0.into(), &1.into()), "{same}");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 9007199254740992"));
    sandbox.commit("one less");
    let other = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    assert_eq!(other["summary"]["update"], 1, "{other}");
    told(&sandbox, "RSP-23", &["plan"], &sandbox.run(["plan"]));
    sandbox.run(["apply", "--yes"]).exits(0);
    assert!(fake.heard(r#""size":9007199254740992"#));
}

#[test]
fn an_object_that_is_no_value_is_unknown_and_the_others_go_on() {
    // JSON to the eye: a number that nobody can hold, half of a sign, a member that stands twice.
    for broken in [r#""size":1e99999999999"#, r#""x":"\ud800""#, r#""size":1,"size":2"#, r#""x":{"y":1,"y":1}"#] {
        let list = format!(r#"{{"items":[{{"name":"a",{broken}}},{{"name":"b",{broken},"z":{{}}}}]}}"#);
        let (fake, sandbox) = lying_list(move || plain(200, "", &list));
        // What is compared with the broken object must differ, or its bytes need not be understood.
        sandbox.write("manifests/b.yaml", &thing("b", "size: 7"));
        sandbox.commit("b differs");
        let planned = sandbox.run(["plan", "-o", "json"]).exits(3).json();
        assert_eq!(planned["summary"]["delete"], 0, "{broken}: {planned}");
        assert_eq!(planned["summary"]["update"], 0, "{broken}: {planned}");
        assert_eq!(planned["summary"]["unknown"], 2, "{broken}: {planned}");
        assert!(planned.to_string().contains("what the server shows of it is no value"), "{broken}: {planned}");
        sandbox.run(["apply", "--yes"]).exits(3);
        assert!(fake.names().contains(&"a".to_owned()), "{broken}");
        assert!(fake.names().contains(&"c".to_owned()), "{broken}: what has nothing to do with it goes on");
    }
}

#[test]
fn a_delete_that_was_only_accepted_leaves_the_object_ours_until_it_is_gone() {
    let fake = Fake::scripted(|asked| (asked.method == "DELETE").then(|| plain(202, "", "{}")));
    let sandbox = project(&fake.url(), "");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/a.yaml").commit("a goes");
    sandbox.run(["apply", "--yes"]).exits(1).says("accepted the delete and still shows the resource");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(2).says("- delete  thing/a");
}

#[test]
fn rsp_25_a_wait_that_is_absurd_neither_holds_the_run_for_hours_nor_makes_it_ask_without_a_pause() {
    let cases = [
        ("RSP-25", "1000000000000", 20),
        ("RSP-25-negative", "-5", 90),
        ("RSP-25-past", "Sun, 22 Nov 2020 10:00:30 GMT", 90),
        ("RSP-25-word", "soon", 90),
        ("RSP-25-zero", "0", 90),
    ];
    let runs = cases.map(|(case, value, most)| {
        std::thread::spawn(move || {
            let fake = Fake::scripted(move |_| Some(plain(429, &format!("Retry-After: {value}\r\n"), "{}")));
            let sandbox = project(&fake.url(), "");
            let started = Instant::now();
            let ran = sandbox.run(["plan"]);
            assert!(matches!(ran.code, Some(3 | 8)), "{value}: {:?} {}{}", ran.code, ran.stdout, ran.stderr);
            assert!(started.elapsed() < Duration::from_secs(most), "{value}: {:?}", started.elapsed());
            assert!(fake.asked().len() < 30, "{value}: {} requests", fake.asked().len());
            told(&sandbox, case, &["plan"], &ran);
            assert_eq!(fake.writes(), 0);
        })
    });
    runs.into_iter().for_each(|run| run.join().unwrap());
}

#[test]
fn rsp_15_an_object_whose_key_is_null_makes_the_list_unknown_and_is_told_which_it_is() {
    let body = r#"{"items":[{"name":"b","size":2},{"name":null,"size":1}]}"#;
    let why = "object 2 of this list: its key field `name` is missing or null";
    concludes_nothing("RSP-15-null-key", || plain(200, "", body), 3, why);
}

#[test]
fn rsp_16_two_objects_of_one_key_are_no_list() {
    let answer = || plain(200, "", r#"{"items":[{"name":"b","size":2},{"name":"b","size":3}]}"#);
    concludes_nothing("RSP-16", answer, 3, "two objects with the same key thing/b");
}

#[test]
fn rsp_18_a_gzip_bomb_is_stopped_while_it_is_small() {
    // Larger than a run may be, and some 300 KiB on the wire.
    let bomb = gzipped(300 << 20);
    assert!(bomb.len() < 1 << 20);
    let answer = move || {
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            bomb.len()
        )
        .into_bytes();
        bytes.extend_from_slice(&bomb);
        raw(bytes)
    };
    concludes_nothing("RSP-18", answer, 3, "the answer is larger than 67108864 bytes (`limits.page`");
}

#[test]
fn rsp_21_a_hundred_thousand_headers_are_refused() {
    let many = || {
        let mut text = String::from("HTTP/1.1 200 OK\r\n");
        for i in 0..100_000 {
            text.push_str(&format!("X-{i}: y\r\n"));
        }
        raw((text + "Content-Length: 12\r\n\r\n{\"items\":[]}").into_bytes())
    };
    let long = || {
        let text =
            format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 12\r\n\r\n{{\"items\":[]}}", "y".repeat(1 << 20));
        raw(text.into_bytes())
    };
    // Few and large enough for the client that reads them, and still too many bytes.
    let large = || {
        let line = |i: usize| format!("X-{i}: {}\r\n", "y".repeat(2500));
        let lines: String = (0..80).map(line).collect();
        plain(200, &lines, "{\"items\":[]}")
    };
    let said = "the headers of the answer are larger than 65536 bytes (`limits.header`";
    std::thread::scope(|all| {
        all.spawn(|| concludes_nothing("RSP-21", many, 8, ""));
        all.spawn(|| concludes_nothing("RSP-21-long", long, 8, ""));
        all.spawn(|| concludes_nothing("RSP-21-large", large, 3, said));
    });
}

#[test]
fn an_object_or_a_page_that_is_too_large_names_the_limit() {
    let large = format!(r#"{{"items":[{{"name":"b","size":"{}"}}]}}"#, "x".repeat(1 << 20));
    is_too_much(move || plain(200, "", &large), "at most 1048576 are taken (`limits.object`");
    let blank = format!(r#"{{"items":[{}]}}"#, " ".repeat(65 << 20));
    is_too_much(move || plain(200, "", &blank), "larger than 67108864 bytes (`limits.page`");
}

#[test]
fn a_list_of_very_many_small_objects_is_refused_while_it_is_small() {
    let tiny: String = (0..3_000_000).map(|n| format!(r#"{{"name":"{n:x}"}},"#)).collect();
    let body = format!(r#"{{"items":[{}]}}"#, tiny.trim_end_matches(','));
    is_too_much(move || plain(200, "", &body), "a list of more than 400000 objects (`limits.objects`");
    let empty = format!(r#"{{"items":[{}{{}}]}}"#, "{},".repeat(20 << 20));
    is_too_much(move || plain(200, "", &empty), "a list of more than 400000 objects (`limits.objects`");
}

#[test]
fn many_large_pages_are_refused_together() {
    let large = "x".repeat(1_000_000);
    let page = move |token: Option<&str>| {
        let n: usize = token.and_then(|token| token.parse().ok()).unwrap_or(0);
        let items = (0..40).map(|k| format!(r#"{{"name":"{n}-{k}","size":"{large}"}}"#));
        let items: Vec<String> = items.collect();
        plain(200, "", &format!(r#"{{"items":[{}],"next":"{}"}}"#, items.join(","), n + 1))
    };
    pages_conclude_nothing("RSP-11-large", page, 3, "the list has more than 134217728 bytes (`limits.list`");
}

#[test]
fn the_operator_raises_what_a_server_may_answer() {
    let large = format!(r#"{{"items":[{{"name":"b","size":"{}"}}]}}"#, "x".repeat(1 << 20));
    let fake = Fake::scripted(move |asked| {
        let headers = format!("X-Long: {}\r\n", "y".repeat(70 << 10));
        (asked.method == "GET" && asked.path == "/v1/things").then(|| plain(200, &headers, &large))
    });
    let sandbox = project(&fake.url(), "").env("CTL_CREDENTIALS_YAML", "limits: {object: 2MiB}\n");
    let planned = sandbox.run(["plan", "-o", "json"]).exits(3);
    assert!(planned.stdout.contains("limits.header"), "{}", planned.stdout);
    let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", "limits: {object: 2MiB, header: 100KiB}\n");
    let planned = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    assert_eq!(planned["summary"]["create"], 1, "{planned}");
    let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", "limits: {objekts: 2MiB}\n");
    let refusal = sandbox.run(["plan"]).exits(7);
    assert!(refusal.stderr.contains("unknown field `objekts`"), "{}", refusal.stderr);
}

/// A server that says beforehand what it would take.
fn rehearsing(answer: (u16, &'static str)) -> (Fake, Sandbox) {
    let fake = Fake::scripted(move |asked| {
        let wanted = String::from_utf8_lossy(&asked.body).into_owned();
        let bad = wanted.contains("999");
        asked
            .path
            .starts_with("/v1/check")
            .then(|| if bad { plain(answer.0, "", answer.1) } else { plain(200, "", "{}") })
    });
    let sandbox = project(&fake.url(), "");
    let api =
        API.replace("    write: {put: all}\n", "    write: {put: all}\n    validate: {post: \"/check/{name}\"}\n");
    sandbox.write("apis/fake.yaml", &api).commit("it can be asked");
    (fake, sandbox)
}

#[test]
fn one_rejected_rehearsal_keeps_the_whole_target_as_it_is() {
    for (answer, why) in [
        ((422, "{\"message\": \"too large\"}"), "the target would not take it"),
        ((503, "{}"), "the target does not say whether it would take it"),
    ] {
        let (fake, sandbox) = rehearsing(answer);
        // A plan sends nothing but reads.
        sandbox.run(["plan"]).exits(0).says("Not rehearsed");
        assert_eq!(fake.writes(), 0);
        sandbox.run(["apply", "--yes"]).exits(0).says("2 created");
        let asked = fake.asked();
        let first = |what: &str| asked.iter().position(|a| a.method != "GET" && a.path.starts_with(what)).unwrap();
        let checks = asked.iter().filter(|a| a.path.starts_with("/v1/check")).count();
        assert!(checks == 2 && first("/v1/check") < first("/v1/things"), "{asked:?}");
        // One goes, one would be rejected: neither happens.
        sandbox.remove("manifests/a.yaml").write("manifests/b.yaml", &thing("b", "size: 999")).commit("too large");
        let before = fake.asked().iter().filter(|a| a.method != "GET" && a.path.starts_with("/v1/things")).count();
        sandbox.run(["apply", "--yes"]).exits(7).says(why);
        let after = fake.asked().iter().filter(|a| a.method != "GET" && a.path.starts_with("/v1/things")).count();
        assert_eq!((before, fake.names()), (after, vec!["a".to_owned(), "b".to_owned()]));
        assert!(!sandbox.run(["record", "show"]).stdout.contains("open intent"));
    }
}
