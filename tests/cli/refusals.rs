//! What is refused, or taken, when it is read: nothing is contacted yet.

use crate::fake::Fake;
use crate::hostile::{project, thing};

#[test]
fn a_secret_in_clear_is_refused_with_its_line_and_contacts_nobody() {
    let fake = Fake::honest();
    for (password, refused) in [("hunter2-in-git", true), ("{deep: [hunter2-in-git]}", true), ("4711", true)]
        .into_iter()
        .chain([("\"\"", false), ("null", false), ("true", false)])
    {
        let sandbox = project(&fake.url(), "");
        sandbox.write("manifests/a.yaml", &thing("a", &format!("size: 1, password: {password}"))).commit("a password");
        let ran = sandbox.run(["validate"]);
        assert_eq!(ran.code, Some(if refused { 6 } else { 0 }), "{password}: {}", ran.stderr);
        if refused {
            ran.warns("secret-in-clear").warns("manifests/a.yaml:4:");
            sandbox.run(["plan"]).exits(6);
        }
    }
    assert!(fake.asked().is_empty());
}

#[test]
fn a_secret_in_clear_by_way_of_a_value_is_refused_too() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "    values: {pw: hunter2-in-git}\n");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1, password: {$value: pw}")).commit("a password");
    sandbox.run(["plan"]).exits(6).warns("secret-in-clear");
    assert!(fake.asked().is_empty());
}
