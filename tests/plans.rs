//! Runs every folder of `fixtures/plan`: `input.yaml` in, `plan.txt` out. `CTL_BLESS=1` writes the expectation anew.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use ctl::model::*;
use ctl::plan::{EndpointInput, Plan, PlanInput, Precondition, TargetInput, build};

type Yaml = serde_yaml::Value;

fn value(yaml: &Yaml) -> Value {
    Canonical::from_verified(serde_json::to_string(yaml).unwrap().as_bytes()).value()
}

fn text<'a>(yaml: &'a Yaml, name: &str) -> Option<&'a str> {
    yaml.get(name).and_then(Yaml::as_str)
}

fn flag(yaml: &Yaml, name: &str) -> bool {
    yaml.get(name).and_then(Yaml::as_bool).unwrap_or(false)
}

fn list<'a>(yaml: &'a Yaml, name: &str) -> Vec<&'a Yaml> {
    yaml.get(name).and_then(Yaml::as_sequence).map(|s| s.iter().collect()).unwrap_or_default()
}

fn texts(yaml: &Yaml, name: &str) -> Vec<String> {
    list(yaml, name).into_iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn members<'a>(yaml: &'a Yaml, name: &str) -> Vec<(&'a str, &'a Yaml)> {
    let map = yaml.get(name).and_then(Yaml::as_mapping);
    map.map(|m| m.iter().map(|(k, v)| (k.as_str().unwrap(), v)).collect()).unwrap_or_default()
}

fn rules(name: &str, yaml: &Yaml) -> KindRules {
    let keys = texts(yaml, "key");
    let mut rules = KindRules::conventional(Kind::new(name), &keys.iter().map(String::as_str).collect::<Vec<_>>());
    rules.parent =
        text(yaml, "in").map(|p| ParentRule { kind: Kind::new(p), fields: (0..keys.len().max(2) - 1).collect() });
    rules.container = flag(yaml, "container");
    rules.eventual = flag(yaml, "eventual");
    rules.listed_by_key = flag(yaml, "listed-by-key");
    rules.can_delete = !flag(yaml, "no-delete");
    rules.can_create = !flag(yaml, "no-create");
    rules.exact = flag(yaml, "exact").then(Inits::default);
    if text(yaml, "update") == Some("replace") {
        rules.update = UpdateMode::Replace;
    }
    for set in list(yaml, "unique") {
        rules.unique.push(set.as_sequence().unwrap().iter().map(|f| FieldPath::parse(f.as_str().unwrap())).collect());
    }
    for keep in members(yaml, "keep") {
        let glob = keep.1.as_str().map(str::to_owned);
        rules.keep.push(Match { fields: vec![(FieldPath::parse(keep.0), glob)] });
    }
    for (field, rule) in members(yaml, "refs") {
        rules.refs.push(RefRule {
            field: FieldPath::parse(field),
            kind: Kind::new(text(rule, "kind").unwrap()),
            through: Vec::new(),
            on_delete: match text(rule, "on-delete") {
                Some("cascade") => OnDelete::Cascade,
                Some("restrict") => OnDelete::Restrict,
                _ => OnDelete::None,
            },
            optional: flag(rule, "optional"),
            at: None,
        });
    }
    for (field, rule) in members(yaml, "fields") {
        rules.fields.insert(
            FieldPath::parse(field),
            FieldRule {
                default: rule.get("default").map(value),
                initial: rule.get("initial").map(value),
                secret: flag(rule, "secret").then_some(SecretMode::WriteOnly),
                exact: flag(rule, "exact"),
                immutable: flag(rule, "immutable"),
                loose: flag(rule, "loose"),
                unordered: flag(rule, "unordered").then_some(Unordered::ByValue),
                form: (text(rule, "form") == Some("fqdn")).then_some(Form::Fqdn),
                ..FieldRule::default()
            },
        );
    }
    rules
}

/// An item is a mapping whose first member names the kind and holds the body; the rest is about it.
fn item(yaml: &Yaml) -> (Kind, Value) {
    let (kind, body) = yaml.as_mapping().unwrap().iter().next().unwrap();
    (Kind::new(kind.as_str().unwrap()), value(body))
}

struct World {
    project: Project,
    table: KindTable,
    desired: Vec<Arc<Desired>>,
    record: EndpointRecord,
    scopes: BTreeMap<(Kind, Option<Key>), ScopeState>,
    own: Own,
    guard: Guard,
    first_run: bool,
    marks: bool,
    allow_replace: bool,
    selected: Option<BTreeSet<(Kind, Key)>>,
}

fn ended<T>(value: T) -> Complete<T> {
    Complete::finish(value, &Tally { ended: true, ..Tally::default() }).unwrap()
}

fn read(yaml: &Yaml) -> World {
    let target: TargetName = "t".parse().unwrap();
    let table =
        KindTable { kinds: members(yaml, "kinds").into_iter().map(|(n, r)| (Kind::new(n), rules(n, r))).collect() };
    let key = |kind: &Kind, body: &Value| table.get(kind).unwrap().key_of(body).unwrap();
    let mut desired = Vec::new();
    for (n, yaml) in list(yaml, "desired").into_iter().enumerate() {
        let (kind, value) = item(yaml);
        let body = value.canonical();
        let meta = Meta {
            protect: flag(yaml, "protect"),
            previously: texts(yaml, "previously"),
            on_remove: if text(yaml, "on-remove") == Some("keep") { OnRemove::Keep } else { OnRemove::Delete },
            replace: match text(yaml, "replace") {
                Some("allow") => ReplaceRule::Allow,
                Some("never") => ReplaceRule::Never,
                _ => ReplaceRule::Ask,
            },
            depends_on: texts(yaml, "dependsOn")
                .into_iter()
                .map(|address| DependsOn { target: None, address })
                .collect(),
            ..Meta::default()
        };
        desired.push(Arc::new(Desired {
            id: ResourceId { target: target.clone(), key: key(&kind, &value), kind },
            digest: body.digest(),
            body,
            meta: Arc::new(meta),
            origin: Origin { path: "m.yaml".into(), blob: "".into(), document: n, values: Arc::from([]) },
        }));
    }
    let mut scopes: BTreeMap<(Kind, Option<Key>), Vec<Observed>> = BTreeMap::new();
    for rules in table.kinds.values().filter(|r| r.parent.is_none()) {
        scopes.insert((rules.kind.clone(), None), Vec::new());
    }
    for yaml in list(yaml, "observed") {
        let (kind, body) = item(yaml);
        let rules = table.get(&kind).unwrap();
        let key = key(&kind, &body);
        for child in table.children_of(&kind) {
            scopes.entry((child.kind.clone(), Some(key.clone()))).or_default();
        }
        scopes.entry((kind, rules.parent_key(&key))).or_default().push(Observed {
            key,
            body: body.canonical().as_bytes().to_vec().into(),
            token: text(yaml, "token").map(Opaque::new),
            uid: text(yaml, "uid").map(str::to_owned),
            mark: text(yaml, "mark").and_then(Mark::parse),
        });
    }
    let mut scopes: BTreeMap<_, _> = scopes
        .into_iter()
        .map(|(scope, items)| (scope, ScopeState::Known(Arc::new(ended(Listing { items, ..Listing::default() })))))
        .collect();
    for unknown in list(yaml, "unknown") {
        let (kind, parent) = unknown.as_mapping().unwrap().iter().next().unwrap();
        let parent = parent.as_str().map(|p| Key::of_texts(&[p]));
        let why = "the answer ended early".to_owned();
        scopes.insert((Kind::new(kind.as_str().unwrap()), parent), ScopeState::Unknown { why });
    }
    let identity = (!flag(yaml, "new-endpoint")).then(|| "the server".to_owned());
    let mut record = EndpointRecord { identity, ..EndpointRecord::default() };
    for yaml in list(yaml, "recorded") {
        let (kind, body) = item(yaml);
        let key = key(&kind, &body);
        let rewritten = members(yaml, "rewritten");
        let sent = body.canonical();
        let entry = RecordEntry {
            kind: kind.clone(),
            key: key.clone(),
            server_id: None,
            uid: text(yaml, "uid").map(str::to_owned),
            digest: sent.digest(),
            sent,
            marked: flag(yaml, "marked"),
            labels: BTreeMap::new(),
            refs: Vec::new(),
            protect: flag(yaml, "protect"),
            on_remove: if text(yaml, "on-remove") == Some("keep") { OnRemove::Keep } else { OnRemove::Delete },
            rewritten: rewritten.into_iter().map(|(p, v)| (FieldPath::parse(p), Some(value(v).canonical()))).collect(),
            secrets: BTreeMap::new(),
            secret_hashes: BTreeMap::new(),
            hmac: None,
        };
        record.entries.insert((kind, key), entry);
    }
    World {
        project: Project {
            name: "shop".parse().unwrap(),
            folder: String::new(),
            manifests: Vec::new(),
            record: RecordPlace::Local,
            record_refs: None,
            values: BTreeMap::new(),
            targets: BTreeMap::new(),
        },
        desired,
        record,
        scopes,
        own: if text(yaml, "own") == Some("exclusive") { Own::Exclusive } else { Own::Recorded },
        marks: text(yaml, "marks") != Some("off"),
        guard: Guard { deletes: 30, updates: yaml.get("updates").and_then(Yaml::as_u64).map(|n| n as u8) },
        first_run: flag(yaml, "first-run"),
        allow_replace: flag(yaml, "allow-replace"),
        selected: yaml.get("selected").map(|_| {
            texts(yaml, "selected")
                .iter()
                .map(|a| a.split_once('/').unwrap())
                .map(|(k, rest)| (Kind::new(k), Key::of_texts(&rest.split('/').collect::<Vec<_>>())))
                .collect()
        }),
        table,
    }
}

fn plan(world: &World, allow_deletes: Option<Digest>) -> Plan {
    build(&PlanInput {
        project: &world.project,
        commit: Revision::parse(&"0".repeat(40)).unwrap(),
        snapshot: Digest::of(b""),
        targets: vec![TargetInput {
            name: "t".parse().unwrap(),
            table: &world.table,
            own: world.own,
            marks: world.marks,
            guard: world.guard,
            desired: ended(world.desired.clone()),
            selected: world.selected.clone(),
            endpoints: vec![EndpointInput {
                name: EndpointName::only(),
                record: &world.record,
                twice: BTreeSet::new(),
                missed: BTreeSet::new(),
                unverified: BTreeSet::new(),
                scopes: &world.scopes,
            }],
            first_run: world.first_run,
        }],
        allow_replace: world.allow_replace,
        allow_deletes,
        allow_updates: None,
    })
}

fn show(plan: &Plan) -> String {
    let mut out = String::new();
    let side = |v: &Option<Canonical>| v.as_ref().map_or("-".to_owned(), |v| v.as_str().to_owned());
    for op in &plan.operations {
        let expecting = match &op.precondition {
            Precondition::Absent => "absent".to_owned(),
            Precondition::Token(token) => format!("token {}", token.as_str()),
            Precondition::Digest(_) => "digest".to_owned(),
            Precondition::Unconditional(_) => "unconditional".to_owned(),
        };
        let half = op.replaces.map(|r| format!(" replaces={r}")).unwrap_or_default();
        let moved = if op.moved { " moved" } else { "" };
        writeln!(
            out,
            "{} {} {} ({}, {:?}, {expecting}){half}{moved}",
            op.id,
            op.change.action().as_str(),
            op.resource.local(),
            op.cause.as_str(),
            op.phase,
        )
        .unwrap();
        for after in &op.after {
            writeln!(out, "    after {}: {}", after.op, after.reason).unwrap();
        }
        for cascade in &op.cascades {
            let owned = if cascade.owned { " owned" } else { "" };
            let again = if cascade.recreated { " recreated" } else { "" };
            writeln!(out, "    takes {}/{}{owned}{again}", cascade.kind, cascade.key).unwrap();
        }
        for field in &op.fields {
            let hidden = if field.secret { " hidden" } else { "" };
            writeln!(
                out,
                "    {} {} -> {} {}{hidden}",
                field.path,
                side(&field.before),
                side(&field.after),
                field.cause.as_str()
            )
            .unwrap();
        }
    }
    for diagnostic in &plan.diagnostics {
        writeln!(out, "{:?}[{}]: {}", diagnostic.severity, diagnostic.code, diagnostic.message).unwrap();
    }
    for refusal in &plan.refusals {
        let sum = plan.deletes_checksum().to_string();
        writeln!(out, "refused[{}]: {}\n    {}", refusal.gate, refusal.message, refusal.help.replace(&sum, "SUM"))
            .unwrap();
    }
    let s = plan.summary();
    writeln!(
        out,
        "{} delete, {} create, {} update, {} replace, {} adopt, {} unchanged, {} unknown",
        s.delete, s.create, s.update, s.replace, s.adopt, s.unchanged, s.unknown
    )
    .unwrap();
    out
}

#[test]
fn each_folder_plans_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plan");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|f| f.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 20, "only {} folders", folders.len());
    let bless = option_env!("CTL_BLESS").is_some();
    let mut wrong = String::new();
    for folder in folders {
        let yaml: Yaml = serde_yaml::from_str(&std::fs::read_to_string(folder.join("input.yaml")).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let got = show(&plan(&read(&yaml), None));
        let expected = folder.join("plan.txt");
        if bless {
            std::fs::write(&expected, &got).unwrap();
        }
        let want = std::fs::read_to_string(&expected).unwrap_or_default();
        if want != got {
            writeln!(wrong, "{}\n--- expected\n{want}--- got\n{got}", folder.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// `n` owned things of which the first `gone` are no longer declared.
fn shrinking(n: usize, gone: usize) -> World {
    let names: Vec<String> = (0..n).map(|i| format!("{{thing: {{name: n{i:04}}}}}")).collect();
    let yaml = format!(
        "kinds: {{thing: {{key: [name]}}, other: {{key: [name]}}}}\nobserved: [{all}]\nrecorded: [{all}]\ndesired: [{{other: {{name: x}}}}, {kept}]",
        all = names.join(", "),
        kept = names[gone..].join(", ")
    );
    read(&serde_yaml::from_str(&yaml).unwrap())
}

#[test]
fn deletes_are_refused_past_thirty_percent_or_a_hundred() {
    for (n, gone, refused) in [
        (9, 9, false),
        (10, 3, false),
        (10, 4, true),
        (1000, 299, true), // more than a hundred
        (334, 100, false), // 29.9 %
        (332, 100, true),  // 30.1 %
        (1000, 100, false),
        (1000, 101, true),
    ] {
        let world = shrinking(n, gone);
        let first = plan(&world, None);
        assert_eq!(first.refused_in_part(&"t".parse().unwrap()), refused, "{gone} of {n}: {:?}", first.refusals);
        let consented = plan(&world, Some(first.deletes_checksum()));
        assert!(consented.refusals.is_empty(), "the very sum lets {gone} of {n} through");
        let other = plan(&world, Some(Digest::of(b"another plan")));
        assert_eq!(!other.refusals.is_empty(), refused, "another plan's sum lets nothing through");
    }
}

/// Consent is given to what a plan showed. What came into a container since is not part of it.
#[test]
fn consent_to_deletes_is_void_once_they_would_take_more_along() {
    let world = |inside: &str| {
        let yaml = format!(
            "kinds: {{zone: {{key: [name]}}, record: {{key: [zone, name], in: zone}}}}\n\
             desired: [{{zone: {{name: keep}}}}]\n\
             observed: [{{zone: {{name: a}}}}, {{zone: {{name: keep}}}}{inside}]\n\
             recorded: [{{zone: {{name: a}}}}, {{zone: {{name: keep}}}}]"
        );
        read(&serde_yaml::from_str(&yaml).unwrap())
    };
    let (empty, one) = (world(""), world(", {record: {zone: a, name: by-hand}}"));
    let two = world(", {record: {zone: a, name: by-hand}}, {record: {zone: a, name: later}}");
    let sums = [&empty, &one, &two].map(|world| plan(world, None).deletes_checksum());
    for (agreed, sum) in sums.iter().enumerate() {
        for (found, world) in [&empty, &one, &two].into_iter().enumerate() {
            let refused = !plan(world, Some(*sum)).refusals.is_empty();
            assert_eq!(refused, found != agreed && found > 0, "agreed to {agreed}, found {found}");
        }
    }
}

#[test]
fn removing_a_manifest_never_means_fewer_deletes_and_strangers_never_change_the_verdict() {
    let mut before = 0;
    for gone in 0..40 {
        let mut world = shrinking(40, gone);
        let calm = plan(&world, None);
        assert!(calm.summary().delete >= before);
        before = calm.summary().delete;
        let stranger = Observed {
            key: Key::of_texts(&["zz"]),
            body: r#"{"name":"zz"}"#.as_bytes().into(),
            token: None,
            uid: None,
            mark: None,
        };
        let scope = world.scopes.get_mut(&(Kind::new("thing"), None)).unwrap();
        let ScopeState::Known(listing) = scope else { unreachable!() };
        let mut noisy = (***listing).clone();
        noisy.items.push(stranger);
        *listing = Arc::new(ended(noisy));
        let noisy = plan(&world, None);
        assert_eq!((noisy.refusals, noisy.operations.len()), (calm.refusals, calm.operations.len()));
    }
}

#[test]
fn the_checksum_ignores_tokens_and_sees_a_value() {
    let input = |token: &str, value: u32| {
        let yaml = format!(
            "kinds: {{thing: {{key: [name]}}}}\nobserved: [{{thing: {{name: a, v: {value}}}, token: {token}}}]\n\
             recorded: [{{thing: {{name: a, v: 1}}}}]\ndesired: [{{thing: {{name: a, v: 9}}}}]"
        );
        plan(&read(&serde_yaml::from_str(&yaml).unwrap()), None).checksum()
    };
    assert_eq!(input("t1", 1), input("t2", 1));
    assert_ne!(input("t1", 1), input("t1", 2));
}
