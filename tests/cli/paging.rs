//! Lists in pages, of servers that give fewer items than they are asked for.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::fake::{Fake, plain};
use crate::hostile::{project_at, thing};
use crate::sandbox::Sandbox;

/// Things, in pages of at most `cap`; without a page it answers as `beyond` says.
fn capped(cap: usize, total: bool, beyond: u16) -> Fake {
    let things: Mutex<BTreeMap<String, Value>> = Mutex::default();
    Fake::scripted(move |asked| {
        let mut things = things.lock().unwrap();
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let word = |name: &str| query.split('&').find_map(|word| word.strip_prefix(name)?.parse::<usize>().ok());
        let name = path.trim_start_matches("/things").trim_start_matches('/').to_owned();
        let (status, body) = match asked.method.as_str() {
            "GET" if name.is_empty() => {
                let size = word("per=").unwrap_or(cap).min(cap);
                let from = word("from=").unwrap_or_else(|| (word("page=").unwrap_or(1) - 1) * size);
                let items: Vec<_> = things.values().skip(from).take(size).collect();
                let mut body = json!({"items": items});
                if total {
                    body["total"] = json!(things.len());
                }
                if items.is_empty() && from > 0 && beyond == 404 { (404, json!({})) } else { (200, body) }
            }
            "GET" => things.get(&name).map_or((404, json!({})), |thing| (200, thing.clone())),
            "DELETE" => {
                things.remove(&name);
                (204, json!({}))
            }
            _ => {
                let thing: Value = serde_json::from_slice(&asked.body).unwrap();
                things.insert(name, thing.clone());
                (200, thing)
            }
        };
        Some(plain(status, "", &if status == 204 { String::new() } else { body.to_string() }))
    })
}

fn world(fake: &Fake, page: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        &format!(
            "api: fake\npage: {{{page}}}\ntypes:\n  thing: {{path: \"/things/{{name}}\", list: {{get: /things, items: /items}}, write: {{put: all}}}}\n"
        ),
    );
    project_at(&sandbox, &fake.url(), "");
    for name in ["a", "b", "c", "d", "e"] {
        sandbox.write(&format!("manifests/{name}.yaml"), &thing(name, "size: 1"));
    }
    sandbox.commit("five things");
    sandbox
}

fn lists(fake: &Fake) -> usize {
    fake.asked().iter().filter(|asked| asked.method == "GET" && asked.path.starts_with("/things?")).count()
}

#[test]
fn a_server_that_gives_smaller_pages_than_it_is_asked_for_hides_nothing() {
    for page in [
        "number: page, until: short, size: {per: 100}",
        "offset: from, size: {per: 100}",
        "offset: from, size: {per: 100}, total: /total",
    ] {
        for beyond in [200, 404] {
            let fake = capped(2, page.contains("total"), beyond);
            let sandbox = world(&fake, page);
            sandbox.run(["apply", "--yes"]).exits(0).says("5 created");
            let before = lists(&fake);
            // Unseen, the last three would be wanted again.
            sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do: 5 resources");
            // The empty one at the end is asked for where nothing says that the third is the last.
            let pages = if page.contains("total") { 3 } else { 4 };
            assert_eq!(lists(&fake) - before, pages, "{page}");
        }
    }
}

#[test]
fn what_a_small_page_does_not_show_is_still_deleted() {
    let fake = capped(2, false, 200);
    let sandbox = world(&fake, "number: page, until: short, size: {per: 100}");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/e.yaml").commit("e goes");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do: 4 resources");
}

#[test]
fn where_a_page_was_full_a_short_one_is_the_last() {
    let fake = capped(2, false, 200);
    let sandbox = world(&fake, "number: page, until: short, size: {per: 2}");
    sandbox.run(["apply", "--yes"]).exits(0);
    let before = lists(&fake);
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(lists(&fake) - before, 3);
}
