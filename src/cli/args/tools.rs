//! Tools: `serve`, `completions`, `man`, `version`.

use std::path::PathBuf;

use clap::Args;

use super::Plain;
use super::values::rate;

/// `ctl serve`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl serve --data /var/lib/ctl-demo
  ctl serve --listen 127.0.0.1:8080 --data ./data --rate 200/s
  ctl serve --data ./data --faults slow=50ms,drop-answer=0.02

Faults, with commas between them; a SHARE is a number from 0 to 1, of all requests:
  slow=TIME[:SHARE]    wait before anything is done (200ms, 2s)
  drop-request=SHARE   close the connection, nothing done
  drop-answer=SHARE    do it, then close the connection without an answer
  truncate=SHARE       do it, and send half of the answer's body
  html=SHARE           answer 200 with a login page, nothing done
  throttle=SHARE       answer 429 with Retry-After, nothing done
  status=CODE[:SHARE]  answer CODE, nothing done
  lie=SHARE            acknowledge a write and store nothing
  conflict=SHARE       answer a write 412, nothing done; reads go on
  fail-page=N          answer page N of a list with 500
  gone-page=N          answer page N of a list with 410
  loop-page=N          send the token of page N as that of the next page
  seed=N               draw other chances; the same seed gives the same ones")]
pub struct ServeArgs {
    /// Where to listen; without a token only on loopback
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Folder of the durable data
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Requests per second and client; more is answered 429
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub rate: Option<u32>,
    /// File that holds the bearer token that clients must send
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Schema of further kinds
    #[arg(long, value_name = "FILE")]
    pub kinds: Option<PathBuf>,
    /// Misbehave on purpose, for tests (the list is below): slow=200ms,conflict=0.05,seed=7
    #[arg(long, value_name = "SPEC")]
    pub faults: Option<String>,
    /// Count requests at /debug/requests, for benchmarks
    #[arg(long)]
    pub debug_counters: bool,
}

/// `ctl completions`
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// For which shell
    pub shell: clap_complete::Shell,
}

/// `ctl man`
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Write a page for each command into DIR
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `ctl version`
#[derive(Args, Debug)]
pub struct VersionArgs {
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Plain,
}
