//! Completions and manual pages, made from the command line's own definition.

use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs, Plain, VersionArgs};
use super::{Context, Exit, Stop};
use crate::model::Diagnostic;

/// Prints the completion script.
pub(super) fn completions(ctx: &Context, args: &CompletionsArgs) -> Result<Exit, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ctl", &mut script);
    ctx.print(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}

/// Prints the main manual page, or writes all of them.
pub(super) fn man(ctx: &Context, args: &ManArgs) -> Result<Exit, Stop> {
    let pages = pages().map_err(|e| cannot_write(Path::new("-"), &e))?;
    match &args.dir {
        None => ctx.print(&pages.first().map(|(_, text)| text.clone()).unwrap_or_default()),
        Some(dir) => {
            let dir = ctx.path(dir);
            std::fs::create_dir_all(&dir).map_err(|e| cannot_write(&dir, &e))?;
            for (name, text) in &pages {
                let path = dir.join(name);
                std::fs::write(&path, text).map_err(|e| cannot_write(&path, &e))?;
            }
            ctx.say(&format!("Wrote {} pages to {}.\n", pages.len(), dir.display()));
        }
    }
    Ok(Exit::Done)
}

/// Prints the version.
pub(super) fn version(ctx: &Context, args: &VersionArgs) -> Result<Exit, Stop> {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        Plain::Text => ctx.print(&format!("ctl {version}\n")),
        Plain::Json => ctx.print(&format!("{{\"name\":\"ctl\",\"version\":\"{version}\"}}\n")),
    }
    Ok(Exit::Done)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Stop {
    let message = format!("{} cannot be written: {error}", path.display());
    Stop::with(Exit::Failed, Diagnostic::error("cannot-write", message).help("choose a folder that you may write"))
}

/// Every manual page: its file name and its text, the main page first.
pub fn pages() -> std::io::Result<Vec<(String, String)>> {
    let mut root = Cli::command();
    root.build();
    let mut out = Vec::new();
    collect(&root, "ctl", &mut out)?;
    Ok(out)
}

fn collect(command: &clap::Command, name: &str, out: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let mut text = Vec::new();
    let titled = command.clone().disable_help_subcommand(true);
    clap_mangen::Man::new(titled).title(name).date("").render(&mut text)?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if name == "ctl" {
        text.push_str(EXIT_STATUS);
    }
    out.push((format!("{name}.1"), text));
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set()) {
        collect(sub, &format!("{name}-{}", sub.get_name()), out)?;
    }
    Ok(())
}

/// The completion scripts that are committed: file name and shell.
pub const SHELLS: [(&str, clap_complete::Shell); 4] = [
    ("ctl.bash", clap_complete::Shell::Bash),
    ("ctl.fish", clap_complete::Shell::Fish),
    ("_ctl", clap_complete::Shell::Zsh),
    ("ctl.ps1", clap_complete::Shell::PowerShell),
];

/// One completion script.
pub fn script(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ctl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

const EXIT_STATUS: &str = r#".SH "EXIT STATUS"
.TP
\fB0\fR
done (\fIplan\fR too, when there are changes)
.TP
\fB1\fR
failed
.TP
\fB2\fR
there are changes; with \fB\-\-detailed\-exitcode\fR only
.TP
\fB3\fR
partly applied, or partly observed
.TP
\fB4\fR
authentication or permission
.TP
\fB5\fR
conflict, or an older commit
.TP
\fB6\fR
manifests invalid; nothing was contacted
.TP
\fB7\fR
refused by a guard or by the operator's file
.TP
\fB8\fR
timed out, unreachable, or a record that cannot be read
.TP
\fB9\fR
another run holds the lock
.TP
\fB64\fR
usage
.TP
\fB130\fR
interrupted
"#;
