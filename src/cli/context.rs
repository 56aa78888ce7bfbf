//! What every command gets, and how it speaks.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Exit;
use super::args::{Global, When};
use crate::credentials::Operator;
use crate::model::{Diagnostic, Severity};
use crate::report::{Style, diagnostics_text};
use crate::world::{Clock, Entropy};

/// What every command gets: where it runs, what it may print to, and the world.
#[derive(Clone)]
pub struct Context {
    /// The environment, read once.
    pub env: BTreeMap<String, String>,
    /// Where paths of the command line start.
    pub cwd: PathBuf,
    /// Mirrors, locks, the embedded server's data.
    pub state: PathBuf,
    /// Parsed manifests.
    pub cache: PathBuf,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
    /// How standard output looks.
    pub out: Style,
    /// How standard error looks.
    pub err: Style,
    /// True if somebody can be asked: terminals on both sides, and not in CI.
    pub interactive: bool,
    /// True if bars may move: standard error is a terminal, and not in CI.
    pub progress: bool,
    /// True if standard error is a terminal.
    pub err_is_terminal: bool,
    /// True with `CI` set.
    pub ci: bool,
    /// `-q`
    pub quiet: bool,
    /// `-v`, counted.
    pub verbose: u8,
    /// True while a question is on the terminal.
    pub asking: Arc<AtomicBool>,
    unprinted: Arc<Mutex<Option<String>>>,
}

/// Why a command stops early: what to say, and with which code.
#[derive(Debug)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// What to say.
    pub diagnostics: Vec<Diagnostic>,
}

impl Stop {
    /// Stops with one message.
    pub fn with(exit: Exit, diagnostic: Diagnostic) -> Self {
        Self { exit, diagnostics: vec![diagnostic] }
    }
}

impl Context {
    /// Reads the environment's wishes and the terminals.
    pub fn new(global: &Global, env: BTreeMap<String, String>, cwd: PathBuf) -> Self {
        let set = |name: &str| env.get(name).is_some_and(|v| !v.is_empty());
        let ci = set("CI") && env.get("CI").is_none_or(|v| v != "false" && v != "0");
        let home = env.get("HOME").map(PathBuf::from).unwrap_or_else(|| cwd.clone());
        let base = |variable: &str, fallback: &str| {
            let from_env = env.get(variable).map(PathBuf::from).filter(|p| p.is_absolute());
            from_env.unwrap_or_else(|| home.join(fallback)).join("ctl")
        };
        let cwd = global.chdir.as_ref().map_or_else(|| cwd.clone(), |dir| cwd.join(dir));
        let state = global.state.as_ref().map_or_else(|| base("XDG_STATE_HOME", ".local/state"), |dir| cwd.join(dir));
        let (out_tty, err_tty) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let dumb = env.get("TERM").is_some_and(|t| t == "dumb");
        let colour = |tty: bool| match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto if set("NO_COLOR") => false,
            When::Auto if set("CLICOLOR_FORCE") => true,
            When::Auto => tty && !ci && !dumb,
        };
        let width = |tty: bool| if tty { terminal_width(&env) } else { 100 };
        let unicode = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| env.get(*name).filter(|v| !v.is_empty()))
            .is_none_or(|locale| locale.to_lowercase().replace('-', "").contains("utf8"));
        Self {
            state,
            cache: base("XDG_CACHE_HOME", ".cache"),
            clock: Clock::System,
            entropy: Entropy::System,
            out: Style { colour: colour(out_tty), width: width(out_tty), unicode },
            err: Style { colour: colour(err_tty), width: width(err_tty), unicode },
            interactive: std::io::stdin().is_terminal() && err_tty && !ci,
            progress: err_tty && !ci && !dumb && !global.quiet,
            err_is_terminal: err_tty,
            ci,
            quiet: global.quiet,
            verbose: global.verbose,
            asking: Arc::default(),
            unprinted: Arc::default(),
            env,
            cwd,
        }
    }

    /// Writes data to standard output. A reader that went away is not an error; what else keeps it from being written is
    /// told at the end of the run ([`Context::unprinted`]).
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Err(error) = written.or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(e) }) {
            *self.unprinted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }

    /// What kept data from being written to standard output. Whoever reads a file of it must not take a part for all.
    pub fn unprinted(&self) -> Option<Diagnostic> {
        let why = self.unprinted.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let message = format!("the output could not be written: {why}");
        Some(
            Diagnostic::error("output", message)
                .help("what was done at the targets is in the record: `ctl record show`"),
        )
    }

    /// Writes a JSON document to standard output, with nothing in it that a terminal would obey.
    pub fn print_json(&self, document: &serde_json::Value) {
        self.print(&format!("{}\n", crate::report::sanitize::json(&format!("{document:#}"))));
    }

    /// Writes everything else to standard error.
    pub fn say(&self, text: &str) {
        to_stderr(text);
    }

    /// Shows diagnostics on standard error; with `-q` only errors.
    pub fn tell(&self, diagnostics: &[Diagnostic]) {
        let shown: Vec<Diagnostic> =
            diagnostics.iter().filter(|d| !self.quiet || d.severity == Severity::Error).cloned().collect();
        if !shown.is_empty() {
            self.say(&diagnostics_text(&shown, &self.err));
        }
    }

    /// Reads the operator's file.
    pub(super) fn operator(&self) -> Result<Arc<Operator>, Stop> {
        Operator::load(&self.env).map(Arc::new).map_err(|d| Stop::with(Exit::Refused, d))
    }

    /// Who runs this, for the record.
    pub(super) fn user(&self) -> String {
        ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME"]
            .iter()
            .find_map(|name| self.env.get(*name).filter(|v| !v.is_empty()).cloned())
            .unwrap_or_else(|| {
                let uid = rustix::process::getuid().as_raw();
                name_of(uid, &std::fs::read_to_string("/etc/passwd").unwrap_or_default())
            })
    }

    /// Asks a yes-or-no question on the terminal; anything but `yes` or `y` is no.
    pub fn ask(&self, question: &str) -> bool {
        self.say(&format!("{question} [y/N] "));
        let mut answer = String::new();
        self.asking.store(true, Ordering::SeqCst);
        let read = std::io::stdin().read_line(&mut answer);
        self.asking.store(false, Ordering::SeqCst);
        if !answer.ends_with('\n') {
            self.say("\n");
        }
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// A path of the command line, seen from where the command runs.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }
}

/// Writes to standard error. Nobody there to read it is not an error.
pub(super) fn to_stderr(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Who has this number, as `/etc/passwd` says it: containers and services run without `USER`.
fn name_of(uid: u32, passwd: &str) -> String {
    let number = uid.to_string();
    let mut users = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found =
        users.find(|fields| fields.get(2) == Some(&number.as_str()) && fields.first().is_some_and(|n| !n.is_empty()));
    found.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or_else(|| format!("uid {uid}"))
}

fn terminal_width(env: &BTreeMap<String, String>) -> usize {
    let from_env = env.get("COLUMNS").and_then(|c| c.parse::<usize>().ok());
    let from_tty = || rustix::termios::tcgetwinsize(std::io::stderr()).ok().map(|size| usize::from(size.ws_col));
    from_env.or_else(from_tty).filter(|w| *w >= 40).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_name_has_a_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\n# 7\n::7:7::/:\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n";
        assert_eq!([0, 1000, 7, 4711].map(|uid| name_of(uid, passwd)), ["root", "ann", "uid 7", "uid 4711"]);
    }
}
