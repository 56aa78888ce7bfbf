//! Whether a `Host` header names this machine.

use std::net::{IpAddr, SocketAddr};

/// True if a request came by an address or by `localhost`, with or without a port. Any other name may be one that a
/// stranger's page points at this machine, to read and write here as if it were from here.
///
/// ```
/// # use ctl::model::names_this_machine;
/// assert!(names_this_machine("127.0.0.1:8080") && names_this_machine("LOCALHOST"));
/// assert!(!names_this_machine("localhost.example"));
/// ```
pub fn names_this_machine(host: &str) -> bool {
    if host.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}
