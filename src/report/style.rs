//! How output looks; the only place that knows colours.

use anstyle::{AnsiColor, Effects, Style as Codes};

/// How output looks: decided once, by the one who knows the terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// Colours and weights.
    pub colour: bool,
    /// Columns; long values are cut to it.
    pub width: usize,
    /// Signs beyond ASCII.
    pub unicode: bool,
}

/// What a piece of text is. Only this file knows what that looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// What is made.
    Create,
    /// What is changed.
    Update,
    /// What is taken away.
    Delete,
    /// What is deleted and made again.
    Replace,
    /// What is taken under care.
    Adopt,
    /// What matters.
    Strong,
    /// What is there for the second look.
    Dim,
    /// The word `error`.
    Error,
    /// The word `warning`.
    Warning,
    /// The word `note` or `help`.
    Help,
    /// A place.
    Place,
}

impl Style {
    /// Text for a file or a pipe.
    pub fn plain() -> Self {
        Self { colour: false, width: 100, unicode: true }
    }

    /// `text` in the look of `role`. The text must be harmless already.
    pub fn paint(&self, role: Role, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let codes = codes(role);
        format!("{}{text}{}", codes.render(), codes.render_reset())
    }

    /// The arrow between before and after.
    pub(super) fn arrow(&self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    /// The sign for what is left out.
    pub(super) fn dots(&self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }
}

fn codes(role: Role) -> Codes {
    let colour = |colour: AnsiColor| Codes::new().fg_color(Some(colour.into()));
    match role {
        Role::Create => colour(AnsiColor::Green),
        Role::Update => colour(AnsiColor::Yellow),
        Role::Delete => colour(AnsiColor::Red),
        Role::Replace => colour(AnsiColor::Magenta),
        Role::Adopt | Role::Help => colour(AnsiColor::Cyan),
        Role::Strong => Codes::new().effects(Effects::BOLD),
        Role::Dim => Codes::new().effects(Effects::DIMMED),
        Role::Error => colour(AnsiColor::Red).effects(Effects::BOLD),
        Role::Warning => colour(AnsiColor::Yellow).effects(Effects::BOLD),
        Role::Place => colour(AnsiColor::Blue),
    }
}
