//! The smallest client: one request, one answer, with a deadline. HTTP/1.0, so that an answer ends where it ends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long whoever is well may take to answer: the machine may have other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long an answer is waited for from somebody who may be standing still.
pub(crate) const GLANCE: Duration = Duration::from_secs(2);

/// Asks for a path; the status and the body, or nothing if nobody is there or nothing whole was answered.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    ask(address, PATIENCE, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

/// The same of somebody who may be standing still: no whole answer in two seconds is none.
pub(crate) fn glance(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    ask(address, GLANCE, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

/// Sends a JSON document; the answer's status and document, if it came within `limit`.
pub(crate) fn post(address: SocketAddr, path: &str, body: &Value, limit: Duration) -> Option<(u16, Value)> {
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    let (status, text) = ask(address, limit, &format!("{head}Content-Type: application/json\r\n\r\n{body}"))?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Puts a JSON document where it belongs, whatever is there; the answer's status.
pub(crate) fn put(address: SocketAddr, path: &str, body: &str) -> Option<u16> {
    let head = format!("PUT {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    ask(address, PATIENCE, &format!("{head}Content-Type: application/json\r\n\r\n{body}")).map(|(status, _)| status)
}

/// Sends what claims to be a webhook, with these further header lines; the answer's status.
pub(crate) fn hook(address: SocketAddr, headers: &str, body: &str) -> Option<u16> {
    let head = format!("POST /hook HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n{headers}", body.len());
    ask(address, PATIENCE, &format!("{head}Content-Type: application/json\r\n\r\n{body}")).map(|(status, _)| status)
}

fn ask(address: SocketAddr, limit: Duration, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
