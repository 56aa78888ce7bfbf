//! What a repository may not do with what the operator holds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use sha2::Digest as _;

use crate::fake::{Fake, plain};
use crate::hostile::{API, project, project_at, thing};
use crate::sandbox::Sandbox;
use crate::secrets::forms;
use crate::told::told;

/// What no byte of may leave.
const TOKEN: &str = "tok-CANARY-5f2d8a";
pub(crate) const PASSWORD: &str = "pw-CANARY-91cc07";

fn digest(text: &str) -> String {
    sha2::Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes the operator's file.
fn operator(sandbox: &Sandbox, text: &str, mode: u32) {
    let file = sandbox.root().join("home/.config/ctl/credentials.yaml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
}

/// A project at `url` whose target has a credential for `host`, pinned to the description, that grants things of the
/// team; and a secret.
pub(crate) fn guarded(url: &str, host: &str) -> Sandbox {
    let sandbox = project(url, "    credentials: shop\n").env("SHOP_TOKEN", TOKEN).env("DB_PASSWORD", PASSWORD);
    sandbox.remove("manifests/b.yaml");
    sandbox.write("manifests/a.yaml", &thing("team-a", "size: 1, password: {$secret: db}"));
    sandbox.commit("the base");
    let file = format!(
        "credentials:\n  shop:\n    hosts: [\"{host}\"]\n    bearer: {{env: SHOP_TOKEN}}\n    api: sha256:{}\n    grant: [{{project: shop, kinds: [thing], match: {{name: \"team-*\"}}}}]\nsecrets:\n  db: {{env: DB_PASSWORD, targets: [shop], kinds: [thing]}}\n",
        digest(API)
    );
    operator(&sandbox, &file, 0o600);
    sandbox
}

/// Gives the project of [`guarded`] another description, and the operator's file its digest.
pub(crate) fn described(sandbox: &Sandbox, api: &str) {
    sandbox.write("apis/fake.yaml", api);
    let file = fs::read_to_string(sandbox.root().join("home/.config/ctl/credentials.yaml")).unwrap();
    operator(sandbox, &file.replace(&digest(API), &digest(api)), 0o600);
}

/// Nothing of a secret was heard here.
#[track_caller]
fn heard_nothing(fake: &Fake) {
    for secret in [TOKEN, PASSWORD] {
        for form in forms(secret) {
            assert!(!fake.heard(&form), "{form} in {:?}", fake.asked());
        }
    }
}

/// Plan and apply of the pull request: 7, this gate, nothing written, no byte of a secret anywhere but at the target.
#[track_caller]
fn hostile(sandbox: &Sandbox, home: &Fake, abroad: &Fake, gate: &str) {
    let before = home.writes();
    for args in [&["plan"][..], &["plan", "-o", "json", "-vv"], &["apply", "--yes"]] {
        let ran = sandbox.watched(args).stays_small();
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, Some(7), "{text}");
        assert!(text.contains(gate), "no {gate} in {text}");
        assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{text}");
    }
    assert_eq!(home.writes(), before, "something was written");
    assert!(abroad.asked().is_empty(), "{:?}", abroad.asked());
}

#[test]
fn a_pull_request_cannot_send_a_credential_to_another_host_or_port() {
    let (home, abroad) = (Fake::honest(), Fake::honest());
    for url in [
        abroad.url(),
        format!("http://localhost:{}", home.port),
        format!("http://127.0.0.1:{}", abroad.port),
        format!("https://127.0.0.1:{}", home.port),
        format!("http://127.0.0.2:{}", abroad.port),
        format!("http://[::1]:{}", home.port),
        format!("http://[::ffff:127.0.0.1]:{}", abroad.port),
        "http://169.254.169.254/".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
    ] {
        let sandbox = guarded(&home.url(), &home.url());
        project_at(&sandbox, &url, "    credentials: shop\n");
        sandbox.commit("another url");
        let before = home.asked().len();
        hostile(&sandbox, &home, &abroad, "origin-refused");
        assert_eq!(home.asked().len(), before);
        // The base's `ctl.yaml` still points home.
        sandbox.run(["plan", "--trust", "HEAD~1"]).exits(0).says("team-a");
        assert!(abroad.asked().is_empty());
        assert!(home.asked().iter().all(|a| a.method == "GET"));
    }
}

#[test]
fn a_url_in_an_odd_spelling_is_refused_before_contact() {
    let (home, abroad) = (Fake::honest(), Fake::honest());
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "１２７.0.0.1"] {
        let sandbox = guarded(&home.url(), &home.url());
        project_at(&sandbox, &format!("http://{host}:{}", abroad.port), "    credentials: shop\n");
        sandbox.commit("an odd url");
        let ran = sandbox.run(["apply", "--yes"]);
        assert!(matches!(ran.code, Some(6 | 7)), "{host}: {}{}", ran.stdout, ran.stderr);
        assert!(abroad.asked().is_empty() && home.asked().is_empty(), "{host}");
    }
}

#[test]
fn a_pull_request_cannot_go_to_a_metadata_address_without_a_credential_either() {
    let home = Fake::honest();
    for url in ["http://169.254.169.254", "http://[fe80::1]", "http://example.invalid", "http://10.0.0.1:80"] {
        let sandbox = project(&home.url(), "");
        project_at(&sandbox, url, "");
        sandbox.commit("elsewhere");
        let ran = sandbox.run(["plan"]).exits(7);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains("origin-refused"), "{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_pull_request_that_drops_the_credential_gets_nothing_of_it() {
    let (home, abroad) = (Fake::honest(), Fake::honest());
    let sandbox = guarded(&home.url(), &home.url());
    project_at(&sandbox, &abroad.url(), "");
    sandbox.commit("no credential, another port of this machine");
    let ran = sandbox.run(["apply", "--yes"]).exits(7);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("secret-refused"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(abroad.writes(), 0);
    heard_nothing(&abroad);
}

#[test]
fn a_pull_request_cannot_change_a_description_under_a_credential() {
    let (home, abroad) = (Fake::honest(), Fake::honest());
    for api in [
        API.replace("password: {secret: true}", "size: {secret: true}"),
        format!("{API}# one more line\n"),
        API.replace("base: /v1", "base: /v2"),
        API.replace("base: /v1", &format!("base: /v1\nauth: {{login: {{post: //steal, body: {{t: x}}, token: /t}}}}\nheaders: {{Host: 127.0.0.1:{}}}", abroad.port)),
    ] {
        let sandbox = guarded(&home.url(), &home.url());
        sandbox.write("apis/fake.yaml", &api);
        sandbox.commit("another description");
        let ran = sandbox.run(["plan"]);
        if ran.code == Some(6) {
            // It is no description at all; nothing was contacted.
            assert!(home.asked().is_empty(), "{}", ran.stderr);
            continue;
        }
        hostile(&sandbox, &home, &abroad, "api-not-pinned");
        assert!(home.asked().is_empty());
    }
    let sandbox = guarded(&home.url(), &home.url());
    sandbox.write("apis/fake.yaml", &API.replace("base: /v1", "base: /v2"));
    sandbox.commit("another description");
    sandbox.run(["plan", "--trust", "HEAD~1"]).exits(0).says("team-a");
    assert!(home.asked().iter().all(|a| a.path.starts_with("/v1/")));
}

#[test]
fn a_pull_request_cannot_write_outside_its_grant() {
    let (home, abroad) = (Fake::honest(), Fake::honest());
    let sandbox = guarded(&home.url(), &home.url());
    sandbox.write("manifests/x.yaml", &thing("other-team", "size: 1"));
    sandbox.commit("outside");
    hostile(&sandbox, &home, &abroad, "grant-refused");
    sandbox.run(["plan", "--trust", "HEAD~1"]).exits(7).says("grant-refused");
    // Another project's name does not help, and a glob in a name is a name.
    let sandbox = guarded(&home.url(), &home.url());
    let text = fs::read_to_string(sandbox.repo().join("ctl.yaml")).unwrap();
    sandbox.write("ctl.yaml", &text.replace("{name: shop}", "{name: shopping}"));
    sandbox.commit("another project");
    hostile(&sandbox, &home, &abroad, "grant-refused");
    let sandbox = guarded(&home.url(), &home.url());
    sandbox.write("manifests/x.yaml", &thing("\"*\"", "size: 1"));
    sandbox.commit("a glob");
    hostile(&sandbox, &home, &abroad, "grant-refused");
}

#[test]
fn a_pull_request_cannot_use_a_kind_outside_its_grant() {
    let api = format!(
        "{API}  user: {{path: \"/users/{{name}}\", list: {{get: /users, items: /items}}, write: {{put: all}}}}\n"
    );
    let home = Fake::scripted(|asked| (asked.path == "/v1/users").then(|| plain(200, "", r#"{"items":[]}"#)));
    let abroad = Fake::honest();
    let sandbox = guarded(&home.url(), &home.url());
    sandbox.write("apis/fake.yaml", &api);
    sandbox.write("manifests/x.yaml", "apiVersion: fake\nkind: user\nspec: {name: team-root}\n");
    sandbox.commit("a user");
    let file = fs::read_to_string(sandbox.root().join("home/.config/ctl/credentials.yaml")).unwrap();
    operator(&sandbox, &file.replace(&digest(API), &digest(&api)), 0o600);
    hostile(&sandbox, &home, &abroad, "grant-refused");
}

#[test]
fn a_pull_request_cannot_put_a_secret_where_it_can_be_read() {
    let (home, abroad) = (Fake::honest(), Fake::honest());
    for spec in [
        "size: {$secret: db}",
        "note: {deep: [{x: {$secret: db}}]}",
        "password: {nested: {$secret: db}}",
        "password: [{$secret: db}]",
        "password: {$secret: unknown}",
    ] {
        let sandbox = guarded(&home.url(), &home.url());
        sandbox.write("manifests/x.yaml", &thing("team-x", spec));
        sandbox.commit("a readable secret");
        hostile(&sandbox, &home, &abroad, "secret-refused");
        heard_password(&home, false);
    }
    // A secret of another target, or another kind.
    for fence in ["targets: [other]", "targets: [shop], kinds: [user]"] {
        let sandbox = guarded(&home.url(), &home.url());
        let path = sandbox.root().join("home/.config/ctl/credentials.yaml");
        let text = fs::read_to_string(&path).unwrap().replace("targets: [shop], kinds: [thing]", fence);
        operator(&sandbox, &text, 0o600);
        hostile(&sandbox, &home, &abroad, "secret-refused");
        heard_password(&home, false);
    }
    // Where it may go, it goes.
    let sandbox = guarded(&home.url(), &home.url());
    sandbox.run(["apply", "--yes"]).exits(0);
    heard_password(&home, true);
}

#[track_caller]
fn heard_password(fake: &Fake, expected: bool) {
    assert_eq!(fake.heard(PASSWORD), expected);
}

#[test]
fn with_a_record_key_a_changed_value_of_a_secret_is_noticed_though_no_server_shows_it() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let api = digest(API);
    let operator = |password: &str, key: &str| {
        format!(
            "credentials:\n  shop: {{hosts: [\"{}\"], bearer: {{text: {TOKEN}}}, api: sha256:{api}}}\nsecrets:\n  db: {{text: \"{password}\"}}\n{key}",
            fake.url()
        )
    };
    project_at(&sandbox, &fake.url(), "    credentials: shop\n");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1, password: {$secret: db}"));
    sandbox.commit("a secret");
    let key = "record-key: {text: a-key-that-nobody-guesses}\n";
    let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", operator("first-value-of-it", key));
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
    let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", operator("second-value-of-it", key));
    let plan = sandbox.run(["plan", "-o", "json", "--detailed-exitcode"]).exits(2).json();
    assert_eq!(plan["summary"]["update"], 1);
    assert_eq!(plan["operations"][0]["fields"][0]["path"], "/password");
    assert!(!plan.to_string().contains("-value-of-it"), "{plan}");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    let heard = fake.asked().iter().any(|asked| String::from_utf8_lossy(&asked.body).contains("second-value-of-it"));
    assert!(heard, "the new value was sent");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
    assert!(!sandbox.records().contains("-value-of-it"), "no value is in the record");
}

#[test]
fn a_secret_in_the_address_of_a_resource_is_refused() {
    let (home, abroad) = (Fake::honest(), Fake::honest());
    let sandbox = guarded(&home.url(), &home.url());
    sandbox.write("manifests/x.yaml", "apiVersion: fake\nkind: thing\nspec: {name: {$secret: db}}\n");
    sandbox.commit("a secret name");
    let ran = sandbox.run(["apply", "--yes"]);
    assert!(matches!(ran.code, Some(6 | 7)), "{}{}", ran.stdout, ran.stderr);
    assert!(!home.heard(PASSWORD) && abroad.asked().is_empty());
}

#[test]
fn an_operators_file_that_others_can_read_is_refused() {
    let home = Fake::honest();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
        let sandbox = guarded(&home.url(), &home.url());
        let path = sandbox.root().join("home/.config/ctl/credentials.yaml");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for args in [["plan", "-q"], ["apply", "--yes"]] {
            let ran = sandbox.run(args).exits(7).warns("operator-file").warns("chmod 600");
            assert!(!ran.stderr.contains(TOKEN));
        }
    }
    assert!(home.asked().is_empty());
}

#[test]
fn an_operators_file_that_is_wrong_is_refused_without_showing_what_is_in_it() {
    let home = Fake::honest();
    let sandbox = guarded(&home.url(), &home.url());
    let hosts = format!("hosts: [\"{}\"]", home.url());
    for text in [
        format!("credential:\n  shop: {{{hosts}, bearer: {TOKEN}}}\n"),
        format!("credentials:\n  shop: {{{hosts}, bearers: {TOKEN}}}\n"),
        format!("credentials:\n  shop: {{{hosts}, bearer: [{TOKEN}]}}\n"),
        format!("credentials:\n  shop: {{{hosts}, bearer: {{environment: {TOKEN}}}}}\n"),
        format!("credentials:\n  shop: {{{hosts}, bearer: {{env: A, text: {TOKEN}}}}}\n"),
        format!("credentials:\n  shop: {{{hosts}, bearer: \"{TOKEN}\", header: {{name: X, value: \"{TOKEN}\"}}}}\n"),
        format!("credentials:\n  shop: {{bearer: {TOKEN}}}\n"),
        format!("credentials:\n  shop: {{hosts: [], bearer: {TOKEN}}}\n"),
        format!("credentials:\n  shop: {{hosts: [\"http://u:{TOKEN}@h\"], bearer: x}}\n"),
        format!("credentials:\n  shop: {{hosts: [\"http://h/{TOKEN}\"], bearer: x}}\n"),
        format!("credentials:\n  shop: {{hosts: [\"*\"], bearer: {TOKEN}}}\n"),
        format!("credentials:\n  shop: {{hosts: [\"http://*\"], bearer: {TOKEN}}}\n"),
        format!("credentials: {TOKEN}\n"),
        format!("- {TOKEN}\n"),
        format!("{TOKEN}\n"),
        format!("credentials: {{shop: {{{hosts}, bearer: \"{TOKEN}\n"),
        format!("a: &a [{TOKEN}]\nb: [*a, *a]\n"),
        format!("secrets: {{db: {TOKEN}, db: {TOKEN}}}\n"),
        format!("secrets: {{db: {{text: {TOKEN}, targets: all}}}}\n"),
        format!("record-key: {{{TOKEN}: x}}\n"),
        format!("allow: [\"http://{TOKEN}:x@h\"]\n"),
        "credentials: \u{1}\n".to_owned(),
    ] {
        operator(&sandbox, &text, 0o600);
        let ran = sandbox.watched(&["plan", "-vv"]).stays_small();
        assert_eq!(ran.code, Some(7), "{text}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("operator-file"), "{text}: {}", ran.stderr);
        assert!(!ran.stderr.contains(TOKEN), "{text}: {}", ran.stderr);
    }
    assert!(home.asked().is_empty());
}

#[test]
fn a_secret_that_cannot_be_had_is_exit_4_before_anything_is_written() {
    let home = Fake::honest();
    let sandbox = guarded(&home.url(), &home.url());
    let path = sandbox.root().join("home/.config/ctl/credentials.yaml");
    let good = fs::read_to_string(&path).unwrap();
    for source in [
        "env: NOT_SET",
        "file: nowhere",
        "file: .",
        "command: [/nonexistent/program]",
        "command: [sh, -c, \"echo CANARY-out; echo CANARY-err >&2; exit 3\"]",
        "command: [sh, -c, \"true\"]",
        "command: [sh, -c, \"printf '\\\\377\\\\376'\"]",
    ] {
        operator(&sandbox, &good.replace("env: DB_PASSWORD", source), 0o600);
        let ran = sandbox.run(["apply", "--yes"]);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, Some(4), "{source}: {text}");
        assert!(text.contains("secret-unreadable") && !text.contains("CANARY-out"), "{source}: {text}");
        assert_eq!(home.writes(), 0, "{source}");
        operator(&sandbox, &good.replace("bearer: {env: SHOP_TOKEN}", &format!("bearer: {{{source}}}")), 0o600);
        let before = home.asked().len();
        let ran = sandbox.run(["apply", "--yes"]);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(home.asked().len(), before, "{source}");
        assert!(text.contains("credential-unreadable"), "{source}: {text}");
        assert!(matches!(ran.code, Some(4 | 7)), "{source}: {:?} {text}", ran.code);
    }
    operator(&sandbox, &good.replace("env: DB_PASSWORD", "command: [sh, -c, \"echo $DB_PASSWORD\"]"), 0o600);
    sandbox.run(["apply", "--yes"]).exits(0);
    assert!(home.heard(&format!(r#""password":"{PASSWORD}""#)));
}

#[test]
fn hosts_are_whole_origins_in_any_honest_spelling() {
    let home = Fake::honest();
    let port = home.port;
    for (url, host, code) in [
        (format!("http://localhost:{port}"), format!("http://LOCALHOST:{port}/"), 0),
        (format!("HTTP://LocalHost:{port}"), format!("http://localhost:{port}"), 0),
        (format!("http://127.0.0.1:{port}/"), format!("http://127.0.0.1:{port}"), 0),
        (format!("http://localhost:{port}"), format!("http://127.0.0.1:{port}"), 7),
        (format!("http://127.0.0.1:{port}"), "http://127.0.0.1".to_owned(), 7),
        (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", u32::from(port) / 10), 7),
        (format!("http://127.0.0.1:{port}"), format!("https://127.0.0.1:{port}"), 7),
        (format!("http://sub.localhost:{port}"), format!("http://localhost:{port}"), 7),
    ] {
        let sandbox = guarded(&url, &host);
        let ran = sandbox.run(["plan"]);
        assert_eq!(ran.code, Some(code), "{url} {host}: {}{}", ran.stdout, ran.stderr);
    }
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else { return };
    drop(probe);
    let six = Fake::on("[::1]:0", |_| None);
    let sandbox = guarded(&format!("http://[::1]:{}", six.port), &format!("http://[0:0:0:0:0:0:0:1]:{}", six.port));
    sandbox.run(["plan"]).exits(0);
    assert!(six.heard(TOKEN));
}

#[test]
fn rsp_24_a_redirect_is_never_followed_and_no_credential_is_sent_again() {
    let abroad = std::sync::Arc::new(Fake::honest());
    for status in [300, 301, 302, 303, 304, 307, 308] {
        for to in [
            "{abroad}/v1/things",
            "//127.0.0.1:{port}/v1/things",
            "/v1/elsewhere",
            "http://u:p@127.0.0.1:{port}/",
            "https://127.0.0.1:{port}/",
            "",
        ] {
            // Each way to somewhere else for one status, two ways for the others.
            if status != 302 && !(to.starts_with("{abroad}") || to == "/v1/elsewhere") {
                continue;
            }
            let location = to.replace("{abroad}", &abroad.url()).replace("{port}", &abroad.port.to_string());
            for method in ["GET", "PUT"] {
                let header = if location.is_empty() { String::new() } else { format!("Location: {location}\r\n") };
                let home = Fake::scripted(move |asked| (asked.method == method).then(|| plain(status, &header, "{}")));
                let sandbox = guarded(&home.url(), &home.url());
                let ran = sandbox.run(["apply", "--yes"]);
                if matches!(status, 302 | 307 | 308) && to.starts_with("{abroad}") {
                    told(&sandbox, &format!("RSP-24-{method}-{status}"), &["apply", "--yes"], &ran);
                }
                let text = format!("{}{}", ran.stdout, ran.stderr);
                assert!(!matches!(ran.code, Some(0 | 101) | None), "{status} {location} {method}: {text}");
                assert!(text.contains("redirects are not followed") || status == 304, "{status} {location}: {text}");
                assert!(abroad.asked().is_empty(), "{status} {location} {method}");
                assert!(!home.heard("elsewhere"), "{status} {location} {method}");
                assert!(!text.contains(TOKEN) && !text.contains(PASSWORD));
            }
        }
    }
}

#[test]
fn a_next_page_elsewhere_gets_nothing() {
    let abroad = Fake::honest();
    let api = API.replace("base: /v1\n", "base: /v1\npage: {link: next}\n");
    for link in [format!("{}/v1/things", abroad.url()), format!("//127.0.0.1:{}/x", abroad.port)] {
        let home =
            Fake::scripted(move |_| Some(plain(200, &format!("Link: <{link}>; rel=\"next\"\r\n"), r#"{"items":[]}"#)));
        let sandbox = guarded(&home.url(), &home.url());
        sandbox.write("apis/fake.yaml", &api);
        sandbox.commit("links");
        let file = fs::read_to_string(sandbox.root().join("home/.config/ctl/credentials.yaml")).unwrap();
        operator(&sandbox, &file.replace(&digest(API), &digest(&api)), 0o600);
        let ran = sandbox.run(["apply", "--yes"]).exits(3);
        assert!(abroad.asked().is_empty());
        assert_eq!(home.writes(), 0, "{}", ran.stdout);
    }
}

#[test]
fn a_proxy_of_the_environment_gets_nothing_that_is_meant_for_this_machine() {
    let (home, proxy) = (Fake::honest(), Fake::honest());
    for url in [home.url(), format!("http://localhost:{}", home.port)] {
        let mut sandbox = guarded(&url, &url).env("NO_PROXY", "");
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            sandbox = sandbox.env(name, proxy.url());
        }
        sandbox.run(["apply", "--yes"]).exits(0);
        assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
    }
    assert!(home.heard(TOKEN));
}

#[test]
fn a_refused_endpoint_is_not_contacted_and_the_others_of_its_target_go_on() {
    let (home, abroad) = (Fake::honest(), Fake::honest());
    let sandbox = guarded(&home.url(), &home.url());
    let at = |url: &str, more: &str| {
        format!(
            "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\ntargets:\n  shop:\n    api: fake\n    credentials: shop\n    endpoints: {{near: {url}{more}}}\n"
        )
    };
    sandbox.write("ctl.yaml", &at(&home.url(), &format!(", far: \"{}\"", abroad.url()))).commit("two endpoints");
    let plan = sandbox.run(["plan", "-o", "json"]).exits(7).json();
    assert_eq!((&plan["summary"]["create"], &plan["summary"]["unknown"]), (&1.into(), &1.into()));
    assert_eq!(plan["summary"]["unchanged"], 0);
    let ran = sandbox.run(["apply", "--yes"]).exits(7).says("1 created").says("origin-refused");
    assert!(!ran.stdout.contains("refused:"), "nothing was planned there that could be skipped: {}", ran.stdout);
    assert_eq!(home.names(), ["team-a"]);
    assert!(abroad.asked().is_empty(), "{:?}", abroad.asked());
    // Again: the near one is as declared, of the far one nothing is known, and nobody says that all is well.
    let again = sandbox.run(["apply", "--yes"]).exits(7);
    assert!(!again.stdout.contains("Nothing to do"), "{}", again.stdout);
    sandbox.run(["record", "show"]).exits(0).says("partial at");
    // A manifest goes: deleted where the record has it, and the refused one is still left alone.
    sandbox.remove("manifests/a.yaml").write("manifests/b.yaml", &thing("team-b", "size: 1")).commit("b for a");
    sandbox.run(["apply", "--yes"]).exits(7).says("1 deleted, 1 created");
    assert_eq!(home.names(), ["team-b"]);
    assert!(abroad.asked().is_empty(), "{:?}", abroad.asked());
}

#[test]
fn a_server_that_lets_nobody_in_is_told_with_the_name_of_the_credential_and_never_its_value() {
    let closed = Fake::scripted(|_| Some(plain(403, "", "{\"error\": \"no\"}")));
    let sandbox = guarded(&closed.url(), &closed.url());
    let ran = sandbox.run(["plan"]).exits(4).says("(with the credential `shop`)");
    assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "{}{}", ran.stdout, ran.stderr);
    // Let in to read, and not to write.
    let read_only = Fake::scripted(|asked| (asked.method != "GET").then(|| plain(403, "", "{}")));
    let sandbox = guarded(&read_only.url(), &read_only.url());
    sandbox.run(["apply", "--yes"]).exits(4).says("(with the credential `shop`)").says("operator's file");
}
