//! What the reports look like: transcripts under `tests/fixtures/report/`, rewritten by `CTL_BLESS=1`.

mod standing;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::Ending;
use crate::model::*;
use crate::plan::*;

const HOSTILE: &str = "@admin ![x](http://evil.example) <img src=x> [a](javascript:1) `` ``` \u{1b}[2J\u{202e}\n::error::x www.evil.example a@b.example #1";

fn digest(byte: &str) -> Digest {
    Digest::parse(&byte.repeat(64)).unwrap()
}

fn canonical(value: impl Into<Value>) -> Option<Canonical> {
    Some(value.into().canonical())
}

fn span(file: &str, line: u32) -> Option<Span> {
    Some(Span { file: file.into(), line, column: 3, offset: 0, len: 0 })
}

fn field(path: &str, before: Option<Canonical>, after: Option<Canonical>, source: Option<Span>) -> FieldDiff {
    let path = FieldPath::parse(path);
    FieldDiff {
        path,
        before,
        after,
        secret: false,
        forces_replace: false,
        cause: Cause::Intended,
        source: source.map(Box::new),
    }
}

fn id(target: &str, kind: &str, key: &[&str]) -> ResourceId {
    ResourceId { target: target.parse().unwrap(), kind: Kind::new(kind), key: Key::of_texts(key) }
}

fn desired(id: &ResourceId, path: &str) -> Arc<Desired> {
    let body = Value::object().canonical();
    let digest = body.digest();
    let origin = Origin { path: path.into(), blob: "".into(), document: 0, values: Arc::new([]) };
    Arc::new(Desired { id: id.clone(), body, digest, meta: Arc::default(), origin })
}

fn observed(id: &ResourceId) -> Observed {
    Observed { key: id.key.clone(), body: bytes::Bytes::from_static(b"{}"), token: None, uid: None, mark: None }
}

fn delete(id: &ResourceId) -> Change {
    let owned = Owned::claim(observed(id), None, OwnRule::Exclusive).unwrap();
    Change::Delete { owned: Box::new(owned), entry: None }
}

fn create(id: &ResourceId) -> Change {
    Change::Create { desired: desired(id, "shop/mq.yaml") }
}

fn update(id: &ResourceId) -> Change {
    Change::Update { desired: desired(id, "shop/mq.yaml"), base: Box::new(observed(id)), remove: Vec::new() }
}

fn op(resource: ResourceId, change: Change, fields: Vec<FieldDiff>) -> Operation {
    Operation {
        id: OpId(0),
        endpoint: EndpointName::only(),
        resource,
        change,
        replaces: None,
        cause: Cause::Intended,
        precondition: Precondition::Absent,
        after: Vec::new(),
        moved: false,
        phase: Stage::Delete,
        cascades: Vec::new(),
        rehearsed: false,
        fields,
    }
}

fn plan(mut operations: Vec<Operation>) -> Plan {
    for (i, op) in operations.iter_mut().enumerate() {
        op.id = OpId(u32::try_from(i).unwrap() + 1);
    }
    Plan {
        project: "shop".parse().unwrap(),
        commit: Revision::parse(&"1f".repeat(20)).unwrap(),
        snapshot: digest("0"),
        operations,
        unchanged: 40,
        unknown: 0,
        unknown_scopes: Vec::new(),
        diagnostics: Vec::new(),
        refusals: Vec::new(),
        calls: Vec::new(),
    }
}

/// A plan that has one of everything.
fn rich() -> Plan {
    let old = id("mq", "queue", &["/", "old-orders"]);
    let host = id("mq", "exchange", &["/", "orders"]);
    let orders = id("mq", "queue", &["/", "orders"]);
    let user = id("mq", "user", &["orders"]);
    let zone = id("dns", "rrset", &["shop.example.", "www", "A"]);
    let gone = id("dns", "rrset", &["shop.example.", "ftp", "A"]);
    let config = id("web", "site", &["shop"]);

    let mut removal = op(old.clone(), delete(&old), vec![field("/durable", canonical(true), None, None)]);
    removal.cascades =
        vec![Cascade { kind: Kind::new("binding"), key: Key::of_texts(&["/", "b1"]), owned: false, recreated: false }];
    removal.precondition = Precondition::Unconditional("this API has no conditional delete");
    let mut first = op(host.clone(), delete(&host), Vec::new());
    first.replaces = Some(OpId(4));
    let mut second = op(
        host.clone(),
        create(&host),
        vec![FieldDiff {
            forces_replace: true,
            ..field("/type", canonical("direct"), canonical("topic"), span("shop/mq.yaml", 4))
        }],
    );
    second.replaces = Some(OpId(3));
    second.moved = true;
    second.after = vec![After { op: OpId(3), reason: EdgeReason::Replace }];
    let added = op(
        orders.clone(),
        create(&orders),
        vec![
            field("/durable", None, canonical(true), span("shop/mq.yaml", 14)),
            field("/arguments/x-max-length", None, canonical(10_000_u64), span("shop/mq.yaml", 15)),
        ],
    );
    let secret = Value::Secret(SecretRef { name: "orders-password".into(), version: Some(2) });
    let password = op(
        user.clone(),
        update(&user),
        vec![FieldDiff {
            secret: true,
            ..field("/password", canonical("hunter2"), canonical(secret), span("shop/mq.yaml", 22))
        }],
    );
    let mut address = op(
        zone.clone(),
        update(&zone),
        vec![
            field("/ttl", canonical(300_u64), canonical(3_600_u64), span("shop/dns.yaml", 7)),
            FieldDiff {
                cause: Cause::Drift,
                ..field(
                    "/records",
                    canonical(vec![Value::from("192.0.2.9")]),
                    canonical(vec![Value::from("192.0.2.1"), Value::from("192.0.2.2")]),
                    span("shop/dns.yaml", 8),
                )
            },
        ],
    );
    address.cause = Cause::Both;
    let text = op(
        config.clone(),
        update(&config),
        vec![field(
            "/config",
            canonical("listen 80\nroot /srv\nindex a.html\n"),
            canonical("listen 80\nroot /srv/shop\nindex a.html\n"),
            span("shop/web.yaml", 3),
        )],
    );
    let adopted = op(
        gone.clone(),
        Change::Adopt { desired: desired(&gone, "shop/dns.yaml"), observed: Box::new(observed(&gone)) },
        Vec::new(),
    );
    let mut plan = plan(vec![adopted, removal, first, second, added, password, address, text]);
    plan.unknown = 2;
    plan.unknown_scopes = vec![UnknownScope {
        target: "web".parse().unwrap(),
        scope: Scope { endpoint: EndpointName::only(), kind: Kind::new("upstream"), parent: None },
        why: "page 3 of 7 did not come: 503".into(),
    }];
    plan.diagnostics = vec![
        Diagnostic::warning("normalised", "web:site/shop: the server rewrites /config/0")
            .help("add `unordered: true` to the field in the description"),
    ];
    plan.refusals = vec![Refusal {
        gate: "deletes",
        target: "mq".parse().unwrap(),
        endpoint: None,
        kind: Some(Kind::new("queue")),
        message: "4 of 10 would be deleted (40 %), and 30 % may be".into(),
        help: "--allow-deletes 2222222222".into(),
    }];
    plan
}

fn view(colour: bool) -> PlanView<'static> {
    let style = Style { colour, ..Style::plain() };
    PlanView {
        style,
        show_all: false,
        checksum: digest("1"),
        deletes_checksum: digest("2"),
        folder: "shop",
        key_names: &key_names,
    }
}

fn results(plan: &Plan) -> Results {
    let mut results = Results { took: Duration::from_millis(1_234), ..Results::default() };
    for op in &plan.operations {
        let ending = match op.id.0 {
            5 => Ending::Failed {
                why: "422: max-length is too large".into(),
                help: Some("see shop/mq.yaml:15".into()),
                field: None,
            },
            6 => Ending::Skipped { why: "op-5 failed".into() },
            7 => Ending::Conflict { why: "the ETag is another one".into() },
            8 => Ending::InDoubt { why: "no answer came within 30 s".into() },
            _ => Ending::Done,
        };
        results.endings.insert(op.id, ending);
    }
    results
}

fn key_names(_: &TargetName, kind: &Kind) -> Vec<String> {
    match kind.as_str() {
        "rrset" => vec!["zone".into(), "name".into(), "type".into()],
        "queue" | "exchange" => vec!["vhost".into(), "name".into()],
        _ => vec!["name".into()],
    }
}

/// Compares with a fixture, or writes it when blessing.
#[track_caller]
fn transcript(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report").join(name);
    #[expect(clippy::disallowed_methods, reason = "a test is asked to write its expectation")]
    let bless = std::env::var_os("CTL_BLESS").is_some();
    if bless {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == found, "{name} differs (CTL_BLESS=1 rewrites it):\n{found}");
}

/// What ships lets members be added later; what is written today must all be described.
fn close(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Object(map) => {
            if map.get("properties").is_some_and(serde_json::Value::is_object) && map.contains_key("type") {
                map.entry("additionalProperties").or_insert(false.into());
            }
            map.values_mut().for_each(close);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[track_caller]
fn valid(schema: &str, document: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas").join(schema);
    let mut schema: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    close(&mut schema);
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn every_output(plan: &Plan) -> Vec<(&'static str, String)> {
    let results = results(plan);
    vec![
        ("plan text", plan_text(plan, &view(false))),
        ("plan json", plan_json(plan, &digest("1"), &digest("2"), &key_names)),
        ("plan markdown", plan_markdown(plan, &view(false))),
        ("apply text", apply_text(plan, &results, &Style::plain())),
        ("apply json", apply_json(plan, &digest("1"), &results)),
        ("apply markdown", apply_markdown(plan, &digest("1"), &results)),
    ]
}

#[test]
fn a_plan_reads_like_this() {
    transcript("plan-with-one-of-everything/plan.txt", &plan_text(&rich(), &view(false)));
    transcript("plan-with-one-of-everything/plan-in-colour.txt", &plan_text(&rich(), &view(true)));
    transcript("plan-with-one-of-everything/plan.md", &plan_markdown(&rich(), &view(false)));
    transcript("plan-with-one-of-everything/plan.json", &plan_json(&rich(), &digest("1"), &digest("2"), &key_names));
}

#[test]
fn an_apply_reads_like_this() {
    let plan = rich();
    transcript("apply-that-fails-in-part/apply.txt", &apply_text(&plan, &results(&plan), &Style::plain()));
    transcript("apply-that-fails-in-part/apply.md", &apply_markdown(&plan, &digest("1"), &results(&plan)));
    transcript("apply-that-fails-in-part/apply.json", &apply_json(&plan, &digest("1"), &results(&plan)));
}

#[test]
fn the_help_for_a_conflict_fits_what_was_tried() {
    let a = id("edge", "service", &["a"]);
    for (change, expected) in [
        (create(&a), "where the list does not show it"),
        (delete(&a), "the answer says what stands in the way"),
        (update(&a), "what somebody else made of it stands"),
    ] {
        let ending = Ending::Conflict { why: "answered 409".to_owned() };
        let (_, _, help) = apply_json::spelled(Some(&ending), change.action());
        assert!(help.is_some_and(|h| h.contains(expected)), "{help:?}");
    }
}

#[test]
fn colour_changes_no_letter() {
    let colour = plan_text(&rich(), &view(true));
    let mut plain = String::new();
    let mut rest = colour.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    assert_eq!(plain, plan_text(&rich(), &view(false)));
}

#[test]
fn documents_fit_their_schemas() {
    let plan = rich();
    valid("plan.schema.json", &plan_json(&plan, &digest("1"), &digest("2"), &key_names));
    valid("apply.schema.json", &apply_json(&plan, &digest("1"), &results(&plan)));
    let call = AfterCall { call: "POST /save".to_owned(), kinds: BTreeSet::from([Kind::new("queue")]) };
    let (target, endpoint): (TargetName, EndpointName) = ("mq".parse().unwrap(), "a".parse().unwrap());
    let called =
        |ending| CallResult { target: target.clone(), endpoint: endpoint.clone(), call: call.call.clone(), ending };
    let doubt = Ending::InDoubt { why: "no answer".to_owned() };
    let planned = PlannedCall { target: target.clone(), endpoint: endpoint.clone(), call: call.clone(), owed: true };
    let plan = Plan { calls: vec![planned], ..plan };
    valid("plan.schema.json", &plan_json(&plan, &digest("1"), &digest("2"), &key_names));
    let results = Results { calls: vec![called(Ending::Done), called(doubt)], ..results(&plan) };
    valid("apply.schema.json", &apply_json(&plan, &digest("1"), &results));
    let json = plan_json(&plan, &digest("1"), &digest("2"), &key_names);
    let zone = json.find("\"zone\": \"shop.example.\"").unwrap();
    assert!(json[zone..].find("\"name\": \"ftp\"").unwrap() < 60, "key fields stand in key order");
}

#[test]
fn the_last_line_counts() {
    let make = |n: usize| -> Vec<Operation> {
        (0..n).map(|i| id("mq", "queue", &[&i.to_string()])).map(|id| op(id.clone(), create(&id), Vec::new())).collect()
    };
    assert_eq!(summary_line(&plan(make(2))), "Plan: 0 to delete, 2 to create, 0 to update, 40 unchanged.");
    assert_eq!(summary_line(&plan(Vec::new())), "Nothing to do: 40 resources are as declared.");
    let unknown = Plan { unknown: 3, ..plan(Vec::new()) };
    assert_eq!(summary_line(&unknown), "Plan: 0 to delete, 0 to create, 0 to update, 40 unchanged, 3 unknown.");
    let mut refused = plan(Vec::new());
    refused.unchanged = 0;
    refused.refusals = rich().refusals;
    assert_eq!(summary_line(&refused), "Nothing was planned: see what was refused.");
    let line = "Plan: 1 to delete, 1 to create, 3 to update, 1 to replace, 1 to adopt, 40 unchanged, 2 unknown.";
    assert!(plan_text(&rich(), &view(false)).ends_with(&format!("\n{line}\n")));
}

#[test]
fn many_alike_are_cut_with_their_count_and_deletes_never() {
    let many = |change: fn(&ResourceId) -> Change| {
        let ids = (0..10_000).map(|i| id("mq", "queue", &[&format!("q{i:05}")]));
        plan(ids.map(|id| op(id.clone(), change(&id), Vec::new())).collect())
    };
    let text = plan_text(&many(create), &view(false));
    assert!(text.contains("… and 9,990 more creates of kind queue (--show-all)\n"), "{text}");
    let cut = many(create);
    assert_eq!(shown(&cut, false).len(), 10, "only these are looked up in the manifests");
    assert_eq!((shown(&cut, true).len(), shown(&many(delete), false).len()), (10_000, 10_000));
    assert!(text.lines().count() < 20);
    assert_eq!(plan_text(&many(delete), &view(false)).matches("  - delete  queue/q").count(), 10_000);
    let all = PlanView { show_all: true, ..view(false) };
    assert_eq!(plan_text(&many(create), &all).matches("create  queue/q").count(), 10_000);
    let markdown = plan_markdown(&many(delete), &view(false));
    assert!(markdown.len() <= 60_000 && markdown.contains("are not shown here"), "{}", markdown.len());
}

#[test]
fn of_a_long_line_that_changes_the_change_is_shown() {
    let text = |end: &str| format!("{} {end}", "a text that goes on ".repeat(20));
    for (before, after) in [(text("and ends"), text("and stops")), (text("x\n"), text("y\n"))] {
        let which = id("mq", "queue", &["orders"]);
        let field = field("/note", canonical(before.as_str()), canonical(after.as_str()), None);
        let shown = plan_text(&plan(vec![op(which.clone(), create(&which), vec![field])]), &view(false));
        let ends = if before.ends_with('\n') { ["x", "y"] } else { ["and ends\"", "and stops\""] };
        for (sign, end) in ["- …", "+ …"].iter().zip(ends) {
            let fits = |line: &&str| line.trim_start().starts_with(sign) && line.ends_with(end);
            assert!(shown.lines().any(|line| fits(&line)), "no {sign}{end} in {shown}");
        }
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    }
}

#[test]
fn targets_that_are_woven_into_each_other_need_no_headings() {
    let targets = ["dns", "mq", "dns", "mq", "dns", "mq"];
    let ids = targets.iter().enumerate().map(|(i, target)| id(target, "thing", &[&i.to_string()]));
    let mut woven = plan(ids.map(|id| op(id.clone(), create(&id), Vec::new())).collect());
    woven.operations[3].moved = true;
    woven.operations[3].after = vec![After { op: OpId(1), reason: EdgeReason::DependsOn }];
    let text = plan_text(&woven, &view(false));
    assert!(text.starts_with("  + create  dns:thing/0  mq.yaml\n  + create  mq:thing/1   mq.yaml\n"), "{text}");
    assert!(text.contains("mq:thing/3   mq.yaml\n      after create dns:thing/0, because of dependsOn\n"), "{text}");
}

/// SEC-01, SEC-06: whatever a secret field holds, only the secret's name is shown.
#[test]
fn no_output_holds_the_value_of_a_secret_field() {
    for canary in ["canary-0815", "-----BEGIN-----\ncanary-0815\ncanary-0816\n-----END-----", "{\"canary-0815\":1}"] {
        let user = id("mq", "user", &["orders"]);
        let fields =
            [(canonical(canary), canonical("canary-0817")), (None, canonical(canary)), (canonical(canary), None)]
                .map(|(before, after)| FieldDiff { secret: true, ..field("/password", before, after, None) });
        let plan = plan(vec![op(user.clone(), update(&user), fields.to_vec())]);
        for (name, text) in every_output(&plan) {
            assert!(!text.contains("canary"), "{name}: {text}");
        }
    }
}

/// TRM-01 to TRM-10: hostile names, values, causes and answers reach no medium as commands.
#[test]
fn hostile_data_is_only_ever_text() {
    let bad = id("mq", HOSTILE, &[HOSTILE]);
    let both = vec![
        field(
            &format!("/{}", HOSTILE.replace('/', "~1")),
            canonical(HOSTILE),
            canonical("x\n```\n\u{1b}]0;t\u{7}"),
            span(HOSTILE, 3),
        ),
        field("/x", None, canonical(HOSTILE.replace('\n', " ")), None),
    ];
    let mut plan = plan(vec![op(bad.clone(), update(&bad), both)]);
    plan.unknown_scopes = vec![UnknownScope {
        target: "mq".parse().unwrap(),
        scope: Scope { endpoint: EndpointName::only(), kind: Kind::new(HOSTILE), parent: None },
        why: HOSTILE.into(),
    }];
    plan.diagnostics = vec![Diagnostic::warning("x", HOSTILE).help(HOSTILE)];
    plan.refusals = vec![Refusal {
        gate: "deletes",
        target: "mq".parse().unwrap(),
        endpoint: None,
        kind: None,
        message: HOSTILE.into(),
        help: HOSTILE.into(),
    }];
    for (name, text) in every_output(&plan) {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{name}: {text}");
        assert!(!text.lines().any(|line| line.starts_with("::")), "{name}: {text}");
        if name.ends_with("markdown") {
            assert!(!outside_of_fences(&text).contains("evil"), "{name}: {text}");
        }
        if !name.ends_with("json") {
            assert!(!text.contains('\u{202e}'), "{name}: {text}");
        }
    }
}

fn outside_of_fences(markdown: &str) -> String {
    let mut out = String::new();
    let mut fence: Option<String> = None;
    for line in markdown.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if line == ticks && ticks.len() >= open.len() => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => out.push_str(&format!("{line}\n")),
        }
    }
    assert_eq!(fence, None, "a fence stays open: {markdown}");
    out
}

#[test]
fn a_diagnostic_shows_its_line_and_its_help() {
    let text = "kind: queue\nspec:\n  nmae: \u{1b}[2Jorders\n";
    let source = Arc::new(SourceFile::new("shop/mq.yaml", text));
    let span = Span { file: "shop/mq.yaml".into(), line: 3, column: 3, offset: 20, len: 4 };
    let found = diagnostics_text(
        &[
            Diagnostic::warning("later", "something else"),
            Diagnostic::error("unknown-field", "a queue has no field `nmae`")
                .in_source(&source, span.clone(), "did you mean `name`?")
                .help("see `ctl explain queue`"),
            Diagnostic::error("duplicate-resource", "twice").at(span, "first declared here"),
        ],
        &Style::plain(),
    );
    transcript("diagnostics-with-and-without-source/text.txt", &found);
    assert!(
        found.starts_with("error[duplicate-resource]: twice\n  shop/mq.yaml:3:3   first declared here\n"),
        "{found}"
    );
    assert!(found.ends_with("2 errors, 1 warning\n"), "{found}");
}

#[test]
fn a_diagnostic_shows_places_of_several_files() {
    let file = |path: &str, text: &str| Arc::new(SourceFile::new(path, text));
    let at = |file: &Arc<SourceFile>, line, column, len| Span {
        file: file.path.as_str().into(),
        line,
        column,
        offset: 0,
        len,
    };
    let filler = "x: 1\n".repeat(20);
    let routes = file("shop/routes.yaml", &format!("kind: route\nname: checkout\n{filler}name:\tcheckout\n"));
    let long = format!("{{{}name: checkout}}", "pad: 1, ".repeat(200));
    let base = file("shop/base.yaml", &long);
    let found = [true, false].map(|unicode| {
        diagnostics_text(
            &[Diagnostic::error("duplicate-resource", "route/checkout is declared three times")
                .in_source(&routes, at(&routes, 23, 7, 8), "here again")
                .in_source(&routes, at(&routes, 2, 7, 8), "first here")
                .in_source(&base, at(&base, 1, 1608, 8), "and here")
                .help("remove two\nor give them other names")],
            &Style { unicode, ..Style::plain() },
        )
    });
    transcript("diagnostics-with-and-without-source/several-files.txt", &found.join("\n"));
}

proptest::proptest! {
    /// Places may be wrong in every way; text may be anything.
    #[test]
    fn no_source_breaks_a_diagnostic(
        text in "([a-z \\t\u{e9}\u{4e2d}\u{1f600}\\r\\n\u{0}\u{1b}\u{202e}]|\\PC){0,60}",
        line in 0..6_u32,
        columns in proptest::collection::vec((0..80_u32, 0..90_usize), 1..4),
    ) {
        let source = Arc::new(SourceFile::new("a.yaml", text));
        let mut diagnostic = Diagnostic::error("x", "y").help("z");
        for (column, len) in columns {
            let span = Span { file: "a.yaml".into(), line, column, offset: 0, len };
            diagnostic = diagnostic.in_source(&source, span, "here");
        }
        let found = diagnostics_text(&[diagnostic], &Style::plain());
        let obeyed = found.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
        proptest::prop_assert!(!obeyed, "{}", found);
        proptest::prop_assert!(!found.contains("Failed to read"), "{}", found);
        proptest::prop_assert!(found.starts_with("error[x]: y\n") && found.ends_with("  help: z\n"), "{}", found);
    }
}

#[test]
fn what_was_not_read_for_one_reason_is_one_line() {
    let mut plan = plan(Vec::new());
    let unknown = |kind: &str, parent: Option<&str>, why: &str| UnknownScope {
        target: "dns".parse().unwrap(),
        scope: Scope {
            endpoint: EndpointName::only(),
            kind: Kind::new(kind),
            parent: parent.map(|name| Key::of_texts(&[name])),
        },
        why: why.into(),
    };
    plan.unknown_scopes = vec![
        unknown("account", None, "503"),
        unknown("record", Some("a"), "GET /a: 500"),
        unknown("record", Some("b"), "GET /b: 500"),
        unknown("record", Some("c"), "GET /c: 500"),
        unknown("record", Some("d"), "GET /d: 500"),
        unknown("zone", None, "503"),
    ];
    assert_eq!(plan_text::unread(&plan), ["dns account, zone: 503", "dns record in a, b, c and 1 more: GET /a: 500"]);
}
