//! How a run ended: the one table of exit codes.

/// How a run ended, as the exit code of the process: the one table.
///
/// | code | meaning |
/// |---|---|
/// | 0 | done (`plan` too, when there are changes) |
/// | 1 | failed |
/// | 2 | there are changes; with `--detailed-exitcode` only |
/// | 3 | partly applied, or partly observed |
/// | 4 | authentication or permission |
/// | 5 | conflict, or an older commit |
/// | 6 | manifests invalid; nothing was contacted |
/// | 7 | refused by a guard or by the operator's file |
/// | 8 | timed out, unreachable, or a record that cannot be read |
/// | 9 | another run holds the lock |
/// | 64 | usage |
/// | 130 | interrupted |
///
/// Codes 4, 5 and 8 only if nothing was written, and 4 and 8 only if no scope could be observed; otherwise 3. Codes 7
/// and 9 stand even if other targets were written. Where several apply, the first of 130, 64, 6, 9, 7, 5, 4, 8, 3, 1, 2,
/// 0 is the one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Exit {
    /// 0
    Done = 0,
    /// 1
    Failed = 1,
    /// 2
    Changes = 2,
    /// 3
    Partial = 3,
    /// 4
    Denied = 4,
    /// 5
    Conflict = 5,
    /// 6
    Invalid = 6,
    /// 7
    Refused = 7,
    /// 8
    Unreachable = 8,
    /// 9
    Locked = 9,
    /// 64
    Usage = 64,
    /// 130
    Interrupted = 130,
}

/// The first of these that applies is the exit code.
const PRECEDENCE: [Exit; 12] = [
    Exit::Interrupted,
    Exit::Usage,
    Exit::Invalid,
    Exit::Locked,
    Exit::Refused,
    Exit::Conflict,
    Exit::Denied,
    Exit::Unreachable,
    Exit::Partial,
    Exit::Failed,
    Exit::Changes,
    Exit::Done,
];

impl Exit {
    /// The code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The one that counts when both apply.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rank = |exit| PRECEDENCE.iter().position(|e| *e == exit);
        if rank(self) <= rank(other) { self } else { other }
    }

    /// Turns the codes that promise "nothing was written" (4, 5, 8) into 3 when something was.
    #[must_use]
    pub fn after_writing(self, written: bool) -> Self {
        match self {
            Self::Denied | Self::Conflict | Self::Unreachable if written => Self::Partial,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graver_code_wins_whatever_the_order() {
        for (a, b, expected) in [
            (Exit::Partial, Exit::Refused, Exit::Refused),
            (Exit::Done, Exit::Changes, Exit::Changes),
            (Exit::Locked, Exit::Refused, Exit::Locked),
            (Exit::Invalid, Exit::Interrupted, Exit::Interrupted),
            (Exit::Failed, Exit::Partial, Exit::Partial),
        ] {
            assert_eq!(a.and(b), expected);
            assert_eq!(b.and(a), expected);
        }
    }

    #[test]
    fn codes_that_promise_that_nothing_was_written_keep_their_word() {
        for exit in [Exit::Denied, Exit::Conflict, Exit::Unreachable] {
            assert_eq!(exit.after_writing(true), Exit::Partial);
            assert_eq!(exit.after_writing(false), exit);
        }
        assert_eq!(Exit::Refused.after_writing(true), Exit::Refused);
    }
}
