//! Descriptions as they are read: what is complained of, and what is understood.

use crate::model::{FieldPath, Key, Kind, OnDelete, Value};

use super::ApiDescription;

fn complaint(text: &str) -> String {
    match ApiDescription::parse("t.yaml", text) {
        Ok((_, warnings)) => warnings.iter().map(|w| w.message.clone()).collect::<Vec<_>>().join("\n"),
        Err(errors) => {
            errors.iter().map(|e| format!("{}: {}", e.labels[0].span, e.message)).collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_a_place_and_a_suggestion() {
    for (types, expected) in [
        (
            "s: {path: \"/s/{n}\", ignroe: []}",
            "t.yaml:3:23: types/s/ignroe: unknown field `ignroe`; did you mean `ignore`?",
        ),
        ("s: {path: \"/s/{n}\", rename: {}}", "`rename` is not supported yet"),
        ("s: {path: \"/s/{n}\", after-apply: /x}", "types/s/after-apply: say with which method"),
        (
            "s: {path: \"/s/{n}\", after-apply: {post: \"/s/{n}/x\"}}",
            "`{n}` is not among `params`, and this call is about no",
        ),
        ("s: {path: \"/s/{n}\", after-apply: {post: all, path: /x}}", "`body` says all that is sent, or nothing is"),
        (
            "s: {path: \"/s/{n}\", after-apply: {post: /x, body: {\"*\": all}}}",
            "`body` says all that is sent, or nothing",
        ),
        ("s: {path: \"/s/{n}\", after-apply: {post: /x, wait: gone}}", "nothing to `wait` for"),
        ("s: {path: \"/s/{id}\", key: [n], list: keys}", "`{id}` must be a key field or a parameter"),
        ("s: {path: \"/s/{n}\", get: none, list: keys}", "`list: keys` needs `path:` or `get:`"),
        ("s: {path: \"/s/{n}\", page: {after: n, until: short}}", "`until: short` needs `size"),
        ("s: {path: \"/s/{n}\", page: {after: n, as: {x: y}}}", "each page would be the first one"),
        ("s: {path: \"/s/{n}\", revalidate: yes}", "`revalidate` takes"),
        ("s: {path: \"/s/{a.id}/{n}\", key: [n]}", "`{a.id}` is no field, and no kind has a name like that"),
        (
            "{p: {path: \"/p/{id}\", key: [name]}, s: {in: p, path: \"/p/{q.id}/s/{n}\", key: [p, n]}}",
            "types/s/path: `{q.id}` is no field, and no kind has a name like that; did you mean `{p.id}`?",
        ),
        (
            "{p: {path: \"/p/{id}\", key: [name]}, s: {path: \"/p/{p.id}/s/{n}\", list: /s}}",
            "`{p.id}`: `s` is not inside of a `p`; if it is, say `in: p`",
        ),
        (
            "{o: {path: \"/o/{n}\"}, p: {path: \"/p/{id}\", key: [name]}, s: {in: p, path: \"/p/{o.n}/s/{n}\", key: [p, n]}}",
            "`{o.n}`: `o` is no ancestor of `s`, which is in `p`",
        ),
        (
            "{p: {path: \"/p/{uuid}\", key: [name]}, s: {in: p, path: \"/p/{p.uid}/s/{n}\"}}",
            "nothing says that a `p` has a field `uid`; did you mean `{p.uuid}`?",
        ),
        (
            "{p: {path: \"/p/{name}\"}, s: {in: p, path: \"/p/{p.id}/s/{n}\"}}",
            "if the server shows one, say `server: [id]` there",
        ),
        (
            "{p: {path: \"/p/{id}\", key: [name], refs: {s: {kind: s, at: /id}}}, s: {in: p, path: \"/p/{p.id}/s/{n}\"}}",
            "only what is inside of the same one can refer to it by id",
        ),
        (
            "s: {path: \"/s/{n}\", list: {get: /s, since: {as: x, gone: y, total: /z}}}",
            "`since` needs `revalidate: whole`",
        ),
        ("s: {path: \"/s/{n}\", list: {get: /s, revalidate: whole, since: {as: x}}}", "`since` takes all of"),
        ("s: {path: \"s/{n}\"}", "did you mean `/s/{n}`?"),
        ("s: {path: /profile}", "no key"),
        ("s: {path: \"/s/{n}\", in: p}", "there is no kind `p`"),
        ("s: {path: \"/s/{n}\", refs: {n: serv}}", "there is no kind `serv`"),
        ("s: {path: \"/s/{s}/{n}\", in: s}", "`s` is inside itself"),
        ("s: {path: \"/a/{b}/c/{d}\"}", "neither a parameter nor a key field of the parent"),
        ("s: {path: \"/s/{n}\", create: {post: \"/x/{nope}\"}}", "`{nope}` is neither a key field"),
        ("s: {path: \"/s/{n}\", page: {number: p, until: long}}", "`until` takes `short` or `empty`"),
        ("s: {path: \"/s/{n}\", page: {number: p, start: 2}}", "`start` takes 0 or 1"),
        ("s: {path: \"/s/{n}\", page: {next: /n, use: querry}}", "`use` takes `query`, and nothing else"),
        ("s: {path: \"/s/{n}\", page: {next: /n, total: {header: [a]}}}", "expected a text"),
        ("s: {path: \"/s/{n}\", get: {empty: mising}}", "`empty` takes `missing`, and nothing else"),
        ("s: {path: \"/s/{n}\", delete: {delete: none, ok: {}}}", "`ok` takes {/pointer: value}"),
        ("s: {path: \"/s/{n}\", fields: {a: {wire: rot13}}}", "`wire: rot13` is not known"),
        ("s: {path: \"/s/{n}\", fields: {a/b: {secret: true}}}", "is written `/a/b`; one name with a slash, `/a~1b`"),
        ("s: {path: \"/s/{n}\", refs: {a/b: s}}", "is written `/a/b`; one name with a slash"),
        (
            "s: {path: \"/s/{n}\", refs: {n: {kind: s, at: /id}}}",
            "`n` refers to its own kind, and is a part of the key",
        ),
        (
            "{s: {path: \"/s/{n}\", refs: {f: {kind: p, at: /id}}}, p: {path: \"/p/{n}\", refs: {g: {kind: s, at: /id}}}}",
            "the ids of one kind need those of another, and the other way round",
        ),
        (
            "{s: {path: \"/s/{n}\", refs: {f: {kind: p, at: /id}}}, p: {in: o, path: \"/o/{o}/p/{n}\"}, o: {path: \"/o/{n}\"}}",
            "`at`: a `p` is inside of a `o`, and only what is inside of the same one can refer to it by id",
        ),
        (
            "{s: {path: \"/s/{n}\", refs: {f: {kind: p, at: /id}}}, p: {path: \"/p/{n}\", list: keys}}",
            "it has no list of its own",
        ),
        (
            "{s: {path: \"/s/{n}\", refs: {f: {kind: p, as: /id}}}, p: {path: \"/p/{n}\"}}",
            "and needs `at`, where it is found",
        ),
        ("s: {path: \"/s/{n}\", write: {put: all}, validate: {put: \"/s/{n}\"}}", "this is the write itself"),
        (
            "s: {path: \"/s/{n}\", update: {put: all}, validate: {put: \"/s/{n}\", body: {\"*\": all, n: \"{n}\"}}}",
            "this is the write itself",
        ),
        (
            "s: {path: \"/s/{n}\", write: {put: \"/s/{n}\", body: {\"*\": all, force: true}}, validate: {put: \"/s/{n}\", body: {\"*\": all, force: true}}}",
            "this is the write itself",
        ),
        ("s: {path: \"/s/{n}\", validate: {delete: \"/s/{n}\"}}", "a rehearsal deletes nothing"),
        ("s: {path: \"/s/{n}\", validate: {post: all}}", "needs `path:`"),
        ("s: {path: \"/s/{n}\", update: {put: al}}", "takes a path, a body, or one of"),
        ("s: {path: \"/s/{n}\", update: {put: changes, body: {\"*\": all}}}", "and `body` says it too"),
        ("s: {path: \"/s/{n}\", page: {link: next, until: short}}", "`until` means nothing beside `link`"),
        ("s: {path: \"/s/{n}\", page: {token: /t, as: t, start: 0}}", "`start` means nothing beside `token`"),
        ("s: {path: \"/s/{n}\", fields: {\"/a/*/b\": {initial: 1}}}", "it takes no `*`"),
        ("s: {path: \"/s/{n}\", ignore: [{n: \"[!a]*\"}]}", "the brackets stand for themselves"),
        ("s: {path: \"/s/{n}\"}", "nothing guards against a write in between"),
    ] {
        let said = complaint(&format!("api: t\ntypes:\n  {types}\n"));
        assert!(said.contains(expected), "{types}\n{said}");
    }
    assert!(complaint("api: [").contains("is not YAML"));
    assert!(complaint("types: {}").contains("`api: NAME` is missing"));
    assert!(complaint("api: t\nretry: {rps: 0}\ntypes: {}").contains("a number from 1 on"));
    assert!(complaint("api: t\nfence: Authorization\ntypes: {}").contains("not the name of a header"));
    assert!(complaint("api: t\nbatch: {}\ntypes: {}").contains("`batch` is not supported yet"));
}

#[test]
fn what_success_is_to_the_api_holds_for_each_call_that_says_nothing_of_its_own() {
    let text = "
api: t
ok: {/error: null}
after-apply: {post: /save}
types:
  s: {path: \"/s/{name}\", delete: {delete: \"/s/{name}\", ok: {/done: true}}}
  t: {path: \"/t/{name}\", after-apply: {post: /reload}}
";
    let (api, _) = ApiDescription::parse("t.yaml", text).unwrap();
    let (s, t) = (&api.types[&Kind::new("s")], &api.types[&Kind::new("t")]);
    let own = |kind| api.after_apply(&Kind::new(kind)).unwrap();
    for op in [s.create.as_ref().unwrap(), s.update.as_ref().unwrap(), t.delete.as_ref().unwrap(), own("s"), own("t")] {
        assert_eq!(op.ok, api.ok, "{:?}", op.path);
    }
    assert_eq!(s.delete.as_ref().unwrap().ok, [(FieldPath::parse("/done"), Value::Bool(true))]);
}

#[test]
fn a_reference_finds_the_rest_of_the_key_by_name() {
    let text = "
api: t
etag: if-match
types:
  v: {path: \"/v/{name}\"}
  q: {path: \"/q/{v}/{name}\", list: /q}
  b: {path: \"/b/{v}/{to}\", list: /b, refs: {v: v, to: {kind: q, on-delete: cascade}}}
";
    let (api, warnings) = ApiDescription::parse("t.yaml", text).unwrap();
    assert!(warnings.is_empty());
    let rules = api.table().get(&Kind::new("b")).unwrap();
    let to = rules.refs.iter().find(|r| r.kind == Kind::new("q")).unwrap();
    assert_eq!(to.through, [FieldPath::parse("v"), FieldPath::parse("to")]);
    assert_eq!(to.on_delete, OnDelete::Cascade);
    assert!(rules.refs.iter().any(|r| r.kind == Kind::new("v") && r.through.is_empty()));
}

#[test]
fn a_child_names_its_parents_by_their_kinds() {
    let text = "
api: t
etag: if-match
types:
  bucket: {path: \"/b/{id}\"}
  collection: {in: bucket, path: \"/b/{bucket}/c/{id}\"}
  record: {in: collection, path: \"/b/{bucket}/c/{collection}/r/{id}\"}
";
    let (api, _) = ApiDescription::parse("t.yaml", text).unwrap();
    let record = api.table().get(&Kind::new("record")).unwrap();
    assert_eq!(record.parent.as_ref().unwrap().fields, [0, 1]);
    assert_eq!(api.types[&Kind::new("record")].list.path.to_string(), "/b/{bucket}/c/{collection}/r");
}

#[test]
fn an_ancestors_id_in_an_address_stands_for_its_name_in_the_key() {
    let text = "
api: t
etag: if-match
types:
  org: {path: \"/orgs/{uid}\", key: [name]}
  project: {in: org, path: \"/orgs/{org.uid}/projects/{id}\", key: [org, name]}
  hook: {in: project, path: \"/orgs/{org.uid}/projects/{project.id}/hooks/{name}\"}
  limit:
    in: project
    path: \"/projects/{project.id}/limit\"
    key: [org, project]
    list: {get: \"/projects/{project.id}/limit\", shape: one}
";
    let (api, _) = ApiDescription::parse("t.yaml", text).unwrap();
    let hook = api.table().get(&Kind::new("hook")).unwrap();
    let key: Vec<&str> = hook.key.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(key, ["org", "project", "name"]);
    let above: Vec<_> = hook.ancestors.iter().map(|a| (a.hole.as_str(), a.kind.as_str(), a.fields.clone())).collect();
    assert_eq!(above, [("org.uid", "org", vec![0]), ("project.id", "project", vec![0, 1])]);
    let list = api.types[&Kind::new("hook")].list.path.to_string();
    assert_eq!(list, "/orgs/{org.uid}/projects/{project.id}/hooks");
    // What has to be read before the hooks of one project can be asked for.
    let inside = Key::of_texts(&["acme", "shop"]);
    let lists = api.table().id_lists(&Kind::new("hook"), Some(&inside));
    let acme = Some(Key::of_texts(&["acme"]));
    assert_eq!(lists, [(Kind::new("org"), None), (Kind::new("project"), acme)]);
    assert_eq!(api.table().id_lists(&Kind::new("org"), None), []);
}

#[test]
fn a_body_may_hold_an_ancestors_id_and_a_field_with_a_dot() {
    let text = "
api: t
etag: if-match
types:
  p: {path: \"/p/{id}\", key: [name]}
  s:
    in: p
    key: [p, name]
    path: \"/s/{id}\"
    list: {get: /s, query: {p: \"{p.id}\"}}
    create: {post: /s, body: {\"*\": rest, p: {id: \"{p.id}\"}, mode: \"{app.mode}\"}}
";
    let (api, _) = ApiDescription::parse("t.yaml", text).unwrap();
    let rules = api.table().get(&Kind::new("s")).unwrap();
    assert_eq!(rules.ancestors.iter().map(|a| a.hole.as_str()).collect::<Vec<_>>(), ["p.id"]);
}

#[test]
fn a_write_of_one_object_makes_it_too_where_nothing_else_is_said() {
    for (writes, can) in
        [("write: {put: all}", true), ("update: {put: all}", false), ("write: {put: all}, create: none", false)]
    {
        let text = format!("api: t\netag: if-match\ntypes:\n  s: {{path: /s, key: [], {writes}}}\n");
        let (api, _) = ApiDescription::parse("t.yaml", &text).unwrap();
        let kind = Kind::new("s");
        let (rules, ty) = (api.table().get(&kind).unwrap(), &api.types[&kind]);
        assert_eq!((rules.can_create, ty.create.is_some(), rules.can_delete), (can, can, false), "{writes}");
    }
}
