//! What is said when `ctl` itself is at fault.

use std::io::Write as _;
use std::panic::PanicHookInfo;

/// From now on a panic says where in the program it was, and what to do. What the panic itself would say is left out:
/// it may quote the value that it stumbled over, and that may be a secret, whole or in part.
pub fn speak_of_defects() {
    std::panic::set_hook(Box::new(|panic| {
        // Who cannot be told is not told.
        let _ = std::io::stderr().lock().write_all(told(panic).as_bytes());
    }));
}

fn told(panic: &PanicHookInfo<'_>) -> String {
    let place =
        panic.location().map_or_else(|| "an unknown place".to_owned(), |l| format!("{}:{}", l.file(), l.line()));
    format!(
        "error[defect]: ctl {} panicked at {place}\n  help: this is a defect of ctl, not of your files; run `ctl plan` to \
         see how things stand, and report this place and the command (its values are left out: they may be secret)\n",
        env!("CARGO_PKG_VERSION")
    )
}
