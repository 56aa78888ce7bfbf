//! The `ctl` program: collects arguments, environment and folder, and returns the exit code.

use std::process::ExitCode;

/// Ten thousand resources are a million small allocations; with the system's allocator a plan takes a fifth longer
/// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ctl::cli::speak_of_defects();
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let env = std::env::vars_os().collect();
    // A folder that was deleted has no path; `run` says so.
    let cwd = std::env::current_dir().unwrap_or_default();
    ExitCode::from(ctl::cli::run(std::env::args_os().collect(), env, cwd))
}
