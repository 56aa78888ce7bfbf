//! What all parts of a status share: its look, and the words for commits, versions and times.

use crate::model::{EndpointName, State, Status, VersionStatus};
use crate::report::sanitize::line;
use crate::report::style::{Role, Style};

/// What is said of a status, in one look.
pub(super) struct Page<'a> {
    pub(super) status: &'a Status,
    pub(super) style: &'a Style,
}

impl Page<'_> {
    /// The words in the look of the state.
    pub(super) fn state(&self, state: State, text: &str) -> String {
        let role = match state {
            State::Ok => Role::Create,
            State::Failing | State::InDoubt | State::Refused => Role::Error,
            State::Suspended | State::StaleSource => Role::Warning,
            State::NotLeader => Role::Dim,
        };
        let word = text.trim_end();
        self.style.paint(role, word) + &text[word.len()..]
    }

    pub(super) fn strong(&self, text: &str) -> String {
        self.style.paint(Role::Strong, text)
    }

    pub(super) fn help(&self, help: Option<&str>, indent: usize, out: &mut String) {
        if let Some(help) = help.filter(|help| !help.is_empty()) {
            let word = self.style.paint(Role::Help, "help");
            out.push_str(&format!("{:indent$}{word}: {}\n", "", line(help)));
        }
    }

    pub(super) fn commit(&self) -> String {
        self.status.source.commit.as_deref().map(short).unwrap_or_else(|| "unknown".to_owned())
    }

    /// How long ago the targets were looked at, where a watcher does that.
    pub(super) fn seen(&self) -> String {
        let oldest = self.status.targets.iter().filter_map(|t| t.last_cycle).map(|s| s.age).max();
        oldest.map(|age| format!(", looked at {} ago", span(age))).unwrap_or_default()
    }
}

pub(super) fn version(version: &VersionStatus) -> String {
    format!("{}@{}", version.number, short(&version.commit))
}

pub(super) fn short(commit: &str) -> String {
    line(commit).chars().take(10).collect()
}

/// A place as people call it: the only endpoint of a target needs no name.
pub(super) fn spot(target: &str, endpoint: &str) -> String {
    if endpoint == EndpointName::only().as_str() || endpoint.is_empty() {
        target.to_owned()
    } else {
        format!("{target}/{endpoint}")
    }
}

pub(super) fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// A length of time as people say it, in the largest unit of which there are two.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
