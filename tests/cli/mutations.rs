//! Seeded mutations of everything that is read from outside, through the library's own doors: none may panic, hang or
//! be taken for something that it is not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ctl::credentials::{Access, NoSecrets, Operator};
use ctl::manifest::{self, api::ApiDescription};
use ctl::model::{EndpointName, Scope, SourceFile};
use ctl::net::{NetError, Transport};
use ctl::store::{FileStore, RecordName, Store as _};
use ctl::target::Target as _;
use ctl::target::http::{HttpConfig, HttpTarget};
use ctl::world::{Clock, Entropy};
use sha2::Digest as _;

use crate::fake::Fake;
use crate::hostile::{API, project, thing};

/// How long each of the five may take.
const TIME: Duration = Duration::from_secs(4);

/// What mutations put in: the signs that the formats live on, and those that break them.
const PIECES: [&[u8]; 40] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"",
    b"'",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"---\n",
    b"\n",
    b"\t",
    b"\r\n",
    b"|\n",
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xe2\x80\xae",
    b"{{",
    b"$secret",
    b"$value",
    b"/",
    b"..",
    b"%2f",
    b"{name}",
    b"{*}",
    b"-",
    b"1e999999999",
    b"-0",
    b"0x",
    b"null",
    b"~",
    b"true",
    b"\\u0000",
    b"\\ud800",
    b"99999999999999999999999",
    b"\xef\xbb\xbf",
];

/// One mutation of `seed` (and of `other`, for a splice).
fn mutated(seed: &[u8], other: &[u8], chance: &Entropy) -> Vec<u8> {
    let mut out = seed.to_vec();
    let pick = |n: usize| usize::try_from(chance.next() % (n.max(1) as u64)).unwrap();
    for _ in 0..=pick(4) {
        let at = pick(out.len() + 1);
        match pick(7) {
            0 => drop(out.splice(at..at, PIECES[pick(PIECES.len())].iter().copied())),
            1 => drop(out.drain(at..(at + pick(12)).min(out.len()))),
            2 => out.truncate(at),
            3 if at < out.len() => out[at] ^= 1 << pick(8),
            4 => {
                let from = pick(other.len());
                let piece = other[from..(from + pick(40)).min(other.len())].to_vec();
                drop(out.splice(at..at, piece));
            }
            5 => {
                let piece = out[at..(at + pick(20)).min(out.len())].to_vec();
                let times = 1 + pick(60);
                drop(out.splice(at..at, piece.repeat(times)));
            }
            _ => drop(out.splice(at..at, PIECES[pick(PIECES.len())].repeat(1 + pick(100)))),
        }
    }
    out
}

/// Mutates `seeds` for a while, and often enough that it is no empty test.
fn each(name: &str, seeds: &[Vec<u8>], mut read: impl FnMut(&[u8])) {
    let chance = Entropy::seeded(4711);
    let started = Instant::now();
    let mut count = 0_u64;
    while started.elapsed() < TIME || count <= 20 {
        let seed = &seeds[usize::try_from(chance.next() % seeds.len() as u64).unwrap()];
        let other = &seeds[usize::try_from(chance.next() % seeds.len() as u64).unwrap()];
        let bytes = mutated(seed, other, &chance);
        let before = Instant::now();
        read(&bytes);
        assert!(before.elapsed() < Duration::from_secs(30), "{name}: {:?}", String::from_utf8_lossy(&bytes));
        count += 1;
    }
}

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const PROJECT: &str = "apiVersion: ctl/v1\nkind: Project\nmetadata: {name: shop}\nmanifests: [manifests/, more]\nrecord: {push: origin}\nvalues: {size: 3}\ntargets:\n  dns:\n    api: fake\n    endpoints: {a: http://127.0.0.1:1, b: {url: https://b.example/api, credentials: dns-b}}\n    own: exclusive\n    rate: 50/s\n    guard: {deletes: 10%, updates: 50%}\n    values: {max-length: 1000}\n";

#[test]
fn no_manifest_and_no_project_panics() {
    let nested = "apiVersion: fake\nkind: thing\nmetadata:\n  labels: &l {team: shop}\n  dependsOn: [thing/b]\nspec:\n  <<: *l\n  name: \"a\\u00e4\"\n  text: |\n    lines\n  folded: >-\n    x\n  n: [1, 2.50, 017, no, {$value: size}, {$secret: s, version: 2}]\n---\n# more\n- 1\n";
    each("manifests", &texts(&[nested, &thing("a", "size: 1"), PROJECT]), |bytes| {
        let parsed = manifest::parse_file("m.yaml", bytes);
        let encoded = parsed.encode();
        assert!(manifest::ParsedFile::decode("m.yaml", &encoded).is_some_and(|again| again == parsed));
        let _ = manifest::ParsedFile::decode("m.yaml", bytes);
        if let Ok(text) = String::from_utf8(bytes.to_vec()) {
            let file = Arc::new(SourceFile::new("ctl.yaml", text));
            let _ = manifest::read_project(&file);
            let _ = manifest::read_documents(&file);
        }
    });
}

#[test]
fn no_description_panics() {
    let shipped =
        ["apis/powerdns.yaml", "apis/rabbitmq.yaml", "apis/kinto.yaml"].map(|path| std::fs::read(path).unwrap());
    let mut seeds = texts(&[API]);
    seeds.extend(shipped);
    each("descriptions", &seeds, |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = ApiDescription::parse("apis/x.yaml", text);
        }
    });
}

#[test]
fn no_operators_file_panics_or_shows_what_is_in_it() {
    let seed = "credentials:\n  dns:\n    hosts: [\"http://127.0.0.1:8081\"]\n    header: {name: X-API-Key, value: {text: CANARY-0815-47}}\n    api: shipped\n    grant: [{repository: \"https://forge.example/shop*\", project: shop, kinds: [rrset], match: {zone: \"shop.example.\"}}]\nsecrets:\n  p: {env: P, targets: [\"mq-*\"], kinds: [user]}\nallow: [\"http://127.0.0.1:*\"]\nrecord-key: {file: /nowhere}\nceiling: {deletes: 20%}\nrecord: {push: [\"https://x\"], file: [/tmp]}\n";
    each("operator", &texts(&[seed]), |bytes| {
        let Ok(text) = String::from_utf8(bytes.to_vec()) else { return };
        let env = BTreeMap::from([("CTL_CREDENTIALS_YAML".to_owned(), text)]);
        if let Err(diagnostic) = Operator::load(&env) {
            let shown = format!("{}{:?}", diagnostic.message, diagnostic.help);
            assert!(!shown.contains("CANARY-0815-47"), "{shown}\n{}", env["CTL_CREDENTIALS_YAML"]);
        }
    });
}

/// Gives the same bytes to every request.
struct Canned(Arc<Mutex<Bytes>>);

impl Transport for Canned {
    async fn send(&self, _: http::Request<Bytes>, _: Duration, _: usize) -> Result<http::Response<Bytes>, NetError> {
        Ok(http::Response::new(self.0.lock().unwrap().clone()))
    }
}

#[test]
fn no_answer_of_a_server_panics() {
    let paged = API.replace("base: /v1\n", "base: /v1\npage: {token: /next, as: continue, total: /total}\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let body = Arc::new(Mutex::new(Bytes::new()));
    let targets: Vec<_> = [API.to_owned(), paged]
        .iter()
        .map(|text| {
            let (description, _) = ApiDescription::parse("x.yaml", text).unwrap();
            let config = HttpConfig {
                description: Arc::new(description),
                target: "shop".parse().unwrap(),
                endpoint: EndpointName::only(),
                url: "http://127.0.0.1:1".to_owned(),
                access: Access::anonymous(),
                secrets: Arc::new(NoSecrets),
                params: BTreeMap::new(),
                clock: Clock::System,
            };
            HttpTarget::new(config, Canned(Arc::clone(&body))).unwrap()
        })
        .collect();
    let scope = Scope { endpoint: EndpointName::only(), kind: ctl::model::Kind::new("thing"), parent: None };
    let seed = r#"{"items":[{"name":"a","size":1,"deep":[[{"x":"\u00e4\n"}]]},{"name":"b","size":9007199254740993}],"next":"","total":2}"#;
    each("answers", &texts(&[seed, r#"{"items":[],"total":0}"#, "[{\"name\":\"a\"}]"]), |bytes| {
        *body.lock().unwrap() = Bytes::copy_from_slice(bytes);
        for target in &targets {
            let _ = runtime.block_on(target.observe(&scope, None));
        }
    });
}

#[test]
fn no_record_panics_and_none_that_is_damaged_is_taken_for_an_empty_one() {
    // A real record, file by file, in the form of the backend `file`.
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.run(["apply", "--yes"]).exits(0);
    let name = sandbox.git(["for-each-ref", "--format=%(refname)", "refs/ctl/records"]).trim().to_owned();
    let mut packed = Vec::new();
    for path in sandbox.git(["ls-tree", "-r", "--name-only", &name]).lines() {
        let text = sandbox.git(["cat-file", "blob", &format!("{name}:{path}")]);
        packed.extend_from_slice(format!("{} {path}\n{text}", text.len()).as_bytes());
    }
    let dir = sandbox.root().join("record");
    let folder = dir.join("shop/shop");
    std::fs::create_dir_all(&folder).unwrap();
    let store = FileStore::new(&dir);
    let record = RecordName { project: "shop".parse().unwrap(), target: "shop".parse().unwrap() };
    let read = |bytes: &[u8]| {
        let digest: String = sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        let file = folder.join(format!("{:012}-{digest}.record", 1));
        std::fs::write(&file, bytes).unwrap();
        std::fs::write(folder.join("head"), format!("1-{digest}\n")).unwrap();
        let found = store.read(&record);
        std::fs::remove_file(file).unwrap();
        found
    };
    let whole = read(&packed);
    assert!(whole.is_ok(), "{whole:?}");
    each("records", &[packed], |bytes| {
        if let Ok((tip, _)) = read(bytes) {
            assert!(tip.is_some(), "a record that is there was taken for none");
        }
    });
}
