//! `ctl validate`: checks manifests and descriptions; contacts nothing.

use std::io::Read as _;
use std::path::Path;

use super::args::{Plain, ValidateArgs};
use super::load::{self, Loaded};
use super::{Context, Exit, Stop};
use crate::manifest::api::ApiDescription;
use crate::model::{Diagnostic, Limits};
use crate::report::diagnostics_json;

/// Validates a project, or single descriptions.
pub(super) fn run(ctx: &Context, args: &ValidateArgs) -> Result<Exit, Stop> {
    if !args.api.is_empty() {
        return descriptions(ctx, args);
    }
    let mut loaded = match load::load(ctx, &args.source, args.dirty) {
        Ok(loaded) => loaded,
        Err(stop) => return told(ctx, args, None, stop.exit, &stop.diagnostics),
    };
    let snapshot = loaded.snapshot(ctx, true);
    loaded.look_back();
    match snapshot {
        Ok(snapshot) => {
            let mut diagnostics = loaded.diagnostics.clone();
            diagnostics.extend(snapshot.diagnostics.iter().cloned());
            diagnostics.extend(load::missing_folders(&snapshot.missing_folders));
            told(ctx, args, Some((&loaded, snapshot.desired.len())), Exit::Done, &diagnostics)
        }
        Err(stop) => told(ctx, args, Some((&loaded, 0)), stop.exit, &stop.diagnostics),
    }
}

fn told(
    ctx: &Context,
    args: &ValidateArgs,
    found: Option<(&Loaded, usize)>,
    exit: Exit,
    diagnostics: &[Diagnostic],
) -> Result<Exit, Stop> {
    match args.output {
        Plain::Json => {
            let document = serde_json::json!({
                "format_version": "1.0",
                "valid": exit == Exit::Done,
                "project": found.map(|(loaded, _)| loaded.project.name.as_str()),
                "commit": found.map(|(loaded, _)| loaded.revision.as_str()),
                "resources": found.map_or(0, |(_, resources)| resources),
                "diagnostics": diagnostics_json(diagnostics),
            });
            ctx.print_json(&document);
        }
        Plain::Text => {
            ctx.tell(diagnostics);
            if let Some((loaded, resources)) = found.filter(|_| exit == Exit::Done) {
                let targets = loaded.project.targets.len();
                let (project, commit) = (&loaded.project.name, loaded.revision.short());
                ctx.print(&format!(
                    "{project} at {commit} is valid: {resources} {}, {targets} {}.\n",
                    if resources == 1 { "resource" } else { "resources" },
                    if targets == 1 { "target" } else { "targets" },
                ));
            }
        }
    }
    Ok(exit)
}

/// A file, and of one that is too large a little more than the limit.
fn read(path: &Path, limit: u64) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        // The end may stand within a character.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn descriptions(ctx: &Context, args: &ValidateArgs) -> Result<Exit, Stop> {
    let mut exit = Exit::Done;
    let limit = ctx.operator()?.limits().file;
    for path in &args.api {
        let file = path.display().to_string();
        let text = read(&ctx.path(path), limit).map_err(|e| {
            let message = format!("{file} cannot be read: {e}");
            Stop::with(Exit::Failed, Diagnostic::error("cannot-read", message).help("check the path"))
        })?;
        if text.len() as u64 > limit {
            let problem = Diagnostic::error("too-large", format!("{file} has more than {limit} bytes"));
            ctx.tell(&[problem.help(Limits::help("file", "name another file"))]);
            exit = Exit::Invalid;
            continue;
        }
        match ApiDescription::parse(&file, &text) {
            Ok((api, warnings)) => {
                ctx.tell(&warnings);
                let kinds: Vec<&str> = api.types.keys().map(|kind| kind.as_str()).collect();
                ctx.print(&format!("{file} is valid: {} ({}), sha256:{}\n", api.name, kinds.join(", "), api.digest()));
            }
            Err(errors) => {
                ctx.tell(&errors);
                exit = Exit::Invalid;
            }
        }
    }
    Ok(exit)
}
