//! What is built into ctl: only licences and crates that `deny.toml` permits. Works offline, from what Cargo knows.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot read its files has nothing to say")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

/// The strings of the array `name = [` in `deny.toml`: each line's first quoted text.
fn listed(name: &str) -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let text = fs::read_to_string(file).unwrap();
    let entries: BTreeSet<String> = text
        .lines()
        .skip_while(|line| line.trim() != format!("{name} = ["))
        .skip(1)
        .take_while(|line| line.trim() != "]")
        .filter_map(|line| line.split('"').nth(1).map(str::to_owned))
        .collect();
    assert!(!entries.is_empty(), "deny.toml has no list named {name}");
    entries
}

/// The packages that a build for this system uses, as Cargo resolves them, without asking any registry.
fn packages() -> Vec<Value> {
    let cargo = env!("CARGO");
    let version = Command::new(cargo).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo -vV names the host");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an SPDX expression can be met from `allowed`: one side of every `OR`, both of every `AND`.
///
/// `AND` binds tighter than `OR`; the old `/` is an `OR`.
fn permitted(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = either(&words, &mut at, allowed);
    met && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = both(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        // Not `||`: the right side must be read whether it matters or not.
        met |= both(words, at, allowed);
    }
    met
}

fn both(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    if words.get(*at) == Some(&"(") {
        *at += 1;
        let met = either(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    let Some(name) = words.get(*at) else { return false };
    *at += 1;
    let mut name = (*name).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*at + 1).copied().unwrap_or_default());
        *at += 2;
    }
    allowed.contains(&name)
}

#[test]
fn every_licence_is_one_we_allow() {
    let allowed = listed("allow");
    let packages = packages();
    assert!(packages.len() > 50, "only {} packages: is this the whole graph?", packages.len());
    let strays: Vec<String> = packages
        .iter()
        .filter(|package| !permitted(package["license"].as_str().unwrap_or_default(), &allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(strays.is_empty(), "licences that deny.toml does not allow:\n{}", strays.join("\n"));
}

#[test]
fn no_banned_crate_is_built_in() {
    let denied = listed("deny");
    // `yaml_serde` is used under the name of the crate it follows: the package's own name is what counts.
    let strays: Vec<String> = packages()
        .iter()
        .filter_map(|package| package["name"].as_str())
        .filter(|name| denied.contains(*name))
        .map(str::to_owned)
        .collect();
    assert!(strays.is_empty(), "crates that deny.toml bans: {}", strays.join(", "));
}

#[test]
fn every_package_comes_from_the_registry_or_from_here() {
    let strays: Vec<String> = packages()
        .iter()
        .filter(|package| package["source"].as_str().is_some_and(|source| !source.starts_with("registry+")))
        .map(|package| format!("{} from {}", package["name"], package["source"]))
        .collect();
    assert!(strays.is_empty(), "packages from elsewhere:\n{}", strays.join("\n"));
}

#[test]
fn licence_expressions_mean_what_they_say() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()]);
    for good in ["MIT", "MIT/X", "X OR MIT", "(X OR MIT) AND ISC", "Apache-2.0 WITH LLVM-exception", "X AND Y OR MIT"] {
        assert!(permitted(good, &allowed), "{good}");
    }
    for bad in ["", "X", "MIT AND X", "Apache-2.0", "(MIT OR X) AND Y", "MIT ISC", "(MIT"] {
        assert!(!permitted(bad, &allowed), "{bad}");
    }
}
