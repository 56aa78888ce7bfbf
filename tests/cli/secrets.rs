//! Secrets show nowhere: in no output, no artefact and no record, whatever a server or a file does with them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;

use crate::fake::{Fake, plain};
use crate::hostile::{API, project, project_at, thing};
use crate::sandbox::Ran;
use crate::told::told;
use crate::trust::{PASSWORD, described, guarded};

/// `%2F` as `%2f`, and the rest as it is.
fn lower_escapes(url: &str) -> String {
    let mut parts = url.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| format!("{out}%{}{}", part[..2].to_lowercase(), &part[2..]))
}

/// Every spelling of a secret that may give it away.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let url: String = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let mut all = vec![
        secret.to_owned(),
        json.clone(),
        json.replace('/', "\\/"),
        lower_escapes(&url),
        url,
        hex.to_uppercase(),
        hex,
    ];
    for skip in 0..3 {
        let mut bytes = vec![b'x'; skip];
        bytes.extend_from_slice(secret.as_bytes());
        for engine in
            [&base64::engine::general_purpose::STANDARD_NO_PAD, &base64::engine::general_purpose::URL_SAFE_NO_PAD]
        {
            let text = engine.encode(&bytes);
            let (from, to) = ([0, 2, 3][skip], text.len() - usize::from(bytes.len() % 3 != 0));
            all.push(text[from..to].to_owned());
        }
    }
    let lines: Vec<String> = secret.lines().filter(|l| l.len() >= 12 && *l != secret).map(str::to_owned).collect();
    all.extend(lines);
    // Shorter pieces stand in any text by chance.
    all.retain(|form| form == secret || form.len() >= 6);
    all.sort();
    all.dedup();
    all
}

/// Shapes that secrets have.
const SHAPES: [(&str, &str); 14] = [
    ("short", "Zq7!"),
    ("plain", "CANARYplain4711"),
    ("spaces", "CANARY with spaces 4711"),
    ("quotes", "CANARY\"quo'ted`4711"),
    ("backslashes", "CANARY\\back\\slash\\n4711"),
    ("unicode", "CANARY-wörd-密码-🔑-4711"),
    ("percent", "CANARY%41%2F100%-4711"),
    ("base64", "Q0FOQVJZLWJhc2U2NC00NzExL+8="),
    ("url", "CANARY/p?a=b&c=d#e;f@g:h+4711"),
    ("html", "CANARY<b>&amp;</b>4711"),
    ("tabs", "CANARY\tand\ttabs\t4711"),
    ("json", "{\"CANARY\": [\"json\", 4711]}"),
    (
        "pem",
        "-----BEGIN PRIVATE KEY-----\nCANARYMIIEvQIBADANBgkqhkiG9w0BAQ4711\nCANARYsecondLineOfTheKey+/4711==\n-----END PRIVATE KEY-----",
    ),
    (
        "long",
        "CANARYlong-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef4711",
    ),
];

/// Everything below `dir`, as one heap of bytes.
fn heap(dir: &std::path::Path, skip: &str, out: &mut Vec<u8>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with(skip) {
            continue;
        }
        out.extend_from_slice(path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            heap(&path, skip, out);
        } else {
            out.extend(fs::read(&path).unwrap_or_default());
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Fields of every kind that a secret may go into.
const FIELDS: &str = "      /auth/token: {secret: true}\n      /users/*/key: {secret: true}\n      pin: {secret: {mask: \"***\", omitted: keeps}}\n      shown: {secret: readable}\n";
/// What a manifest writes there.
const STATED: &str = "password: {$secret: db}, auth: {user: x, token: {$secret: db}}, users: [{name: u, key: {$secret: db}}], pin: {$secret: db}, shown: {$secret: db}";

/// One secret through every command, in every format, against a server that gives it back in every spelling: in no
/// output, no argument of a child, no byte of the state, the cache and the record.
fn canary(shape: &str, secret: &str) {
    let spellings = forms(secret);
    let echo = spellings.join(" | ");
    let header: String = secret.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let in_header = if header == secret {
        format!("X-Echo: {secret}\r\nETag: \"{}\"\r\n", secret.replace('"', ""))
    } else {
        String::new()
    };
    let mode = std::sync::Arc::new(std::sync::Mutex::new(("GET", 0_u16)));
    let modes = std::sync::Arc::clone(&mode);
    let body = serde_json::json!({"message": echo, "echo": secret}).to_string();
    let raw_body = format!("{echo}\n{body}");
    let listed = serde_json::json!({"items": [{"name": "team-a", "size": 9, "password": secret, "note": secret, "list": [secret, echo]}]}).to_string();
    let home = Fake::scripted(move |asked| {
        let (method, status) = *modes.lock().unwrap();
        match (method, status) {
            ("list", 200) if asked.method == "GET" && asked.path == "/v1/things" => {
                Some(plain(200, &in_header, &listed))
            }
            (m, status) if m == asked.method && status != 0 && status % 2 == 0 => {
                Some(plain(status, &in_header, &body))
            }
            (m, status) if m == asked.method && status != 0 => Some(plain(status - 1, &in_header, &raw_body)),
            _ => None,
        }
    });
    // A `git` that notes what it is called with.
    let sandbox = guarded(&home.url(), &home.url()).env("DB_PASSWORD", secret);
    described(&sandbox, &format!("{API}{FIELDS}"));
    let in_token = secret.is_ascii() && !secret.contains(['\n', '\t']);
    let sandbox = if in_token { sandbox.env("SHOP_TOKEN", secret) } else { sandbox };
    let bin = sandbox.root().join("bin");
    fs::create_dir(&bin).unwrap();
    let log = sandbox.root().join("arguments");
    fs::write(
        bin.join("git"),
        format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\nPATH=\"${{PATH#*:}}\" exec git \"$@\"\n", log.display()),
    )
    .unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    sandbox.write("manifests/a.yaml", &thing("team-a", &format!("size: 1, note: n, list: [x], {STATED}")));
    sandbox.commit("secret");
    let sandbox = sandbox.env("PATH", path);

    let mut seen: Vec<u8> = Vec::new();
    let mut run = |args: &[&str]| {
        let ran: Ran = sandbox.watched(args).stays_small();
        for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            for form in &spellings {
                assert!(!text.contains(form.as_str()), "{shape}: `{form}` on {name} of {args:?}:\n{text}");
            }
        }
        seen.extend_from_slice(ran.stdout.as_bytes());
        seen.extend_from_slice(ran.stderr.as_bytes());
        ran
    };
    let all: [&[&str]; 9] = [
        &["plan", "-vv"],
        &["plan", "-o", "json", "-v"],
        &["plan", "-o", "markdown"],
        &["status", "-o", "json"],
        &["apply", "--yes", "-vv"],
        &["apply", "--yes", "-o", "json"],
        &["apply", "--yes", "-o", "markdown"],
        &["watch", "--once", "-vv"],
        &["watch", "--once", "-o", "json"],
    ];
    // Odd numbers: the same status less one, and a body that is no JSON.
    for (method, status) in [("PUT", 422), ("PUT", 423), ("PUT", 403), ("GET", 404), ("GET", 201), ("list", 200)] {
        *mode.lock().unwrap() = (method, status);
        for args in if method == "PUT" { &all[4..] } else { &all[..] } {
            run(args);
        }
    }
    *mode.lock().unwrap() = ("GET", 0);
    run(&["apply", "--yes", "-vv"]);
    // These ask for no value of a secret: its shape is nothing to them.
    if shape == "plain" {
        for args in [
            &["init", "-C", ".."][..],
            &["validate"],
            &["target", "list"],
            &["target", "describe", "shop"],
            &["events"],
            &["explain", "secret-refused"],
            &["version"],
        ] {
            run(args);
        }
    }
    for args in [
        &["history"][..],
        &["history", "-o", "json"],
        &["show", "1"],
        &["show", "1", "-o", "json"],
        &["record", "show", "-o", "json"],
        &["record", "show"],
        &["record", "verify"],
        &["status"],
        &["record", "rebuild", "--yes"],
        &["release", "--yes", "shop:thing/team-a"],
        &["record", "show"],
    ] {
        run(args);
    }
    // It is no empty test: the server did get it.
    assert!(
        home.asked()
            .iter()
            .any(|a| { serde_json::from_slice::<serde_json::Value>(&a.body).is_ok_and(|b| b["password"] == secret) }),
        "{shape}: never sent"
    );
    let mut rest = Vec::new();
    heap(&sandbox.root().join("home"), "credentials.yaml", &mut rest);
    heap(&sandbox.repo(), "nothing", &mut rest);
    rest.extend(sandbox.git_try(&sandbox.repo(), &["cat-file", "--batch-all-objects", "--batch"]).stdout);
    rest.extend(fs::read(&log).unwrap());
    assert!(!sandbox.records().is_empty());
    for form in &spellings {
        assert!(!contains(&rest, form.as_bytes()), "{shape}: `{form}` in the state, the record or an argument");
    }
}

#[test]
fn sec_01_04_a_secret_of_any_shape_shows_nowhere() {
    let shapes = std::sync::Mutex::new(SHAPES.iter());
    // Two at a time: each is many short runs.
    std::thread::scope(|all| {
        for _ in 0..2 {
            all.spawn(|| {
                loop {
                    let Some((shape, secret)) = shapes.lock().unwrap().next() else { return };
                    canary(shape, secret);
                }
            });
        }
    });
}

#[test]
fn sec_01_a_secret_in_every_kind_of_field_is_planned_by_its_name() {
    let home = Fake::honest();
    let sandbox = guarded(&home.url(), &home.url());
    described(&sandbox, &format!("{API}{FIELDS}"));
    sandbox.write("manifests/a.yaml", &thing("team-a", &format!("size: 1, {STATED}"))).commit("every kind of field");
    let ran = sandbox.run(["plan", "-v"]).exits(0);
    told(&sandbox, "SEC-01", &["plan", "-v"], &ran);
    sandbox.run(["apply", "--yes"]).exits(0);
    let sent = home.asked().into_iter().find(|asked| asked.method == "PUT").unwrap();
    assert_eq!(String::from_utf8_lossy(&sent.body).matches(PASSWORD).count(), 5, "each of them was sent");
}

#[test]
fn sec_04_a_secret_that_a_server_echoes_in_a_header_is_hidden() {
    let home = Fake::scripted(|asked| {
        let echo = format!("X-Echo: {PASSWORD}\r\nWWW-Authenticate: Bearer realm=\"{PASSWORD}\"\r\n");
        (asked.method == "PUT").then(|| plain(401, &echo, &format!("{{\"message\":\"no {PASSWORD}\"}}")))
    });
    let sandbox = guarded(&home.url(), &home.url());
    let ran = sandbox.run(["apply", "--yes", "-vv"]).exits(4);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(PASSWORD), "{}{}", ran.stdout, ran.stderr);
    let ran = sandbox.run(["apply", "--yes"]).exits(4);
    told(&sandbox, "SEC-04", &["apply", "--yes"], &ran);
    assert!(home.names().is_empty());
}

/// Lines of a key, as they may stand far from each other.
const KEY: [&str; 5] = [
    "-----BEGIN PRIVATE KEY-----",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
    "MzEfYyjiWA4R4ypbHqGC0H0+tG3hGbN4MYHa9vT0mGW2yqhbDnvGgIBkCz8b0Wq2",
    "c29tZUxhc3RMaW5lT2ZUaGVLZXk9",
    "-----END PRIVATE KEY-----",
];

#[test]
fn sec_06_the_lines_of_a_key_are_hidden_in_every_hunk_of_a_diff() {
    let secret = KEY.join("\n");
    let home = Fake::honest();
    let sandbox = guarded(&home.url(), &home.url()).env("DB_PASSWORD", &secret);
    // The server keeps the key in a text of its own, a few lines here and a few there.
    let calm: Vec<String> = (0..40).map(|n| format!("line {n} of a text")).collect();
    let mut live = calm.clone();
    for (at, line) in [(5, 0), (5, 1), (18, 2), (30, 3), (30, 4)].into_iter().rev() {
        live.insert(at, KEY[line].to_owned());
    }
    home.put("team-a", serde_json::json!({"name": "team-a", "size": 1, "note": live.join("\n")}));
    let note = serde_json::Value::from(calm.join("\n"));
    sandbox.write("manifests/a.yaml", &thing("team-a", &format!("size: 1, note: {note}, password: {{$secret: db}}")));
    sandbox.commit("a text");
    for args in [&["plan", "-vv"][..], &["plan", "-o", "markdown"], &["plan", "-o", "json"], &["status", "-o", "json"]]
    {
        let ran = sandbox.watched(args).stays_small();
        let text = format!("{}{}", ran.stdout, ran.stderr);
        for line in KEY {
            assert!(!text.contains(line), "{line} of {args:?}:\n{text}");
        }
    }
    let ran = sandbox.run(["plan"]).exits(0);
    assert!(ran.stdout.lines().filter(|line| line.trim() == "@").count() >= 2, "three hunks at least: {}", ran.stdout);
    assert!(ran.stdout.matches("<secret db>").count() >= 5, "{}", ran.stdout);
    told(&sandbox, "SEC-06", &["plan"], &ran);
}

/// No eight signs of the secret that follow each other.
#[track_caller]
fn no_piece(text: &str) {
    let pieces = PASSWORD.as_bytes().windows(8).map(|piece| std::str::from_utf8(piece).unwrap());
    for piece in pieces.filter(|piece| *piece != "pw-CANAR") {
        assert!(!text.contains(piece), "{piece} in {text}");
    }
}

#[test]
fn a_secret_that_is_cut_off_with_a_long_text_does_not_show_its_first_half() {
    // Wherever a value or an answer is cut, it is cut inside of the secret once.
    let home = Fake::scripted(|asked| {
        let at: usize = asked.path.strip_prefix("/v1/things/team-")?.parse().ok()?;
        let text = format!("{}{PASSWORD}{}", "x".repeat(at * 5), "y".repeat(3000));
        (asked.method == "PUT").then(|| plain(422, "", &serde_json::json!({"message": text}).to_string()))
    });
    let sandbox = guarded(&home.url(), &home.url());
    let mut live = serde_json::json!({"name": "team-a", "size": 2});
    let mut stated = "size: 1".to_owned();
    for at in 0..200 {
        live[format!("f{at}")] = format!("{}{PASSWORD}{}", "x".repeat(at * 2), "y".repeat(3000)).into();
        stated.push_str(&format!(", f{at}: z"));
        sandbox.write(&format!("manifests/m{at}.yaml"), &thing(&format!("team-{at}"), "password: {$secret: db}"));
    }
    home.put("team-a", live);
    sandbox.write("manifests/a.yaml", &thing("team-a", &format!("{stated}, password: {{$secret: db}}")));
    sandbox.commit("long texts");
    for args in [
        &["plan"][..],
        &["plan", "-vv"],
        &["plan", "-o", "json"],
        &["plan", "-o", "markdown"],
        &["apply", "--yes", "-v"],
        &["apply", "--yes", "-o", "json"],
        &["watch", "--once"],
    ] {
        let ran = sandbox.watched(args).stays_small();
        no_piece(&ran.stdout);
        no_piece(&ran.stderr);
        assert!(matches!(ran.code, Some(0 | 1 | 3)), "{args:?}: {:?}{}", ran.code, ran.stderr);
    }
    assert!(home.writes() >= 200, "{} writes", home.writes());
    no_piece(&sandbox.run(["record", "show", "-o", "json"]).stdout);
}

#[test]
fn sec_02_a_secret_that_the_server_copies_into_another_field_is_hidden_there_too() {
    let home = Fake::honest();
    let sandbox = guarded(&home.url(), &home.url());
    home.put("team-a", serde_json::json!({"name": "team-a", "size": 1, "note": format!("x {PASSWORD} y"), "labels": {"last-applied": format!("{{\"password\":\"{PASSWORD}\"}}")}}));
    sandbox.write(
        "manifests/a.yaml",
        &thing("team-a", "size: 1, note: mine, labels: {last-applied: gone}, password: {$secret: db}"),
    );
    sandbox.commit("copies");
    for output in ["text", "json", "markdown"] {
        let ran = sandbox.run(["plan", "-o", output, "-vv"]).exits(0);
        assert!(ran.stdout.contains("note"), "{}", ran.stdout);
        if output == "text" {
            told(&sandbox, "SEC-02", &["plan", "-o", output, "-vv"], &ran);
        }
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(PASSWORD), "{}", ran.stdout);
    }
}

#[test]
fn rsp_26_an_error_that_echoes_a_secret_in_the_servers_own_spelling_does_not_show_it() {
    let secret = "pä$\"w\\o<r>d+Canary/4711";
    for echo in ["p\\u00e4$\\\"w\\\\o<r>d+Canary/4711", "p%C3%A4%24%22w%5Co%3Cr%3Ed%2BCanary/4711"] {
        let home = Fake::scripted(move |asked| {
            (asked.method == "PUT").then(|| plain(422, "", &format!("{{\"message\":\"not {echo}\"}}")))
        });
        let sandbox = guarded(&home.url(), &home.url()).env("DB_PASSWORD", secret);
        sandbox.write("manifests/a.yaml", &thing("team-a", "size: 1, password: {$secret: db}"));
        sandbox.commit("a secret");
        let ran = sandbox.run(["apply", "--yes", "-vv"]);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(text.contains("answered 422") && !text.contains("Canary"), "{text}");
    }
    let home = Fake::scripted(|asked| {
        let echo = format!("{{\"message\":\"{PASSWORD} is too weak\"}}");
        (asked.method == "PUT").then(|| plain(422, "", &echo))
    });
    let sandbox = guarded(&home.url(), &home.url());
    let ran = sandbox.run(["apply", "--yes"]);
    told(&sandbox, "RSP-26", &["apply", "--yes"], &ran);
    assert!(home.names().is_empty());
}

#[test]
fn sec_03_a_url_with_a_password_is_refused_and_not_shown() {
    let home = Fake::honest();
    let sandbox = project(&home.url(), "");
    let url = format!("http://user:{PASSWORD}@127.0.0.1:{}", home.port);
    project_at(&sandbox, &url, "");
    sandbox.commit("userinfo");
    for args in [
        &["plan"][..],
        &["plan", "-o", "json"],
        &["plan", "--dirty"],
        &["validate"],
        &["apply", "--yes"],
        &["status"],
        &["watch", "--once"],
        &["target", "list"],
    ] {
        let ran = sandbox.watched(args).stays_small().warns("holds a user name");
        // A watcher waits for a better commit; one that looks once has nothing to go by.
        assert_eq!(ran.code, Some(if args[0] == "watch" { 8 } else { 6 }), "{args:?}: {}", ran.stderr);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(PASSWORD), "{args:?}: {}{}", ran.stdout, ran.stderr);
    }
    told(&sandbox, "SEC-03", &["plan"], &sandbox.run(["plan"]));
    assert!(home.asked().is_empty());
    // A line beside the one that is wrong is shown with it.
    project_at(&sandbox, &format!("{}\n    nonsense: 1", home.url()), &format!("    # {url}\n"));
    sandbox.commit("a comment");
    let ran = sandbox.run(["plan"]).exits(6).warns("# http://****");
    assert!(!ran.stderr.contains(PASSWORD), "{}", ran.stderr);
}

#[test]
fn sec_03_a_remote_with_a_password_is_never_shown() {
    let home = Fake::honest();
    let sandbox = project(&home.url(), "");
    let remote = format!("http://user:{PASSWORD}@127.0.0.1:1/x.git");
    sandbox.git(["remote", "add", "origin", &remote]);
    let text = fs::read_to_string(sandbox.repo().join("ctl.yaml")).unwrap();
    sandbox.write("ctl.yaml", &format!("{text}record: {{push: origin}}\n")).commit("a record beyond");
    for args in [
        &["plan", "-vv"][..],
        &["apply", "--yes", "-vv"],
        &["apply", "--yes", "-o", "json"],
        &["record", "show"],
        &["record", "verify"],
        &["history"],
        &["status"],
        &["watch", "--once"],
    ] {
        let ran = sandbox.watched(args).stays_small();
        assert!(!matches!(ran.code, Some(0 | 2 | 101) | None), "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(PASSWORD), "{args:?}: {}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(home.writes(), 0);
}

#[test]
fn sec_05_a_credential_that_fits_no_header_is_an_error_that_does_not_show_it() {
    let home = Fake::honest();
    let bad = "CANARY\r\nEvil: header-4711";
    let sandbox = guarded(&home.url(), &home.url()).env("SHOP_TOKEN", bad);
    let ran = sandbox.watched(&["apply", "--yes", "-vv"]).stays_small();
    let text = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!matches!(ran.code, Some(0 | 101) | None), "{text}");
    assert!(!text.contains("header-4711"), "{text}");
    told(&sandbox, "SEC-05", &["apply", "--yes"], &sandbox.run(["apply", "--yes"]));
    assert!(home.asked().is_empty());
}
