//! Names that would be something else in a URL, a header, or at a server that writes them otherwise.

use crate::fake::Fake;
use crate::hostile::{API, project, thing};
use crate::input::refused;
use crate::sandbox::Ran;
use crate::told::told;

/// What one name becomes in the request that writes it; none if it is refused.
fn written_as(case: &str, name: &str) -> Result<String, Ran> {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.remove("manifests/b.yaml");
    sandbox.write("manifests/a.yaml", &thing(&serde_json::Value::from(name).to_string(), "size: 1"));
    sandbox.commit("a name");
    let planned = sandbox.watched(&["plan"]).stays_small();
    told(&sandbox, case, &["plan"], &planned);
    let ran = sandbox.watched(&["apply", "--yes"]).stays_small();
    assert_eq!(planned.code, ran.code, "{name:?}: plan and apply do not agree");
    let puts: Vec<String> = fake.asked().into_iter().filter(|a| a.method == "PUT").map(|a| a.path).collect();
    match (ran.code, puts.as_slice()) {
        (Some(0), [path]) => {
            assert_eq!(fake.names(), [name], "the server understood another name");
            // And it is found again.
            let again = sandbox.run(["plan", "-o", "json"]).exits(0).json();
            assert_eq!(again["operations"], serde_json::json!([]), "{name:?}: {again}");
            for asked in fake.asked() {
                assert!(asked.head.lines().next().unwrap().starts_with(&format!("{} /v1/things", asked.method)));
                assert!(!asked.head.to_lowercase().contains("\r\nevil:"), "{}", asked.head);
            }
            Ok(path.clone())
        }
        (Some(0), _) => panic!("{name:?}: {puts:?}"),
        _ => {
            assert_eq!(puts, [] as [String; 0], "{name:?}");
            assert!(fake.asked().is_empty(), "{name:?}: {:?}", fake.asked());
            Err(ran)
        }
    }
}

#[track_caller]
fn is_one_segment(case: &str, name: &str, segment: &str) {
    let path = written_as(case, name).unwrap_or_else(|ran| panic!("{name:?}: {}{}", ran.stdout, ran.stderr));
    assert_eq!(path, format!("/v1/things/{segment}"));
}

#[track_caller]
fn is_refused(case: &str, name: &str, code: i32, text: &str) {
    let ran = written_as(case, name).expect_err("refused");
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(all.contains(text), "no {text:?} in {all}");
}

#[test]
fn nam_01_two_dots_are_refused() {
    is_refused("NAM-01", "..", 6, "bad-key-value");
}

#[test]
fn nam_02_one_dot_is_refused() {
    is_refused("NAM-02", ".", 6, "bad-key-value");
}

#[test]
fn nam_03_an_empty_name_is_refused() {
    is_refused("NAM-03", "", 6, "empty");
}

#[test]
fn nam_04_a_slash_in_a_name_is_one_segment() {
    is_one_segment("NAM-04", "a/b", "a%2Fb");
    is_one_segment("NAM-04-alone", "/", "%2F");
    is_one_segment("NAM-04-upward", "../../admin", "..%2F..%2Fadmin");
}

#[test]
fn nam_05_what_is_encoded_already_is_encoded_again() {
    is_one_segment("NAM-05", "%2e%2e%2f", "%252e%252e%252f");
    is_one_segment("NAM-05-dots", "%2e%2e", "%252e%252e");
}

#[test]
fn nam_06_what_is_encoded_twice_is_encoded_again() {
    is_one_segment("NAM-06", "%252e", "%25252e");
}

#[test]
fn nam_07_a_question_mark_begins_no_query() {
    is_one_segment("NAM-07", "a?x=1", "a%3Fx%3D1");
}

#[test]
fn nam_08_a_hash_begins_no_fragment() {
    is_one_segment("NAM-08", "a#f", "a%23f");
}

#[test]
fn nam_09_a_semicolon_is_part_of_the_name() {
    is_one_segment("NAM-09", "a;b", "a%3Bb");
}

#[test]
fn nam_10_a_line_end_begins_no_header() {
    is_refused("NAM-10", "a\r\nEvil: y", 6, "bad-key-value");
}

#[test]
fn nam_11_signs_that_look_like_a_slash_or_a_dot_are_letters() {
    is_one_segment("NAM-11", "a\u{2215}b", "a%E2%88%95b");
    is_one_segment("NAM-11-dots", "\u{ff0e}\u{ff0e}", "%EF%BC%8E%EF%BC%8E");
}

#[test]
fn nam_12_a_name_of_ten_kibibytes_is_refused_in_few_words() {
    let ran = written_as("NAM-12", &"n".repeat(10 * 1024)).expect_err("refused");
    assert_eq!(ran.code, Some(6), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("shorten it"), "{}", ran.stderr);
    assert!(ran.stderr.len() < 2_000, "{} bytes", ran.stderr.len());
}

#[test]
fn nam_13_a_backslash_is_part_of_the_name() {
    is_one_segment("NAM-13", "a\\b", "a%5Cb");
    is_one_segment("NAM-13-dots", "..\\..", "..%5C..");
}

#[test]
fn nam_14_a_name_that_the_server_folds_onto_another_is_reported() {
    // The server keeps names in lower case: `A` is written over `a`, which is declared too.
    let kept =
        std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeMap::<String, serde_json::Value>::new()));
    let fake = Fake::scripted(move |asked| {
        let mut kept = kept.lock().unwrap();
        let name = asked.path.strip_prefix("/v1/things/").map(str::to_lowercase);
        let body = match (asked.method.as_str(), name) {
            ("PUT", Some(name)) => {
                let mut thing: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
                thing["name"] = name.as_str().into();
                kept.insert(name, thing.clone());
                thing.to_string()
            }
            (_, Some(name)) => match kept.get(&name) {
                Some(thing) => thing.to_string(),
                None => return Some(crate::fake::plain(404, "", "{}")),
            },
            _ => serde_json::json!({"items": kept.values().collect::<Vec<_>>()}).to_string(),
        };
        Some(crate::fake::plain(200, "", &body))
    });
    let sandbox = project(&fake.url(), "");
    sandbox.remove("manifests/b.yaml").write("manifests/c.yaml", &thing("A", "size: 2"));
    sandbox.commit("A and a");
    // Where nobody said so, it shows when the second one has been written.
    let ran = sandbox.run(["apply", "--yes"]);
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("in doubt"), "{}", ran.stdout);
}

#[test]
fn nam_14_names_that_a_described_form_makes_one_are_refused_before_anything_is_asked() {
    for (case, form, one, other) in [
        ("NAM-14", "lower", "a", "A"),
        ("NAM-14-caseless", "caseless", "Checkout", "checkOut"),
        ("NAM-14-fqdn", "fqdn", "a.example", "A.example."),
    ] {
        let fake = Fake::honest();
        let sandbox = project(&fake.url(), "");
        sandbox.write("apis/fake.yaml", &format!("{API}      name: {{form: {form}}}\n"));
        sandbox.remove("manifests/b.yaml");
        sandbox.write("manifests/a.yaml", &thing(one, "size: 1")).write("manifests/c.yaml", &thing(other, "size: 2"));
        sandbox.commit("one name, spelled twice");
        let ran = refused(&sandbox, &fake, 6, &["duplicate-resource", "manifests/a.yaml:2", "manifests/c.yaml:2"]);
        told(&sandbox, case, &["plan"], &ran);
    }
}
