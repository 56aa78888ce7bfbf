//! SEC-05: a panic says where it was, and nothing of what it stumbled over.
#![expect(clippy::disallowed_methods, reason = "a test asks its own environment which part it plays")]

use std::process::Command;

const CANARY: &str = "pw-CANARY-4711-wörd";
const CHILD: &str = "CTL_TEST_PANICS";

#[test]
fn sec_05_a_panic_says_where_it_was_and_no_value() {
    if std::env::var_os(CHILD).is_some() {
        ctl::cli::speak_of_defects();
        // As a slice in the middle of a sign would: the panic's own text quotes the whole value.
        let _ = std::thread::spawn(|| drop(CANARY[..CANARY.len() - 3].to_owned())).join();
        return;
    }
    let name = "sec_05_a_panic_says_where_it_was_and_no_value";
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let (place, help) = ("panicked at tests/defect.rs:14\n", "this is a defect of ctl, not of your files");
    assert!(text.contains("error[defect]: ctl ") && text.contains(place) && text.contains(help), "{text}");
    assert!(!text.contains("CANARY"), "{text}");
}
