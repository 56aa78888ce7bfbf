//! The image. Nothing is built here; what the recipe names is looked up.

use serde_json::Value;

use crate::{is_taken, path, read};

const RECIPE: &str = "packaging/Dockerfile";

/// The instructions, continued lines joined, comments left out.
fn instructions() -> Vec<(String, String)> {
    let text: Vec<String> = read(RECIPE).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let text = text.join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        (word.to_owned(), rest.trim().to_owned())
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(split).collect()
}

fn the(word: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == word).map(|(_, rest)| rest).collect()
}

#[test]
fn what_is_copied_is_there_and_gets_past_the_ignore_file() {
    let ignored = read("packaging/Dockerfile.dockerignore");
    assert!(ignored.lines().any(|line| line == "*"), "what is not named stays outside");
    let copies: Vec<String> = the("COPY").into_iter().filter(|copy| !copy.starts_with("--from")).collect();
    let sources: Vec<&str> = copies.iter().flat_map(|copy| copy.rsplit_once(' ').unwrap().0.split(' ')).collect();
    for source in &sources {
        assert!(path(source).exists(), "{source}");
        assert!(ignored.lines().any(|line| line == format!("!{source}")), "{source} is ignored");
    }
    for allowed in ignored.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(sources.contains(&allowed), "{allowed} is let in and not used");
    }
    // Whatever the build embeds or runs lies in what is copied.
    for needed in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "apis"] {
        assert!(sources.contains(&needed), "{needed}");
    }
}

#[test]
fn it_runs_the_watcher_as_nobody_in_particular() {
    assert_eq!(the("USER"), ["65532:65532"], "a number, which a platform can tell from root");
    let last_from = instructions().iter().rposition(|(word, _)| word == "FROM").unwrap();
    assert!(instructions().iter().rposition(|(word, _)| word == "USER").unwrap() > last_from);
    let command: Vec<String> = serde_json::from_str(&the("CMD")[0]).unwrap();
    is_taken(&command);
    let entry: Vec<String> = serde_json::from_str(&the("ENTRYPOINT")[0]).unwrap();
    assert_eq!(entry.last().map(String::as_str), Some("/usr/bin/ctl"));
    assert!(the("ADD").is_empty());
}

#[test]
fn its_health_is_asked_where_it_listens() {
    let port = &the("EXPOSE")[0];
    let command: Vec<String> = serde_json::from_str(&the("CMD")[0]).unwrap();
    assert!(command.contains(&format!("127.0.0.1:{port}")));
    let check = &the("HEALTHCHECK")[0];
    let check: Vec<Value> = serde_json::from_str(check.split_once("CMD ").unwrap().1).unwrap();
    assert_eq!(check.last().unwrap(), &format!("http://127.0.0.1:{port}/livez"));
}

#[test]
fn the_compiler_is_the_one_that_the_package_asks_for() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    let bases = the("ARG");
    assert!(bases[0].starts_with(&format!("BUILD=docker.io/library/rust:{version}-alpine")), "{}", bases[0]);
    assert!(bases.iter().all(|base| !base.contains("latest")));
    let alpine = bases[0].split("alpine").last().unwrap();
    assert!(bases[1].ends_with(&format!("alpine:{alpine}")), "both of one release");
}
