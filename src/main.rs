//! The `ctl` program.

fn main() {}
