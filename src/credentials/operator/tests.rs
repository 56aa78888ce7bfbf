//! What the operator's file gives, and to whom it does not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::read::is_open_to_others;
use super::*;
use crate::credentials::credential::ApiOrigin;
use crate::credentials::{Access, Auth, SecretSource as _, Writing};
use crate::model::{Diagnostic, EndpointName, Kind, SecretRef};

const FILE: &str = r#"
credentials:
  dns:
    hosts: ["http://127.0.0.1:8081"]
    header: {name: X-API-Key, value: {env: KEY}}
    grant: [{repository: "https://forge.example/shop*", project: shop, kinds: [rrset], match: {zone: "shop.example."}}]
  mq:
    hosts: ["https://mq.example"]
    basic: {user: guest, password: {command: [printf, "out-of-a-command"]}}
    api: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
secrets:
  orders-password: {text: swordfish, targets: ["mq-*"], kinds: [user]}
  gone: {file: /nowhere/at/all}
allow: ["http://10.0.0.1:*"]
record-key: {text: key-of-the-record}
ceiling: {deletes: 20%}
record: {push: ["https://forge.example/*"], file: [/var/lib/ctl]}
"#;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let path = ("PATH", "/usr/bin:/bin");
    pairs.iter().chain([&path]).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn operator() -> Operator {
    Operator::load(&env(&[("CTL_CREDENTIALS_YAML", FILE), ("KEY", "canary-0815")])).unwrap()
}

fn access(operator: &Operator, url: &str, credential: Option<&str>, shipped: bool) -> Result<Access, Diagnostic> {
    let digest = Digest::parse(&"b".repeat(64)).unwrap();
    let api = ApiOrigin { shipped, digest };
    operator.access(&"t".parse().unwrap(), &EndpointName::only(), url, credential, &api)
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Diagnostic>) -> &'static str {
    let code = result.unwrap_err().code;
    assert!(crate::credentials::REFUSALS.contains(&code) || crate::credentials::UNREADABLE.contains(&code));
    code
}

#[test]
fn a_credential_goes_only_to_its_own_origins() {
    let operator = operator();
    assert!(access(&operator, "http://127.0.0.1:8081/api/v1", Some("dns"), true).is_ok());
    for url in [
        "http://127.0.0.1:8082/",
        "https://127.0.0.1:8081/",
        "http://127.0.0.1:8081.evil.example/",
        "http://127.0.0.1:8081@evil.example/",
        "http://evil.example/#http://127.0.0.1:8081",
        "embedded",
    ] {
        assert_eq!(refusal(access(&operator, url, Some("dns"), true)), "origin-refused", "{url}");
    }
    assert_eq!(refusal(access(&operator, "http://127.0.0.1:8081", Some("other"), true)), "credential-unknown");
}

#[test]
fn without_credentials_only_allowed_origins_are_reached() {
    let operator = operator();
    assert!(access(&operator, "http://10.0.0.1:5/x", None, true).is_ok());
    assert_eq!(refusal(access(&operator, "http://127.0.0.1:1", None, true)), "origin-refused");
    let empty = Operator::empty();
    assert!(access(&empty, "embedded", None, false).is_ok());
    assert!(access(&empty, "http://127.0.0.1:1", None, false).is_ok());
    for url in ["http://169.254.169.254/latest", "http://10.0.0.1/", "file:///etc/passwd"] {
        assert_eq!(refusal(access(&empty, url, None, true)), "origin-refused", "{url}");
    }
}

#[test]
fn a_description_from_the_repository_must_be_pinned() {
    let operator = operator();
    assert_eq!(refusal(access(&operator, "https://mq.example/", Some("mq"), false)), "api-not-pinned");
    let api = ApiOrigin { shipped: false, digest: Digest::parse(&"a".repeat(64)).unwrap() };
    let url = "https://mq.example/";
    let found = operator.access(&"mq".parse().unwrap(), &EndpointName::only(), url, Some("mq"), &api).unwrap();
    let Auth::Basic { user, .. } = found.auth else { panic!("{:?}", found.auth) };
    assert_eq!(user, "guest");
    assert!(operator.trusts(Some("mq"), &api));
    assert!(!operator.trusts(None, &api));
    assert_eq!(operator.redactor().hide("x out-of-a-command"), "x <secret mq>");
}

#[test]
fn a_secret_reaches_only_the_targets_and_kinds_it_is_for() {
    let operator = operator();
    let ask = |name: &str, target: &str, kind: &str| {
        let reference = SecretRef { name: name.to_owned(), version: None };
        operator.resolve(&reference, &target.parse().unwrap(), &Kind::new(kind)).map_err(|d| *d)
    };
    assert!(ask("orders-password", "mq-eu", "user").is_ok());
    assert_eq!(refusal(ask("orders-password", "web", "user")), "secret-refused");
    assert_eq!(refusal(ask("orders-password", "mq-eu", "queue")), "secret-refused");
    assert_eq!(refusal(ask("nobody", "mq-eu", "user")), "secret-refused");
    let error = ask("gone", "mq", "user").unwrap_err();
    assert_eq!(error.code, "secret-unreadable");
    assert!(error.message.contains("gone") && error.message.contains("/nowhere/at/all"), "{}", error.message);
    assert!(error.help.unwrap().contains("whoever runs ctl may read it"));
}

#[test]
fn grants_fence_writes_by_key() {
    let operator = operator();
    let (shop, rrset, zone) = ("shop".parse().unwrap(), Kind::new("rrset"), Kind::new("zone"));
    let key = [("zone", "shop.example."), ("name", "www")];
    let writing = Writing { repository: "https://forge.example/shop.git", project: &shop, kind: &rrset, key: &key };
    assert!(operator.grants_write(Some("dns"), &writing).is_ok());
    for refused in [
        Writing { repository: "https://evil.example/shop", ..writing },
        Writing { kind: &zone, ..writing },
        Writing { key: &[("zone", "other.example.")], ..writing },
        Writing { key: &[("name", "shop.example.")], ..writing },
        Writing { project: &"shop2".parse().unwrap(), ..writing },
    ] {
        assert_eq!(refusal(operator.grants_write(Some("dns"), &refused)), "grant-refused");
    }
    assert_eq!(refusal(operator.grants_exclusive(Some("dns"), &"dns".parse().unwrap())), "grant-exclusive");
    assert!(operator.grants_exclusive(Some("mq"), &"mq".parse().unwrap()).is_ok());
}

#[test]
fn the_record_goes_only_where_the_operator_lets_it() {
    let operator = operator();
    assert!(operator.allows_record_push("https://forge.example/x.git").is_ok());
    assert_eq!(refusal(operator.allows_record_push("https://evil.example/x.git")), "record-place-refused");
    assert!(operator.allows_record_file(Path::new("/var/lib/ctl/shop")).is_ok());
    for path in ["/var/lib/ctl/../../../etc", "/etc", "var/lib/ctl", "/var/lib/ctlx"] {
        assert_eq!(refusal(operator.allows_record_file(Path::new(path))), "record-place-refused", "{path}");
    }
    assert_eq!(operator.ceiling(), Guard { deletes: 20, updates: None });
}

#[test]
fn the_operator_raises_each_limit_by_its_word() {
    let limits = |text: &str| Operator::load(&env(&[("CTL_CREDENTIALS_YAML", text)])).unwrap().limits().clone();
    let usual = Limits::default();
    assert_eq!(limits("allow: []"), usual);
    for (text, file) in [("8MiB", 8 << 20), ("5000000", 5_000_000), ("'1 GiB'", 1 << 30), ("512KiB", 512 << 10)] {
        assert_eq!(limits(&format!("limits: {{file: {text}}}")), Limits { file, ..usual.clone() }, "{text}");
    }
    let words: Vec<String> = Limits::WORDS.iter().enumerate().map(|(i, w)| format!("{w}: {}", i + 1)).collect();
    let expected = Limits {
        file: 1,
        files: 2,
        project: 3,
        documents: 4,
        nodes: 5,
        page: 6,
        object: 7,
        objects: 8,
        list: 9,
        pages: 10,
        header: 11,
        ..usual
    };
    assert_eq!(limits(&format!("limits: {{{}}}", words.join(", "))), expected);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ctl/credentials.yaml");
    std::fs::create_dir(folder.path().join("ctl")).unwrap();
    let home = folder.path().to_str().unwrap().to_owned();
    let env = env(&[("XDG_CONFIG_HOME", home.as_str())]);
    assert!(Operator::load(&env).is_ok(), "no default file is an empty operator");
    std::fs::write(&path, FILE).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(refusal(Operator::load(&env)), "operator-file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(Operator::load(&env).is_ok());
}

#[test]
fn a_group_may_read_what_root_hands_over_and_nothing_else() {
    let open = |mode, owner, me| is_open_to_others(mode, owner, me);
    assert!(!open(0o100_400, 1000, 1000) && !open(0o100_600, 0, 0) && !open(0o100_600, 0, 1000));
    assert!(open(0o100_440, 1000, 1000) && open(0o100_640, 0, 0), "its owner can close it");
    assert!(!open(0o100_440, 0, 1000) && !open(0o100_640, 0, 1000));
    for mode in [0o100_444, 0o100_460, 0o100_604, 0o100_641, 0o100_620] {
        assert!(open(mode, 0, 1000), "{mode:o}");
    }
    assert!(open(0o100_440, 7, 1000), "another user is not root");
}

#[test]
fn a_mistake_in_the_file_is_named_and_no_value_is_shown() {
    for (text, words) in [
        ("credentials: {a: {hosts: [\"http://x\"], basic: canary-0815}}", "invalid type: string, expected a mapping"),
        ("canary-0815", "invalid type: string, expected a mapping"),
        ("credentials: {a: {hosts: [\"http://x\"], bearer: 8150815}}", "a text in quotes"),
        ("credentials: {a: {hosts: [\"http://u:canary-0815@x\"]}}", "a user or a password"),
        ("credentials: {a: {hosts: [\"http://x/path\"]}}", "more than scheme"),
        ("credentials: {a: {hosts: [\"http://x\"], heder: 1}}", "unknown field `heder`"),
        ("credentials: {a: {hosts: [\"http://x\"]}, a: {hosts: [\"http://y\"]}}", "twice"),
        ("secrets: {a: {env: A, text: canary-0815}}", "exactly one of"),
        ("ceiling: {deletes: 130%}", "0% to 100%"),
        ("limits: {fil: 8MiB}", "unknown field `fil`, expected one of `file`, `files`, `project`"),
        ("limits: {file: 8MB}", "such as `512KiB`"),
        ("limits: {file: 0}", "from 1 on"),
        ("limits: {nodes: -1}", "from 1 on"),
        ("limits: {file: 99999999999GiB}", "such as `512KiB`"),
    ] {
        let error = Operator::load(&env(&[("CTL_CREDENTIALS_YAML", text)])).unwrap_err();
        assert_eq!(error.code, "operator-file");
        assert!(error.message.contains(words), "{text}: {}", error.message);
        assert!(!error.message.contains("0815"), "{}", error.message);
    }
}

#[test]
fn what_is_at_hand_is_hidden_from_the_first_line_on() {
    let redactor = operator().redactor();
    assert_eq!(redactor.hide("canary-0815 swordfish"), "<secret dns> <secret orders-password>");
    assert!(!format!("{:?}", operator()).contains("canary-0815"));
}
