//! `ctl init`: a starter project.

use std::path::Path;

use super::args::InitArgs;
use super::{Context, Exit, Stop};
use crate::model::{Diagnostic, ProjectName};

const PROJECT: &str = "\
# What ctl keeps in order, and where. Reference: docs/reference.md
apiVersion: ctl/v1
kind: Project
metadata: {name: NAME}
manifests: [manifests/]
RECORDtargets:
  demo:
    api: ctl              # the reference server's description, which ships with ctl
    url: embedded         # runs inside ctl; replace it by the URL of your server
  # widgets:
  #   api: widgets          # apis/widgets.yaml in this repository, or one that ships with ctl
  #   url: https://widgets.example
  #   credentials: widgets  # a name; who runs ctl holds the value, in credentials.yaml
";

const MANIFEST: &str = "\
# One resource a document. `spec` is what the server gets; `metadata` is for ctl.
apiVersion: ctl
kind: service
metadata: {name: hello, labels: {team: demo}}
spec:
  description: the first thing that ctl keeps in order
";

/// Writes `ctl.yaml` and a first manifest; never overwrites.
pub(super) fn run(ctx: &Context, args: &InitArgs) -> Result<Exit, Stop> {
    let dir = ctx.path(&args.dir);
    std::fs::create_dir_all(&dir).map_err(|e| failed(&dir, &e))?;
    let dir = dir.canonicalize().map_err(|e| failed(&dir, &e))?;
    let name = match &args.name {
        Some(name) => name.parse::<ProjectName>().map_err(|e| {
            Stop::with(Exit::Usage, Diagnostic::error("bad-name", e.to_string()).help("choose another --name"))
        })?,
        None => name_of(&dir),
    };
    let record = if has_remote(&dir, "origin") {
        "record: {push: origin}   # who applied what is kept on a ref of this repository, shared through its remote\n"
    } else {
        "# record: {push: origin} # shares the record of what ctl owns through the repository's remote\n"
    };
    let mut wrote = Vec::new();
    for (path, text) in [
        ("ctl.yaml", PROJECT.replace("NAME", name.as_str()).replace("RECORD", record)),
        ("manifests/hello.yaml", MANIFEST.to_owned()),
    ] {
        let path = dir.join(path);
        if path.exists() {
            ctx.say(&format!("{} is there already and stays as it is.\n", path.display()));
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| failed(parent, &e))?;
        }
        std::fs::write(&path, text).map_err(|e| failed(&path, &e))?;
        wrote.push(path.display().to_string());
    }
    for path in &wrote {
        ctx.print(&format!("{path}\n"));
    }
    ctx.say(&next(&dir, !wrote.is_empty()));
    Ok(Exit::Done)
}

/// What to type now.
fn next(dir: &Path, wrote: bool) -> String {
    let mut commands = Vec::new();
    if git2::Repository::discover(dir).is_err() {
        commands.push("git init");
    }
    if wrote {
        commands.push("git add -A && git commit -m \"a first project\"");
    }
    commands.extend(["ctl plan", "ctl apply"]);
    let lines: String = commands.iter().map(|command| format!("  {command}\n")).collect();
    format!("Next (ctl reads commits, not the work tree):\n{lines}")
}

/// True if the repository around `dir` has a remote of that name.
fn has_remote(dir: &Path, name: &str) -> bool {
    git2::Repository::discover(dir).is_ok_and(|repository| repository.find_remote(name).is_ok())
}

/// The folder's name, made into a project name.
fn name_of(dir: &Path) -> ProjectName {
    let raw = dir.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = raw.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let name = name.trim_matches('-');
    name.parse().or_else(|_| "project".parse()).unwrap_or_else(|_| unreachable!("`project` is a name"))
}

fn failed(path: &Path, error: &std::io::Error) -> Stop {
    let message = format!("{} cannot be written: {error}", path.display());
    Stop::with(Exit::Failed, Diagnostic::error("cannot-write", message).help("choose a folder that you may write"))
}
