//! Which real programs are here, and may be used.

/// Whether `program` is there; says that a test is skipped if it is not, or fails where everything must be tested
/// (`CTL_TEST_ALL=1`). With `CTL_TEST_SERVERS=none` nothing is there.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test finds programs as a shell does, and says so"
)]
pub(crate) fn installed(program: &str) -> bool {
    let unwanted = std::env::var_os("CTL_TEST_SERVERS").is_some_and(|wanted| wanted == "none");
    let found = !unwanted
        && std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    assert!(found || std::env::var_os("CTL_TEST_ALL").is_none(), "{program} is not here, and CTL_TEST_ALL is set");
    if !found {
        eprintln!("skipped: {program} is not here, or not wanted (tests/servers/install)");
    }
    found
}
