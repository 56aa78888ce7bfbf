//! What a project file may say, and what is complained of.

use super::*;

fn read(text: &str) -> Result<(Project, Vec<Diagnostic>), Vec<Diagnostic>> {
    read_project(&Arc::new(SourceFile::new("shop/ctl.yaml", text)))
}

#[test]
fn every_field_of_a_project_is_read() {
    let (project, warnings) = read(
        r#"
apiVersion: ctl/v1
kind: Project
metadata: {name: shop}
manifests: [manifests/, more]
record: {push: origin}
values: {size: 3}
targets:
  dns:
    api: zones
    endpoints: {a: http://127.0.0.1:1, b: {url: https://b.example/api, credentials: dns-b}}
    credentials: dns
    own: exclusive
    concurrency: 8
    rate: 50/s
    burst: 100
    guard: {deletes: 10%, updates: 50%}
    marks: off
    values: {max-length: 1000}
  local: {api: plain, url: embedded}
"#,
    )
    .unwrap();
    assert_eq!(warnings, []);
    assert_eq!(project.folder, "shop");
    assert_eq!(project.manifests, ["shop/manifests", "shop/more"]);
    assert_eq!(project.record, RecordPlace::Push("origin".into()));
    let dns = &project.targets[&"dns".parse().unwrap()];
    let credentials: Vec<_> = dns.endpoints.values().map(|e| e.credentials.as_deref().unwrap()).collect();
    assert_eq!(credentials, ["dns", "dns-b"]);
    assert_eq!(
        (dns.own, dns.concurrency, dns.rate, dns.burst, dns.marks),
        (Own::Exclusive, Some(8), Some(50), Some(100), false)
    );
    assert_eq!(dns.guard, Guard { deletes: 10, updates: Some(50) });
    assert_eq!(dns.values["max-length"], Value::from(1000));
    assert_eq!(dns.span.as_ref().unwrap().line, 9);
    assert_eq!(project.targets[&"local".parse().unwrap()].endpoints[&EndpointName::only()].url, "embedded");
}

#[test]
fn the_records_refs_have_a_place_of_their_own() {
    let said = |refs: &str| {
        let text = format!(
            "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nrecord: {{push: origin, refs: {refs}}}\ntargets: {{a: {{api: b, url: http://h}}}}\n"
        );
        read(&text).map(|(project, _)| project.record_refs)
    };
    for (refs, prefix) in [("refs/heads/ctl", "refs/heads/ctl/"), ("refs/heads/ctl/shop/", "refs/heads/ctl/shop/")] {
        assert_eq!(said(refs).unwrap().as_deref(), Some(prefix));
    }
    for refs in ["refs/heads/", "refs", "heads/ctl", "refs/heads//x", "refs/heads/../x", "refs/heads/a~b", "\"\""] {
        assert_eq!(said(refs).unwrap_err()[0].code, "wrong-value", "{refs}");
    }
}

#[test]
fn a_url_is_whole_and_holds_no_user() {
    for good in ["http://h", "https://h:1/a/b", "HTTP://[::1]:80", "embedded"] {
        assert_eq!(check_url(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "h:80",
        "ftp://h",
        "http://",
        "http:///h",
        "http://:80",
        "http://u@h",
        "http://good@evil/",
        "http://h/?q",
        "http://h/#f",
        "http://h\n",
        "http://h\\@e",
        "ssh://-oProxyCommand=x",
        "http://h /",
    ] {
        assert!(check_url(bad).is_err(), "{bad}");
    }
}
